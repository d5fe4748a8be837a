"""HTTP as bytes: what clients say that none should, and whether each answer is that of its own request."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from uvicorn.server import ServerState

from services.chassis.config import ServiceSettings
from services.chassis.lifecycle import listen
from services.gateway.app import Edge
from services.gateway.connections import BoundedConfig, Connection, Limits
from services.gateway.cycle import CYCLE
from services.gateway.routes import examples
from services.gateway.server import HttpServer
from tests.component.gateway.conftest import STOREFRONT_KEY, Start, System
from tests.component.gateway.ordering import key, until
from tests.component.gateway.test_connections import HEAD, PATIENCE_S, connection, rest

LIMITS = Limits(
    connections_max=100,
    head_bytes_max=8192,
    head_s_max=10,
    body_idle_s_max=10,
    send_s_max=60,
    keep_alive_s=60,
)
HEALTH = f"GET /healthz HTTP/1.1\r\n{HEAD}\r\n".encode()
LAST = f"GET /healthz HTTP/1.1\r\n{HEAD}Connection: close\r\n\r\n".encode()
REFUSAL = b"HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\n\r\n"


def placement(*headers: str, body: bytes = b"", declared: int | None = None) -> bytes:
    """The head of a placement, and the body where it is sent at once."""
    lines = [
        "POST /v1/orders HTTP/1.1",
        f"X-API-Key: {STOREFRONT_KEY}",
        "Host: t",
        f"Idempotency-Key: {key()['Idempotency-Key']}",
        "Content-Type: application/json",
        *headers,
    ]
    if declared is not None:
        lines.append(f"Content-Length: {declared}")
    return "\r\n".join((*lines, "", "")).encode() + body


class Door:
    """An application that answers `ok` as often as it is told, behind connections that nobody sweeps."""

    def __init__(self) -> None:
        self.config = BoundedConfig(
            self._serve,
            LIMITS,
            lambda method, target, headers, peer: REFUSAL if self.is_shut else None,
            loop="none",
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
        )
        self.config.load()
        self.state = ServerState()
        self.is_shut = False
        self.gate = asyncio.Semaphore(1000)
        self.answer = b"ok"
        self.paths: list[str] = []
        self.port = 0

    async def _serve(self, scope: Any, receive: Any, send: Any) -> None:
        self.paths.append(scope["path"])
        await self.gate.acquire()
        headers = ((b"content-length", b"%d" % len(self.answer)),)
        await scope[CYCLE].reply(200, headers, self.answer)

    @property
    def connection(self) -> Connection:
        """The only one that is open."""
        (found,) = self.state.connections
        return cast(Connection, found)


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    """A door on a free port."""
    door = Door()
    loop = asyncio.get_running_loop()

    def connected() -> asyncio.Protocol:
        return Connection(door.config, door.state, {})

    server = await loop.create_server(connected, "127.0.0.1", 0)
    door.port = server.sockets[0].getsockname()[1]
    yield door
    server.close()
    for found in list(door.state.connections):
        cast(Connection, found).transport.abort()


@asynccontextmanager
async def at(door: Door) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A bare connection to a door."""
    async with connection(cast(System, door)) as streams:
        await until(lambda: bool(door.state.connections))
        yield streams


@pytest.mark.parametrize("is_in_one_piece", [True, False])
@pytest.mark.parametrize("framing", ["length", "chunks"])
async def test_a_wish_for_another_protocol_does_not_take_the_body(
    system: System, framing: str, is_in_one_piece: bool
) -> None:
    """The parser took the body for the other protocol's: it was thrown away, or served as a request of its own."""
    wish = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAEAAEAAAAIAAAAB")
    body = json.dumps(examples.ORDER).encode()
    if framing == "length":
        head, sent = placement(*wish, declared=len(body)), body
    else:
        head = placement(*wish, "Transfer-Encoding: chunked")
        sent = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    async with connection(system) as (reader, writer):
        if is_in_one_piece:
            writer.write(head + sent + LAST)
        else:
            writer.write(head[:-20])
            await writer.drain()
            await until(lambda: any(found._head_bytes for found in system.connections))
            writer.write(head[-20:])
            await until(lambda: any(found.cycle is not None for found in system.connections))
            writer.write(sent + LAST)
        answer = await rest(reader)
    assert answer.startswith(b"HTTP/1.1 201 ")
    assert answer.count(b"HTTP/1.1 ") == 2
    assert len(system.orders.orders) == 1


async def test_a_body_behind_a_wish_for_another_protocol_is_no_request(door: Door) -> None:
    inner = b"POST /smuggled HTTP/1.1\r\nContent-Length: 0\r\n\r\n"
    head = b"POST /outer HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: %d\r\n\r\n"
    async with at(door) as (reader, writer):
        writer.write(head % len(inner))
        await until(lambda: door.paths == ["/outer"])
        writer.write(
            inner + b"GET /last HTTP/1.1\r\nConnection: close, Upgrade\r\nUpgrade: websocket\r\n\r\n"
        )
        assert (await rest(reader)).count(b"HTTP/1.1 200 ") == 2
    assert door.paths == ["/outer", "/last"]


async def test_a_tunnel_is_refused_and_nothing_behind_it_is_served(door: Door) -> None:
    async with at(door) as (reader, writer):
        writer.write(b"CONNECT t:443 HTTP/1.1\r\nHost: t\r\n\r\nGET /inside HTTP/1.1\r\nHost: t\r\n\r\n")
        answer = await rest(reader)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"/problems/header-invalid" in answer
    assert door.paths == []


async def test_trailers_are_not_kept(door: Door) -> None:
    async with at(door) as (reader, writer):
        writer.write(b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Late: 1\r\n")
        assert b" 200 " in await asyncio.wait_for(reader.readline(), PATIENCE_S)
        writer.write(b"X-Later: 1\r\n\r\nGET /b HTTP/1.1\r\nConnection: close\r\n\r\n")
        assert b" 200 " in await rest(reader)
    assert door.paths == ["/a", "/b"]


@pytest.mark.parametrize("endless", [b"a: b\r\n" * 200, b"a" * 1200], ids=["many", "one"])
async def test_trailers_without_end_end_the_connection(door: Door, endless: bytes) -> None:
    """Neither counted as a head nor as a body, they were kept for as long as the client sent them."""
    async with at(door) as (reader, writer):
        writer.write(b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n")
        assert b" 200 " in await asyncio.wait_for(reader.readline(), PATIENCE_S)
        headers = len(door.connection.headers)
        async with asyncio.timeout(PATIENCE_S):
            while door.state.connections:
                assert len(door.connection.headers) == headers
                writer.write(endless)
                await asyncio.sleep(0)


async def test_a_chunked_body_is_not_taken_for_trailers(start: Start) -> None:
    """Chunks whose size and content come in pieces of their own, together far beyond a head's bound."""
    system = await start(head_bytes_max=4096)
    body = json.dumps(examples.ORDER).encode() + b" " * 20_000
    async with connection(system) as (reader, writer):
        writer.write(placement("Transfer-Encoding: chunked", "Connection: close"))
        for begin in range(0, len(body), 1000):
            piece = body[begin : begin + 1000]
            writer.write(b"%x\r\n" % len(piece))
            await writer.drain()
            await asyncio.sleep(0)
            writer.write(piece + b"\r\n")
        writer.write(b"0\r\n\r\n")
        assert (await rest(reader)).startswith(b"HTTP/1.1 201 ")


async def test_refusals_that_nobody_reads_are_not_piled_up(door: Door) -> None:
    door.is_shut = True
    many = b"POST /v1/orders HTTP/1.1\r\nContent-Length: 0\r\n\r\n" * 1000
    async with at(door) as (_, writer):
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        transport = door.connection.transport
        most_bytes = 0
        async with asyncio.timeout(PATIENCE_S):
            while door.state.connections:
                writer.write(many)
                most_bytes = max(most_bytes, transport.get_write_buffer_size())
                assert most_bytes < 1024 * 1024
                await asyncio.sleep(0)


async def test_garbage_behind_a_request_is_not_its_answer(door: Door) -> None:
    door.gate = asyncio.Semaphore(0)
    async with at(door) as (reader, writer):
        writer.write(b"POST /a HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
        await until(lambda: door.paths == ["/a"])
        writer.write(b"\x00garbage\r\n\r\n")
        assert await rest(reader) == b""
    async with at(door) as (reader, writer):
        writer.write(b"\x00garbage\r\n\r\n")
        answer = await rest(reader)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"application/problem+json" in answer


async def test_garbage_in_a_body_is_the_answer_to_its_request(system: System) -> None:
    async with connection(system) as (reader, writer):
        writer.write(placement("Transfer-Encoding: chunked"))
        await until(lambda: any(found.cycle is not None for found in system.connections))
        writer.write(b"no size\r\n")
        answer = await rest(reader)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1 ") == 1


async def test_garbage_in_a_body_behind_its_answer_is_not_answered_again(door: Door) -> None:
    async with at(door) as (reader, writer):
        writer.write(b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
        await until(lambda: door.connection._idle_since_s is not None)
        writer.write(b"no size\r\n")
        assert (await rest(reader)).count(b"HTTP/1.1 ") == 1


async def test_a_head_behind_requests_at_work_has_its_time_when_they_are_answered(door: Door) -> None:
    """It was given up while we did not read, and with it the answers under way."""
    door.gate = asyncio.Semaphore(0)
    async with at(door) as (reader, writer):
        request = b"POST /%b HTTP/1.1\r\nContent-Length: 0\r\n\r\n"
        writer.write(request % b"a" + request % b"b" + b"GET /c HT")
        await until(lambda: door.paths == ["/a"])
        served = door.connection
        served.look(served.loop.time() + 100)
        door.gate.release()
        await until(lambda: door.paths == ["/a", "/b"])
        served.look(served.loop.time() + 100)
        door.gate.release()
        await until(lambda: not served.pipeline and cast(Any, served.cycle).response_complete)
        served.look(served.loop.time())
        assert not served.transport.is_closing()
        writer.write(b"TP/1.1\r\nConnection: close\r\n\r\n")
        door.gate.release()
        assert (await rest(reader)).count(b"HTTP/1.1 200 ") == 3


@pytest.mark.parametrize("is_shut", [False, True])
async def test_an_answer_before_100_ends_the_connection(door: Door, is_shut: bool) -> None:
    """The client may leave the body out, and its next request was swallowed as one."""
    door.is_shut = is_shut
    async with at(door) as (reader, writer):
        writer.write(b"POST /a HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 50\r\n\r\n")
        answer = await rest(reader)
    assert b"connection: close\r\n" in answer
    assert answer.count(b"HTTP/1.1 ") == 1


async def test_a_body_that_did_not_wait_for_100_leaves_the_connection_open(door: Door) -> None:
    async with at(door) as (reader, writer):
        writer.write(b"POST /a HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n{}")
        writer.write(b"GET /b HTTP/1.1\r\nConnection: close\r\n\r\n")
        assert (await rest(reader)).count(b"HTTP/1.1 200 ") == 2


async def test_who_reads_slowly_but_reads_is_not_cut_off(door: Door) -> None:
    """Only an empty buffer counted as reading."""
    door.answer = b"x" * 30_000_000
    async with at(door) as (reader, writer):
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(b"GET /a HTTP/1.1\r\n\r\n")
        await until(lambda: bool(door.state.connections) and buffered(door) > 0)
        served = door.connection
        now_s = served.loop.time()
        served.look(now_s)
        for _ in range(4):
            before = buffered(door)
            writer.transport.resume_reading()  # type: ignore[attr-defined]
            while buffered(door) > before - 100_000:
                await asyncio.wait_for(reader.read(2**16), PATIENCE_S)
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            now_s += LIMITS.send_s_max * 0.9
            served.look(now_s)
            assert not served.transport.is_closing()
        served.look(now_s + LIMITS.send_s_max * 2)
        assert served.transport.is_closing()


def buffered(door: Door) -> int:
    """The bytes that wait for the client to read."""
    return door.connection.transport.get_write_buffer_size()


class Broken:
    """A connection that cannot be looked at."""

    def __init__(self) -> None:
        self.transport = self
        self.is_aborted = False

    def look(self, now_s: float) -> None:
        """Fails."""
        raise ArithmeticError

    def abort(self) -> None:
        """Called by the sweep."""
        self.is_aborted = True

    def shutdown(self) -> None:
        """Called by uvicorn."""


async def test_one_bad_look_does_not_end_the_others(start: Start) -> None:
    system = await start(keep_alive_s=0.2)
    broken = Broken()
    system.connections.add(broken)
    async with connection(system) as (idle, writer):
        writer.write(HEALTH)
        assert (await rest(idle)).startswith(b"HTTP/1.1 200 ")
    assert broken.is_aborted
    system.connections.discard(broken)


async def test_a_server_without_its_sweep_ends() -> None:
    """It would serve on without one bound on its clients."""

    class App:
        turn_away = None

    listener = listen(ServiceSettings(grpc_port=0), "grpc_port")
    server = HttpServer(cast(Edge, App()), LIMITS, drain_grace_s=1)
    running = asyncio.create_task(server.run(listener))
    await until(lambda: any(task.get_name() == "connections" for task in asyncio.all_tasks()))
    (sweeping,) = (task for task in asyncio.all_tasks() if task.get_name() == "connections")
    sweeping.cancel()
    with pytest.raises(RuntimeError, match="looked after"):
        await asyncio.wait_for(running, PATIENCE_S)
