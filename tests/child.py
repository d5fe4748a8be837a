"""Child processes for asynchronous tests, started by the standard library.

uvloop starts a process by forking in C and running Python's after-fork hooks in the child: in a process with gRPC's
and other threads the child was seen to spin there for ever, before it became what it should be.
"""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

LINE_BYTES_MAX = 1_000_000


class Child:
    """A running process; the same names as asyncio's own. Its output must be read, or it blocks."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        stdout: asyncio.StreamReader | None,
        stderr: asyncio.StreamReader | None,
    ) -> None:
        self._process = process
        self.stdout = stdout
        self.stderr = stderr
        self.kill = process.kill
        self.terminate = process.terminate
        self.send_signal = process.send_signal

    @property
    def returncode(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        return self._process.poll()

    async def wait(self) -> int:
        """The exit code, once it has ended."""
        return await asyncio.to_thread(self._process.wait)

    async def communicate(self) -> tuple[bytes, bytes]:
        """Both outputs to their ends, once it has ended."""
        outputs = await asyncio.gather(_rest(self.stdout), _rest(self.stderr))
        await self.wait()
        return outputs[0], outputs[1]


async def start(
    command: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path | None = None,
    stdout: int | None = subprocess.PIPE,
    stderr: int | None = subprocess.PIPE,
) -> Child:
    """Starts a process without any input."""
    process = await asyncio.to_thread(
        lambda: subprocess.Popen(
            command, cwd=cwd, env=dict(env), stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr
        )
    )
    return Child(process, await _reader(process.stdout), await _reader(process.stderr))


async def _reader(pipe: IO[bytes] | None) -> asyncio.StreamReader | None:
    if pipe is None:
        return None
    reader = asyncio.StreamReader(limit=LINE_BYTES_MAX)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    return reader


async def _rest(reader: asyncio.StreamReader | None) -> bytes:
    return b"" if reader is None else await reader.read()
