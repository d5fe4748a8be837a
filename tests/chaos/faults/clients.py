"""Clients that ask for too much at once, read too slowly, send too slowly, or vanish in the middle."""

import asyncio
import json
import random
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress

import asyncpg

from deploy.local.settings import LOOPBACK
from tests.chaos import tasks
from tests.chaos.client import Request, new_key
from tests.chaos.cluster import Cluster
from tests.chaos.fault import BaseFault, Fault

FLOODING = 300
FLOOD_PATIENCE_S = 3.0
CONNECTIONS = 60
IDLE_CONNECTIONS = 300
RECEIVE_BUFFER_BYTES = 2_048
BYTE_PERIOD_S = 0.2
CONNECT_S_MAX = 3.0
NEW_ORDERS = "SELECT order_id::text FROM orders ORDER BY create_time DESC LIMIT 20"

Behaviour = Callable[[Cluster, int, random.Random], Awaitable[None]]


class Flood(BaseFault):
    """Far more work than there is capacity for, at both gateways, for some seconds: shed early, and nothing lost."""

    name = "clients.flood"
    duration_s = (3.0, 6.0)

    def targets(self, cluster: Cluster) -> Sequence[str]:
        """What is asked for."""
        return ["orders", "quotes", "reads"]

    @asynccontextmanager
    async def inject(self, cluster: Cluster, target: str, rng: random.Random) -> AsyncIterator[None]:
        """Hundreds of callers, each at once again when it has its answer; those under way come to their end."""
        leaving = asyncio.Event()

        async def ask() -> None:
            while not leaving.is_set():
                request = _request(cluster, target, rng)
                await cluster.client.send(request, patience_s=FLOOD_PATIENCE_S)

        asking = [asyncio.create_task(ask()) for _ in range(FLOODING)]
        try:
            yield
        finally:
            leaving.set()
            await asyncio.gather(*asking)


class Misbehaving(BaseFault):
    """Many connections to one gateway that behave in the same bad way."""

    duration_s = (4.0, 9.0)

    def __init__(self, name: str, behaviour: Behaviour, *, connections: int = CONNECTIONS) -> None:
        self.name = f"clients.{name}"
        self._behaviour = behaviour
        self._connections = connections

    def targets(self, cluster: Cluster) -> Sequence[str]:
        """Every gateway, by its link."""
        return [name for name in cluster.link_names if name.startswith("client>")]

    @asynccontextmanager
    async def inject(self, cluster: Cluster, target: str, rng: random.Random) -> AsyncIterator[None]:
        """Opens them; on leaving all are cut."""
        # To the gateway itself: the link's proxy would swallow what a slow reader leaves.
        port = cluster.links[target].to

        async def behave() -> None:
            while True:
                with suppress(OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
                    await self._behaviour(cluster, port, rng)
                await asyncio.sleep(BYTE_PERIOD_S)

        behaving = [asyncio.create_task(behave()) for _ in range(self._connections)]
        try:
            yield
        finally:
            await tasks.end(behaving)


async def _read_nothing(cluster: Cluster, port: int, rng: random.Random) -> None:
    """Asks for a stream or a big list, and never reads."""
    connection = await asyncpg.connect(cluster.dsn("orders"), timeout=CONNECT_S_MAX)
    try:
        rows = await connection.fetch(NEW_ORDERS)
    finally:
        connection.terminate()
    paths = [f"/v1/orders/{row['order_id']}/events" for row in rows] or ["/v1/products?page_size=500"]
    paths += ["/v1/orders?page_size=100", "/v1/products?page_size=500"] * 5
    raw = await _connected(port)
    try:
        await asyncio.get_running_loop().sock_sendall(raw, _head(cluster, "GET", rng.choice(paths)))
        await asyncio.Event().wait()
    finally:
        _vanish(raw)


async def _send_slowly(cluster: Cluster, port: int, rng: random.Random) -> None:
    """Sends a sound order a byte at a time."""
    body = json.dumps(cluster.shop.order(rng, buyer_ref="slow")).encode()
    request = _head(cluster, "POST", "/v1/orders", body=body) + body
    raw = await _connected(port)
    loop = asyncio.get_running_loop()
    try:
        for byte in request:
            await loop.sock_sendall(raw, bytes((byte,)))
            await asyncio.sleep(BYTE_PERIOD_S)
    finally:
        _vanish(raw)


async def _vanish_halfway(cluster: Cluster, port: int, rng: random.Random) -> None:
    """Sends a part of an order, or all of it, and is gone before the answer."""
    body = json.dumps(cluster.shop.order(rng, buyer_ref="gone")).encode()
    # Without a key it would be refused in any case: nobody could tell an order of this client from one invented.
    request = _head(cluster, "POST", "/v1/quotes", body=body) + body
    raw = await _connected(port)
    try:
        cut = rng.randint(1, len(request))
        await asyncio.get_running_loop().sock_sendall(raw, request[:cut])
        await asyncio.sleep(rng.uniform(0, 1))
    finally:
        _vanish(raw)


async def _say_nothing(cluster: Cluster, port: int, rng: random.Random) -> None:
    """Connects and waits."""
    raw = await _connected(port)
    try:
        await asyncio.Event().wait()
    finally:
        _vanish(raw)


def _request(cluster: Cluster, what: str, rng: random.Random) -> Request:
    if what == "orders":
        body = json.dumps(cluster.shop.order(rng, buyer_ref="flood")).encode()
        return Request("place", "storefront", "POST", "/v1/orders", body, key=new_key())
    if what == "quotes":
        order = cluster.shop.order(rng, buyer_ref="flood")
        body = json.dumps({name: order[name] for name in ("currency_code", "lines")}).encode()
        return Request("quote", "storefront", "POST", "/v1/quotes", body)
    query = {"page_size": "100"}
    return Request("list", "storefront", "GET", "/v1/orders", query=query)


def _head(cluster: Cluster, method: str, path: str, *, body: bytes = b"") -> bytes:
    lines = [
        f"{method} {path} HTTP/1.1",
        f"Host: {LOOPBACK}",
        f"Authorization: Bearer {cluster.api_keys['storefront']}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join((*lines, "", "")).encode()


async def _connected(port: int) -> socket.socket:
    raw = socket.socket()
    raw.setblocking(False)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
    try:
        async with asyncio.timeout(CONNECT_S_MAX):
            await asyncio.get_running_loop().sock_connect(raw, (LOOPBACK, port))
    except BaseException:
        raw.close()
        raise
    return raw


def _vanish(raw: socket.socket) -> None:
    """Without a goodbye: a reset, as from a phone that lost its network and came back."""
    with suppress(OSError):
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    raw.close()


FAULTS: Sequence[Fault] = (
    Flood(),
    Misbehaving("slow-readers", _read_nothing),
    Misbehaving("slow-senders", _send_slowly),
    Misbehaving("half-open", _vanish_halfway),
    Misbehaving("idle", _say_nothing, connections=IDLE_CONNECTIONS),
)
