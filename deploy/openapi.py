"""Print the gateway's OpenAPI 3.1 document, as it serves it at /openapi.json, without a server: `make openapi`.

`python -m deploy.openapi FILE` writes it to a file.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from services.gateway.config import GatewaySettings
from services.gateway.openapi import openapi_document
from services.gateway.wiring import Gateway

_NO_KEYS = "[]"


def document() -> dict[str, Any]:
    """Return the document of the routes that a gateway with default settings serves."""
    return asyncio.run(_document())


async def _document() -> dict[str, Any]:
    # Its channels connect when they are first used: no service is needed to wire it.
    gateway = Gateway(GatewaySettings(api_keys=_NO_KEYS))
    await gateway.close()
    return openapi_document(gateway.routes)


def main(arguments: list[str]) -> int:
    """Print or write it."""
    text = json.dumps(document(), indent=2, ensure_ascii=False) + "\n"
    if not arguments:
        sys.stdout.write(text)
        return 0
    target = Path(arguments[0])
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
