"""What a client costs while it does nothing: slow heads and bodies, unread answers, idle and surplus connections."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sampan.orders.v1 import order_service_pb2 as pb

from services.gateway.routes import examples
from tests.component.gateway.conftest import OPERATOR_KEY, STOREFRONT_KEY, Start, System
from tests.component.gateway.ordering import key, order_event, placed_order, until
from tests.component.gateway.test_edge import assert_problem

PATIENCE_S = 10.0
HEAD = f"X-API-Key: {OPERATOR_KEY}\r\nHost: t\r\n"


@asynccontextmanager
async def connection(
    system: System, *, receive_bytes: int = 0
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A bare connection, with a small receive buffer where asked for."""
    client = socket.socket()
    if receive_bytes:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    client.setblocking(False)
    await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", system.port))
    reader, writer = await asyncio.open_connection(sock=client, limit=2**16)
    try:
        yield reader, writer
    finally:
        writer.close()


async def rest(reader: asyncio.StreamReader) -> bytes:
    """Everything until the server closes."""
    return await asyncio.wait_for(reader.read(-1), PATIENCE_S)


async def test_a_head_that_does_not_come_ends_the_connection(start: Start) -> None:
    system = await start(head_s_max=0.2)
    async with connection(system) as (silent, _), connection(system) as (slow, writer):
        writer.write(b"GET /v1/orders HTTP/1.1\r\nHost: t\r\nX-Slow: ")
        for reader in (silent, slow):
            answer = await rest(reader)
            assert answer.startswith(b"HTTP/1.1 408 ")
            assert b"/problems/body-timeout" in answer


async def test_a_second_head_on_a_connection_has_no_more_time_than_the_first(start: Start) -> None:
    system = await start(head_s_max=0.2)
    async with connection(system) as (reader, writer):
        writer.write(f"GET /healthz HTTP/1.1\r\n{HEAD}\r\n".encode())
        assert b" 200 " in await asyncio.wait_for(reader.readline(), PATIENCE_S)
        writer.write(b"GET /hea")
        assert b"HTTP/1.1 408 " in await rest(reader)


async def test_a_head_beyond_its_bound_is_431(start: Start) -> None:
    system = await start(head_bytes_max=8192)
    async with connection(system) as (reader, writer):
        headers = b"".join(b"X-%d: %b\r\n" % (number, b"y" * 100) for number in range(100))
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: t\r\n" + headers)
        assert (await rest(reader)).startswith(b"HTTP/1.1 431 ")


async def test_a_body_that_drips_is_given_up_however_often_it_moves(start: Start) -> None:
    system = await start(body_idle_s_max=0.3)
    async with connection(system) as (reader, writer):
        head = f"POST /v1/orders HTTP/1.1\r\n{HEAD}Idempotency-Key: k\r\nContent-Type: application/json\r\n"
        writer.write(f"{head}Content-Length: 1000\r\n\r\n".encode())
        answer = asyncio.create_task(asyncio.wait_for(reader.readline(), PATIENCE_S))
        while not answer.done():
            writer.write(b" ")
            await asyncio.wait({answer}, timeout=0.05)
        assert b" 408 " in await answer


async def test_an_idle_connection_is_closed_and_a_busy_one_is_not(start: Start) -> None:
    system = await start(keep_alive_s=0.2)
    system.orders.delay_s = 0.6
    async with connection(system) as (idle, writer), connection(system) as (busy, asker):
        asker.write(f"GET /v1/orders HTTP/1.1\r\n{HEAD}\r\n".encode())
        writer.write(f"GET /healthz HTTP/1.1\r\n{HEAD}\r\n".encode())
        assert (await rest(idle)).startswith(b"HTTP/1.1 200 ")
        assert b" 200 " in await asyncio.wait_for(busy.readline(), PATIENCE_S)


async def test_connections_beyond_the_bound_are_told_so_and_closed(start: Start) -> None:
    system = await start(connections_max=2)
    async with connection(system) as (first, writer), connection(system):
        writer.write(f"GET /healthz HTTP/1.1\r\n{HEAD}\r\n".encode())
        assert b" 200 " in await asyncio.wait_for(first.readline(), PATIENCE_S)
        async with connection(system) as (surplus, _):
            answer = await rest(surplus)
            assert answer.startswith(b"HTTP/1.1 429 ")
            assert b"retry-after: 1\r\n" in answer


async def test_an_answer_that_nobody_reads_ends_the_connection(start: Start) -> None:
    system = await start(send_s_max=0.3)
    for number in range(40):
        system.catalog.add("demo", f"p{number}", title="x" * 100_000)
    async with connection(system, receive_bytes=4096) as (_, writer):
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(f"GET /v1/products HTTP/1.1\r\n{HEAD}\r\n".encode())
        await until(lambda: len(system.connections) > 0)
        await until(lambda: len(system.connections) == 0, timeout_s=PATIENCE_S)


async def test_a_stream_that_nobody_reads_ends_and_gives_its_place_back(start: Start) -> None:
    system = await start(send_s_max=0.3, streams_max=1)
    order = await placed_order(system)
    path = f"/v1/orders/{order.order_id}/events"
    async with connection(system, receive_bytes=4096) as (_, writer):
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(f"GET {path} HTTP/1.1\r\n{HEAD}\r\n".encode())
        await until(lambda: bool(system.gateway.feed._by_order))
        while system.gateway.feed._by_order:
            moved = system.orders.move(order.order_id, pb.ORDER_STATE_CONFIRMED)
            system.gateway.feed.apply([order_event(moved)])
            await asyncio.sleep(0)
    async with system.storefront.stream("GET", path) as stream:
        assert stream.status_code == 200


async def test_idle_streams_beyond_the_bound_are_refused_and_the_rest_cost_little(start: Start) -> None:
    system = await start(streams_max=50)
    order = await placed_order(system)
    request = f"GET /v1/orders/{order.order_id}/events HTTP/1.1\r\n{HEAD}\r\n".encode()
    opened = []
    for _ in range(60):
        reader, writer = await asyncio.open_connection("127.0.0.1", system.port)
        writer.write(request)
        opened.append((reader, writer))
    lines = [await asyncio.wait_for(reader.readline(), PATIENCE_S) for reader, _ in opened]
    assert sum(b" 200 " in line for line in lines) == 50
    assert sum(b" 429 " in line for line in lines) == 10
    for _, writer in opened:
        writer.close()
    await until(lambda: not system.gateway.feed._by_order)
    await until(lambda: len(system.connections) <= 1)


async def test_what_is_pipelined_is_answered_in_order(system: System) -> None:
    async with connection(system) as (reader, writer):
        ask = f"GET /healthz HTTP/1.1\r\n{HEAD}X-Request-Id: %s\r\n\r\n"
        last = f"GET /healthz HTTP/1.1\r\n{HEAD}Connection: close\r\nX-Request-Id: %s\r\n\r\n"
        writer.write("".join([ask % "a", ask % "b", last % "c"]).encode())
        answer = await rest(reader)
        places = [answer.index(b"x-request-id: %b\r\n" % name) for name in (b"a", b"b", b"c")]
        assert places == sorted(places)
        assert answer.count(b"HTTP/1.1 200 ") == 3
        assert b"connection: close" in answer


async def test_placements_beyond_the_door_are_turned_away_before_their_body(start: Start) -> None:
    system = await start(place_under_way_max=2, place_under_way_min=1)
    system.orders.gate = asyncio.Event()
    inside = [
        asyncio.create_task(system.storefront.post("/v1/orders", json=examples.ORDER, headers=key()))
        for _ in range(2)
    ]
    await until(lambda: sum(system.orders.batch_sizes) == 2)
    async with connection(system) as (reader, writer):
        # Not one byte of the body is sent.
        head = f"X-API-Key: {STOREFRONT_KEY}\r\nHost: t\r\nIdempotency-Key: k\r\nContent-Length: 100\r\n"
        writer.write(f"POST /v1/orders HTTP/1.1\r\n{head}Content-Type: application/json\r\n\r\n".encode())
        assert b" 429 " in await asyncio.wait_for(reader.readline(), PATIENCE_S)
        # The body may still come; the connection serves the next request.
        writer.write(b"x" * 100 + f"GET /healthz HTTP/1.1\r\n{HEAD}Connection: close\r\n\r\n".encode())
        assert b"HTTP/1.1 200 " in await rest(reader)
    answer = await system.storefront.post("/v1/orders", json=examples.ORDER, headers=key())
    assert_problem(answer, 429, "OVERLOADED")
    assert answer.headers["retry-after"] == "1"
    assert (await system.storefront.get("/v1/products")).status_code == 200
    system.orders.gate.set()
    assert [(await task).status_code for task in inside] == [201, 201]
    assert (await system.storefront.post("/v1/orders", json=examples.ORDER, headers=key())).status_code == 201
