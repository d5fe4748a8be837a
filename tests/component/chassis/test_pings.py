"""Pings of HTTP/2 by a client of our own making: grpc's hides what the server thinks of them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from services.chassis.config import ServiceSettings
from services.chassis.rpc.server import add_health, make_server

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS, PING, GOAWAY = 0x4, 0x6, 0x7
ACK = 0x1
HEADER_BYTES = 9
# The core's own limit is two that come too early.
PINGS = 50


class Connection:
    """Frames of the connection itself: no stream is ever opened, so it is idle."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, kind: int, *, flags: int = 0, payload: bytes = b"") -> None:
        """A frame of stream 0."""
        header = len(payload).to_bytes(3, "big") + bytes((kind, flags)) + bytes(4)
        self._writer.write(header + payload)
        await self._writer.drain()

    async def receive(self) -> tuple[int, int, bytes]:
        """Kind, flags and payload of the next frame."""
        header = await self._reader.readexactly(HEADER_BYTES)
        return header[3], header[4], await self._reader.readexactly(int.from_bytes(header[:3], "big"))

    async def ping(self, payload: bytes) -> None:
        """Returns with the answer to this ping, fails if the server has had enough."""
        await self.send(PING, payload=payload)
        while True:
            kind, flags, content = await self.receive()
            if kind == GOAWAY:
                pytest.fail(f"cut off: {content[8:].decode()}")
            if (kind, flags & ACK, content) == (PING, ACK, payload):
                return


@contextlib.asynccontextmanager
async def connected(port: int) -> AsyncIterator[Connection]:
    """A connection whose settings are agreed upon."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(PREFACE)
        connection = Connection(reader, writer)
        await connection.send(SETTINGS)
        while (await connection.receive())[0] != SETTINGS:
            pass
        await connection.send(SETTINGS, flags=ACK)
        yield connection
    finally:
        writer.close()
        await writer.wait_closed()


async def test_pings_of_an_idle_connection_are_answered_however_many() -> None:
    """The bandwidth probes of a busy client and its keepalive together may come as fast as these."""
    server = make_server(ServiceSettings(), max_concurrent=1)
    add_health(server, [])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with asyncio.timeout(20), connected(port) as connection:
            for number in range(PINGS):
                await connection.ping(number.to_bytes(8, "big"))
    finally:
        await server.stop(0)
