"""Make the clients of the public API in dist/sdk, from the OpenAPI document, by standard generators: `make sdk`.

dist/sdk/openapi.json    the document that they are made from
dist/sdk/typescript      an npm package: openapi-typescript's types over openapi-fetch, compiled by tsc --strict
dist/sdk/python          a Python package by openapi-python-client, checked by mypy --strict

Nothing generated is committed; what is ours of them lies in sdk/.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from typing import Any

from deploy import node, openapi
from deploy.local.settings import ROOT
from deploy.node import CommandError, run
from services.gateway.routes.route import EVENT_STREAM_MEDIA_TYPE

SOURCES = ROOT / "sdk"
TARGET = ROOT / "dist" / "sdk"
DOCUMENT = TARGET / "openapi.json"
TYPESCRIPT = TARGET / "typescript"
PYTHON = TARGET / "python"
# What openapi-python-client says of what it leaves out; such a client would look whole and not be it.
_LEFT_OUT = re.compile(r"will not be generated|may be missing", re.IGNORECASE)


def document() -> dict[str, Any]:
    """The OpenAPI document as the generators get it.

    In it the schema of an event stream is that of one event. Generators take it for that of the whole answer, which to
    a client that does not stream is a text.
    """
    made = openapi.document()
    for methods in made["paths"].values():
        for operation in methods.values():
            for answer in operation["responses"].values():
                if EVENT_STREAM_MEDIA_TYPE in answer.get("content", {}):
                    answer["content"][EVENT_STREAM_MEDIA_TYPE]["schema"] = {"type": "string"}
    return made


def write_document() -> None:
    """Write the document where the generators read it."""
    TARGET.mkdir(parents=True, exist_ok=True)
    DOCUMENT.write_text(json.dumps(document(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def typescript() -> None:
    """Generate, compile and check the TypeScript client."""
    source = SOURCES / "typescript"
    node.install(source, TYPESCRIPT)
    for folder in ("src", "examples", "lib"):
        shutil.rmtree(TYPESCRIPT / folder, ignore_errors=True)
    shutil.copytree(source, TYPESCRIPT, dirs_exist_ok=True)
    for script in ("generate", "build", "check"):
        run("npm", "run", "--silent", script, cwd=TYPESCRIPT)


def python() -> None:
    """Generate and check the Python client."""
    shutil.rmtree(PYTHON, ignore_errors=True)
    said = run(
        *(sys.executable, "-m", "openapi_python_client", "generate", "--meta", "uv"),
        *("--path", DOCUMENT, "--config", SOURCES / "python" / "config.yaml", "--output-path", PYTHON),
        cwd=TARGET,
    )
    if _LEFT_OUT.search(said):
        raise CommandError(f"openapi-python-client leaves something out:\n{said}")
    shutil.copytree(SOURCES / "python" / "examples", PYTHON / "examples")
    # Its own cache: the tree's is for the tree's settings.
    run(
        *(sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--config-file", os.devnull),
        *("--cache-dir", TARGET / ".mypy_cache", "sampan_client", "examples"),
        cwd=PYTHON,
        MYPYPATH=str(PYTHON),
    )


def main() -> int:
    """Make both."""
    write_document()
    try:
        for make, place in ((typescript, TYPESCRIPT), (python, PYTHON)):
            make()
            print(f"sdk: {place.relative_to(ROOT)}", flush=True)
    except CommandError as error:
        # Clients that were not made whole are not there.
        DOCUMENT.unlink()
        print(f"sdk: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
