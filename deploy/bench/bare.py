"""The yardstick for reads: a bare JSON route of the same server stack (Litestar under uvicorn), from memory.

`python -m deploy.bench.bare PORT FILE` serves the product of the file under /v1/products/{product_id} until it is
ended. It has no keys, no metrics, no tracing and no cache to look into: what the server itself costs.
"""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import uvicorn
from litestar import Litestar, get

from deploy.bench.load import HttpConnection, connect
from deploy.local.settings import LOOPBACK, ROOT, free_ports

START_S_MAX = 20.0
POLL_S = 0.05


class BareNotStarted(Exception):
    """The child process did not listen in time."""


def application(product: dict[str, Any]) -> Litestar:
    """One route that answers the same document whatever is asked for."""

    @get("/v1/products/{product_id:str}", sync_to_thread=False)
    def detail(product_id: str) -> dict[str, Any]:
        return product

    return Litestar([detail], openapi_config=None)


@asynccontextmanager
async def serving(document: bytes) -> AsyncIterator[str]:
    """Serves a JSON document by a child process for the time of the block; yields its base address."""
    (port,) = free_ports(1)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "product.json"
        path.write_bytes(document)
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "deploy.bench.bare", str(port), str(path)),
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "gen")))},
        )
        try:
            base_url = f"http://{LOOPBACK}:{port}"
            (await _listening(base_url)).close()
            yield base_url
        finally:
            with contextlib.suppress(ProcessLookupError):
                child.terminate()
            await child.wait()


async def _listening(base_url: str) -> HttpConnection:
    for _ in range(int(START_S_MAX / POLL_S)):
        try:
            return await connect(base_url)
        except OSError:
            await asyncio.sleep(POLL_S)
    raise BareNotStarted(f"{base_url} does not listen after {START_S_MAX:g} s")


def main(port: str, path: str) -> None:
    """Serves until SIGTERM."""
    product = msgspec.json.decode(Path(path).read_bytes())
    uvicorn.run(
        application(product),
        host=LOOPBACK,
        port=int(port),
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="warning",
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
