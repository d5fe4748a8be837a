"""Requests made from the OpenAPI document, right and wrong ones: every answer is one that the document knows.

No 5xx, no status, content type, header or body that is not documented, no route that works without its key.
`make fuzz MINUTES=n` does the same for longer, and differently each time.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from deploy.local.settings import ROOT
from tests.e2e.conftest import KEYS, Shop, key

pytestmark = [pytest.mark.stack, pytest.mark.slow]

MINUTES = float(os.environ.get("FUZZ_MINUTES", "0"))
SEED = os.environ.get("FUZZ_SEED", "20261")
EXAMPLES_IN_CI = 2
CONFIG = ROOT / "tests" / "e2e" / "fuzzing.toml"


def arguments(url: str) -> list[str]:
    """The command: in CI always the same few examples, else as many as fit the time, another seed each time."""
    bounds = (
        ["--max-time", str(round(MINUTES * 60)), "--max-examples", "200"]
        if MINUTES
        else ["--max-examples", str(EXAMPLES_IN_CI)]
    )
    if not MINUTES or "FUZZ_SEED" in os.environ:
        bounds += ["--seed", SEED]
    return [
        "--config-file",
        str(CONFIG),
        "run",
        f"{url}/openapi.json",
        "--url",
        url,
        "--continue-on-failure",
        "--no-color",
        *bounds,
    ]


@pytest.mark.timeout(600 + MINUTES * 90)
async def test_every_answer_is_documented(shop: Shop, tmp_path: Path) -> None:
    document = shop.must(shop.anonymous.get("/openapi.json"))
    for path in ("/v1/merchants", "/v1/warehouses", "/v1/products", "/v1/stock:receive"):
        example = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["example"]
        # 409: another test of this session has made and changed it.
        assert shop.scratch.post(path, json=example, headers=key()).status_code in (200, 201, 409)
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("st")),
        *arguments(shop.stack.settings.gateway_url),
        cwd=tmp_path,
        env=os.environ | {"FUZZ_KEY": KEYS["scratch"]["key"], "PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    told, _ = await process.communicate()
    assert process.returncode == 0, told.decode(errors="replace")
