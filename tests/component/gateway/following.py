"""What tests of the streams of orders share: order events, a stand-in for the topic's tail, and reading streams."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import httpx
from sampan.orders.v1 import events_pb2
from sampan.orders.v1 import order_service_pb2 as pb

from services.chassis.envelope import Event
from services.gateway.order_feed import OrderFeed

PATH = "/v1/orders/events"
TYPE = "sampan.orders.v1.OrderProgressed"


def head(
    *,
    order_id: str = "",
    tenant_id: str = "demo",
    merchant_id: str = "north-lights",
    version: int = 1,
    state: pb.OrderState.ValueType = pb.ORDER_STATE_CONFIRMED,
) -> events_pb2.OrderEventHead:
    """What an order event says."""
    return events_pb2.OrderEventHead(
        tenant_id=tenant_id,
        merchant_id=merchant_id,
        order_id=order_id or str(uuid4()),
        version=version,
        state=state,
    )


@dataclass
class Tail:
    """A topic of two partitions whose events come as the test says."""

    feed: OrderFeed
    positions: dict[int, int] = field(default_factory=lambda: {0: 10, 1: 20})
    live: asyncio.Event = field(default_factory=asyncio.Event)
    wanted: bool = False

    def __post_init__(self) -> None:
        self.feed.source = self
        self.live.set()

    def demand(self, wanted: bool) -> None:
        """Whether anybody reads."""
        self.wanted = wanted

    def tell(self, *heads: events_pb2.OrderEventHead, partition: int = 0) -> None:
        """Events arrive, in one batch."""
        events = []
        for one in heads:
            key, at = one.order_id, self.positions[partition]
            self.positions[partition] += 1
            payload = one.SerializeToString()
            events.append(
                Event("orders", partition, at, key, TYPE, key, one.version, payload, None, UUID(int=1), 0)
            )
        self.feed.apply(events)


class Stream:
    """A stream as a client reads it: events one by one, and the last id that it would come back with."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self._lines = answer.aiter_lines()
        self.last_id = ""

    async def block(self) -> dict[str, str]:
        """The fields up to the next empty line; a comment's name is empty. Raises StopAsyncIteration at the end."""
        found: dict[str, str] = {}
        while line := await anext(self._lines):
            name, _, value = line.partition(": ")
            found[name] = value
        self.last_id = found.get("id", self.last_id)
        return found

    async def event(self) -> tuple[str, dict[str, Any]]:
        """The next event's name and data."""
        async with asyncio.timeout(20):
            while "data" not in (found := await self.block()):
                pass
        return found["event"], json.loads(found["data"])

    async def orders(self, count: int) -> list[dict[str, Any]]:
        """The data of the next `order` events."""
        told = [await self.event() for _ in range(count)]
        assert {name for name, _ in told} <= {"order"}, told
        return [data for _, data in told]

    async def rest(self) -> list[str]:
        """The lines up to the end."""
        async with asyncio.timeout(20):
            return [line async for line in self._lines]


@asynccontextmanager
async def following(
    client: httpx.AsyncClient, path: str = PATH, *, last_id: str = "", **params: str
) -> AsyncIterator[Stream]:
    """A stream that has begun."""
    headers = {"Last-Event-ID": last_id} if last_id else {}
    async with client.stream("GET", path, params=params, headers=headers) as answer:
        assert answer.status_code == 200, await answer.aread()
        assert answer.headers["content-type"].startswith("text/event-stream")
        stream = Stream(answer)
        # How long to wait before coming back, and where the stream begins.
        assert "retry" in await stream.block()
        if path == PATH:
            await stream.block()
        yield stream


def ids(told: Sequence[dict[str, Any]]) -> list[str]:
    """The orders of some events."""
    return [data["order_id"] for data in told]
