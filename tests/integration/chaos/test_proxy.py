"""The proxy misbehaves exactly as it is told, and behaves otherwise."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.chaos.proxy import Link, Proxy

SILENCE_S = 0.3
PATIENCE_S = 5.0
HOUR_MS = 3_600_000.0


@asynccontextmanager
async def echo_behind_a_link() -> AsyncIterator[Link]:
    """A server that repeats what it hears, behind a link."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    proxy = Proxy()
    await proxy.handle({"op": "open", "name": "a>b", "to": server.sockets[0].getsockname()[1]})
    link = proxy.links["a>b"]
    try:
        yield link
    finally:
        await link.set("refuse", delay_ms=0, bytes_per_s=0)
        server.close()


async def say(
    connection: tuple[asyncio.StreamReader, asyncio.StreamWriter], words: bytes, *, s_max: float = PATIENCE_S
) -> bytes:
    """What comes back within the time."""
    reader, writer = connection
    writer.write(words)
    async with asyncio.timeout(s_max):
        return await reader.readexactly(len(words))


async def test_it_passes_everything_on() -> None:
    async with echo_behind_a_link() as link:
        connection = await asyncio.open_connection("127.0.0.1", link.port)
        assert await say(connection, b"x" * 300_000) == b"x" * 300_000
        connection[1].write_eof()
        async with asyncio.timeout(PATIENCE_S):
            assert await connection[0].read() == b""


async def test_reset_ends_connections_once() -> None:
    async with echo_behind_a_link() as link:
        connection = await asyncio.open_connection("127.0.0.1", link.port)
        assert await say(connection, b"hello") == b"hello"
        link.reset()
        with pytest.raises(ConnectionResetError):
            async with asyncio.timeout(PATIENCE_S):
                await connection[0].readexactly(1)
        again = await asyncio.open_connection("127.0.0.1", link.port)
        assert await say(again, b"hello") == b"hello"


async def test_refuse_refuses_until_it_is_mended() -> None:
    async with echo_behind_a_link() as link:
        connection = await asyncio.open_connection("127.0.0.1", link.port)
        assert await say(connection, b"hello") == b"hello"
        await link.set("refuse", delay_ms=0, bytes_per_s=0)
        with pytest.raises(ConnectionResetError):
            async with asyncio.timeout(PATIENCE_S):
                await connection[0].readexactly(1)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", link.port)
        await link.set("pass", delay_ms=0, bytes_per_s=0)
        again = await asyncio.open_connection("127.0.0.1", link.port)
        assert await say(again, b"hello") == b"hello"


async def test_a_half_open_link_holds_everything_back() -> None:
    async with echo_behind_a_link() as link:
        connection = await asyncio.open_connection("127.0.0.1", link.port)
        assert await say(connection, b"before") == b"before"
        await link.set("blackhole", delay_ms=0, bytes_per_s=0)
        with pytest.raises(TimeoutError):
            await say(connection, b"during", s_max=SILENCE_S)
        new = await asyncio.open_connection("127.0.0.1", link.port)
        with pytest.raises(TimeoutError):
            await say(new, b"during", s_max=SILENCE_S)
        await link.set("pass", delay_ms=0, bytes_per_s=0)
        async with asyncio.timeout(PATIENCE_S):
            assert await connection[0].readexactly(6) == b"during"
            assert await new[0].readexactly(6) == b"during"


@pytest.mark.parametrize(("delay_ms", "bytes_per_s"), [(HOUR_MS, 0.0), (0.0, 1.0)])
async def test_what_takes_hours_on_a_slow_link_does_not_come_at_once(
    delay_ms: float, bytes_per_s: float
) -> None:
    async with echo_behind_a_link() as link:
        await link.set("pass", delay_ms=delay_ms, bytes_per_s=bytes_per_s)
        connection = await asyncio.open_connection("127.0.0.1", link.port)
        with pytest.raises(TimeoutError):
            await say(connection, b"x" * 10_000, s_max=SILENCE_S)


@pytest.mark.parametrize(("delay_ms", "bytes_per_s"), [(1.0, 0.0), (0.0, 1_000_000.0)])
async def test_a_slow_link_loses_nothing(delay_ms: float, bytes_per_s: float) -> None:
    async with echo_behind_a_link() as link:
        await link.set("pass", delay_ms=delay_ms, bytes_per_s=bytes_per_s)
        connection = await asyncio.open_connection("127.0.0.1", link.port)
        assert await say(connection, b"x" * 10_000) == b"x" * 10_000


async def test_whoever_is_behind_and_refuses_is_seen_as_such() -> None:
    async with echo_behind_a_link() as link:
        link.to = 1
        reader, _ = await asyncio.open_connection("127.0.0.1", link.port)
        with pytest.raises(ConnectionResetError):
            async with asyncio.timeout(PATIENCE_S):
                await reader.readexactly(1)
