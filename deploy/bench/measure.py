"""One measured part of the bench: send all orders, wait until the last is decided, see what was used."""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field

import msgspec

from deploy.bench.load import Load, send_all
from deploy.bench.machine import Cost, Meter
from deploy.bench.shop import must
from deploy.bench.world import World
from deploy.replay.client import Api
from deploy.replay.report import percentile

POLL_S = 0.02
DECIDE_S_MAX = 300.0
ORDERS_PAGE = "500"


class OrderHead(msgspec.Struct):
    """As much of an order as the bench looks at."""

    order_id: str


class OrderPage(msgspec.Struct):
    """One page of a list of orders."""

    orders: list[OrderHead]
    next_page_token: str = ""


class _StockRow(msgspec.Struct):
    on_hand: int
    reserved: int


class _StockPage(msgspec.Struct):
    stock: list[_StockRow]
    next_page_token: str = ""


_decode_orders = msgspec.json.Decoder(OrderPage).decode


class NotDecided(Exception):
    """Orders were still pending after the bound of time."""


@dataclass(slots=True)
class Part:
    """What one part showed."""

    sent: int
    accepted: int
    statuses: Mapping[int, int]
    repeated: int
    elapsed_s: float
    """From the first POST to the last decision."""
    posted_s: float
    """From the first POST to the last answer."""
    p50_ms: float
    p99_ms: float
    cost: Cost
    """Per order answered: accepted, or refused for one of the reasons that the part expects."""
    wal_bytes_each: float = 0.0
    kafka_bytes_each: float = 0.0
    unreasoned: list[bytes] = field(default_factory=list)
    """The ends of the refusals that do not say the reason they should have."""

    @property
    def per_s(self) -> float:
        """Accepted orders over the time to the last decision."""
        return self.accepted / self.elapsed_s

    @property
    def posted_per_s(self) -> float:
        """Accepted orders over the time to the last answer."""
        return self.accepted / self.posted_s


async def measure(
    world: World,
    buyer_ref: str,
    requests: Iterable[bytes],
    concurrency: int,
    *,
    s_max: float | None = None,
    reasons: Mapping[int, bytes] | None = None,
) -> Part:
    """Sends the orders and waits for their decisions. Raises NotDecided, Broken.

    `reasons` are the refusals that answer an order as well as a placement does, and what each has to say. They
    are units of the work too: a refusal at the door costs CPU, and whoever divides by the others only would
    count it as theirs.
    """
    wal_bytes, kafka_bytes = await world.fetch_log_bytes()
    meter = Meter(world.pids)
    load = await send_all(world.base_urls, requests, concurrency, s_max=s_max, reasons=reasons)
    decided = await await_decided(world.api, buyer_ref)
    sent = sum(load.statuses.values())
    elapsed_s = decided - load.started
    units = answered(load)
    cost = meter.read(units, elapsed_s)
    wal_bytes_now, kafka_bytes_now = await world.fetch_log_bytes()
    return Part(
        sent=sent,
        accepted=load.accepted,
        statuses=dict(load.statuses),
        repeated=load.repeated,
        elapsed_s=elapsed_s,
        posted_s=load.ended - load.started,
        p50_ms=p50_ms(load),
        p99_ms=percentile(load.latencies_s, 99) * 1000,
        cost=cost,
        wal_bytes_each=(wal_bytes_now - wal_bytes) / max(1, units),
        kafka_bytes_each=(kafka_bytes_now - kafka_bytes) / max(1, units),
        unreasoned=load.unreasoned,
    )


def answered(load: Load) -> int:
    """Orders that were accepted, and those refused for one of the expected reasons."""
    return load.accepted + sum(load.statuses[status] for status in load.reasons)


def p50_ms(load: Load) -> float:
    """The median latency of the accepted requests."""
    return statistics.median(load.latencies_s) * 1000 if load.latencies_s else 0.0


async def await_decided(api: Api, buyer_ref: str) -> float:
    """When no order of the part was pending any more, by time.perf_counter()."""
    deadline = time.perf_counter() + DECIDE_S_MAX
    query = {"buyer_ref": buyer_ref, "state": "pending", "page_size": "1"}
    while True:
        reply = await api.get("/v1/orders", query)
        if reply.ok and not _decode_orders(reply.body).orders:
            return time.perf_counter()
        if time.perf_counter() > deadline:
            raise NotDecided(f"orders of {buyer_ref} are still pending after {DECIDE_S_MAX:g} s")
        await asyncio.sleep(POLL_S)


async def fetch_orders(api: Api, query: Mapping[str, str]) -> OrderPage:
    """One page of a list of orders."""
    return _decode_orders(must(await api.get("/v1/orders", query)).body)


async def count_orders(api: Api, buyer_ref: str, state: str) -> int:
    """How many orders of the part are in a state."""
    query = {"buyer_ref": buyer_ref, "state": state, "page_size": ORDERS_PAGE}
    count = 0
    while True:
        page = await fetch_orders(api, query)
        count += len(page.orders)
        if not page.next_page_token:
            return count
        query["page_token"] = page.next_page_token


async def oversold_units(api: Api, **filters: str) -> int:
    """Units promised beyond what is there, over all stock rows of a `warehouse_id` or a `sku`."""
    return sum([max(0, row.reserved - row.on_hand) async for row in _stock(api, filters)])


async def _stock(api: Api, filters: Mapping[str, str]) -> AsyncIterator[_StockRow]:
    decode = msgspec.json.Decoder(_StockPage).decode
    query = {**filters, "page_size": "1000"}
    while True:
        page = decode(must(await api.get("/v1/stock", query)).body)
        for row in page.stock:
            yield row
        if not page.next_page_token:
            return
        query["page_token"] = page.next_page_token
