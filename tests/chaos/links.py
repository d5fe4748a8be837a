"""The links of a cluster as faults see them: one TCP proxy per pair of parts that talk."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from deploy.local.settings import LOOPBACK, ROOT
from tests.chaos.proxy import Mode


class ProxyProcess:
    """The child process that all links pass through."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = dict(environment)
        self._child: subprocess.Popen[bytes] | None = None
        self._port = 0
        self._lock = asyncio.Lock()

    async def start(self) -> None:
        """Starts it and learns its control port."""
        # By the standard library, not the loop: see tests/child.py.
        self._child = await asyncio.to_thread(
            lambda: subprocess.Popen(
                [sys.executable, "-m", "tests.chaos.proxy"],
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
        )
        assert self._child.stdout is not None, "asked for as a pipe"
        first = await asyncio.to_thread(self._child.stdout.readline)
        self._port = json.loads(first)["port"]

    async def ask(self, **request: Any) -> dict[str, Any]:
        """One control request; raises RuntimeError on a refusal."""
        async with self._lock:
            reader, writer = await asyncio.open_connection(LOOPBACK, self._port)
            try:
                writer.write(json.dumps(request).encode() + b"\n")
                await writer.drain()
                answer: dict[str, Any] = json.loads(await reader.readline())
            finally:
                writer.close()
        if "error" in answer:
            raise RuntimeError(f"the proxy refuses {request}: {answer['error']}")
        return answer

    async def stop(self) -> None:
        """Ends it."""
        child = self._child
        if child is not None:
            assert child.stdin is not None, "asked for as a pipe"
            child.stdin.close()
            await asyncio.to_thread(child.wait)


@dataclass(frozen=True, slots=True)
class Link:
    """From one part to another, as "orders-1>postgres"; `port` is the proxy's, `to` the real one."""

    name: str
    port: int
    to: int
    proxy: ProxyProcess

    async def set(self, mode: Mode = "pass", *, delay_ms: float = 0.0, bytes_per_s: float = 0.0) -> None:
        """Takes a behaviour at once; without arguments it is mended. Modes are explained in proxy.py."""
        await self.proxy.ask(op="set", name=self.name, mode=mode, delay_ms=delay_ms, bytes_per_s=bytes_per_s)

    async def mend(self) -> None:
        """Passes everything on again."""
        await self.set()

    async def reset(self) -> None:
        """Resets all connections once; new ones pass."""
        await self.proxy.ask(op="reset", name=self.name)
