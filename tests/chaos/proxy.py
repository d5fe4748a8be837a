"""A TCP proxy that can be told to misbehave, for every link between two parts of a cluster.

Runs as a process of its own (`python -m tests.chaos.proxy`), so that what it forwards costs the driver nothing.
It prints the port of its control socket as its first line and ends when its standard input closes. A control
request is a JSON line, the answer another:

    {"op": "open", "name": "orders-1>postgres", "port": 0, "to": 15432}     -> {"port": 23017}
    {"op": "set", "name": "orders-1>postgres", "mode": "refuse"}            -> {}
    {"op": "state"}                                                         -> {"connections": {…}}

Modes: `pass`; `refuse` (connections are reset, new ones refused); `blackhole` (everything is taken and nothing
passed on: a half-open link). `reset` is no mode but an operation: connections are reset once. `delay_ms` and
`bytes_per_s` (0: unlimited) slow a link down in either direction.
"""

import asyncio
import contextlib
import json
import socket
import struct
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import uvloop

LOOPBACK = "127.0.0.1"
CHUNK_BYTES = 64 * 1024
BACKLOG = 512
QUEUE_BYTES_MAX = 1024 * 1024

Mode = Literal["pass", "refuse", "blackhole"]


@dataclass(slots=True)
class Behaviour:
    """How a link treats what passes."""

    mode: Mode = "pass"
    delay_ms: float = 0.0
    bytes_per_s: float = 0.0


@dataclass(slots=True, eq=False)
class _Pair:
    """Both ends of one connection."""

    near: asyncio.StreamWriter
    far: asyncio.StreamWriter | None = None
    tasks: set["asyncio.Task[None]"] = field(default_factory=set)

    def reset(self) -> None:
        """Ends the connection as a crash of the network would: RST both ways."""
        for task in self.tasks:
            task.cancel()
        self.abort()

    def abort(self) -> None:
        """Sends the RSTs."""
        for writer in (self.near, self.far):
            if writer is None:
                continue
            raw = writer.get_extra_info("socket")
            with contextlib.suppress(OSError):
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()


class Link:
    """One listening port and where it leads."""

    def __init__(self, name: str, port: int, to: int) -> None:
        self.name = name
        self.port = port
        self.to = to
        self.behaviour = Behaviour()
        self._pairs: set[_Pair] = set()
        self._server: asyncio.Server | None = None
        self._changed = asyncio.Event()

    @property
    def connections(self) -> int:
        """How many pass through it now."""
        return len(self._pairs)

    async def listen(self) -> None:
        """Opens the port; 0 takes any."""
        if self._server is None:
            self._server = await asyncio.start_server(
                self._serve, LOOPBACK, self.port, backlog=BACKLOG, limit=CHUNK_BYTES
            )
            self.port = self._server.sockets[0].getsockname()[1]

    async def set(self, mode: Mode, *, delay_ms: float, bytes_per_s: float) -> None:
        """Takes another behaviour at once."""
        self.behaviour = Behaviour(mode, delay_ms, bytes_per_s)
        self._changed.set()
        self._changed = asyncio.Event()
        if mode == "refuse":
            if self._server is not None:
                self._server.close()
                self._server = None
            self.reset()
        else:
            await self.listen()

    def reset(self) -> None:
        """Ends all connections."""
        for pair in tuple(self._pairs):
            pair.reset()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pair = _Pair(writer)
        self._pairs.add(pair)
        task = asyncio.current_task()
        assert task is not None, "a server's callback runs in a task"
        pair.tasks.add(task)
        try:
            await self._while_silent()
            try:
                far_reader, far = await asyncio.open_connection(LOOPBACK, self.to, limit=CHUNK_BYTES)
            except OSError:
                # The one behind refuses: so do we, as far as one can after accepting.
                pair.abort()
                return
            pair.far = far
            for each in (writer, far):
                each.transport.set_write_buffer_limits(QUEUE_BYTES_MAX)
            back = asyncio.create_task(self._pump(far_reader, writer))
            pair.tasks.add(back)
            await asyncio.gather(self._pump(reader, far), back)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._pairs.discard(pair)
            for open_writer in (writer, pair.far):
                if open_writer is not None:
                    open_writer.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Passes on until the end of the stream, then says so to the other side."""
        while chunk := await reader.read(CHUNK_BYTES):
            behaviour = self.behaviour
            if behaviour.delay_ms:
                await asyncio.sleep(behaviour.delay_ms / 1000)
            if behaviour.bytes_per_s:
                await asyncio.sleep(len(chunk) / behaviour.bytes_per_s)
            await self._while_silent()
            if writer.is_closing():
                return
            writer.write(chunk)
            await writer.drain()
        await self._while_silent()
        if not writer.is_closing() and writer.can_write_eof():
            with contextlib.suppress(OSError):
                writer.write_eof()

    async def _while_silent(self) -> None:
        """Waits while the link swallows everything; what is late arrives when it is mended, as TCP would have it."""
        while self.behaviour.mode == "blackhole":
            await self._changed.wait()


class Proxy:
    """All links of a cluster and their control."""

    def __init__(self) -> None:
        self.links: dict[str, Link] = {}

    async def handle(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Carries out one control request."""
        match request["op"]:
            case "open":
                link = Link(request["name"], request.get("port", 0), request["to"])
                await link.listen()
                self.links[link.name] = link
                return {"port": link.port}
            case "set":
                mode = request.get("mode", "pass")
                if mode not in get_args(Mode):
                    raise ValueError(f"no mode {mode}")
                await self.links[request["name"]].set(
                    mode,
                    delay_ms=request.get("delay_ms", 0.0),
                    bytes_per_s=request.get("bytes_per_s", 0.0),
                )
                return {}
            case "reset":
                self.links[request["name"]].reset()
                return {}
            case "state":
                return {"connections": {name: link.connections for name, link in self.links.items()}}
            case other:
                raise ValueError(f"no operation {other}")

    async def control(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serves one control connection."""
        while line := await reader.readline():
            try:
                answer = await self.handle(json.loads(line))
            except (ValueError, KeyError, OSError) as error:
                answer = {"error": f"{type(error).__name__}: {error}"}
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
        writer.close()


async def main() -> None:
    """Serves until standard input closes."""
    proxy = Proxy()
    server = await asyncio.start_server(proxy.control, LOOPBACK, 0)
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    ended = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(ended), sys.stdin)
    await ended.read()
    server.close()
    for link in proxy.links.values():
        link.reset()


if __name__ == "__main__":
    uvloop.run(main())
