"""One measured part of the bench: send all orders, wait until the last is decided, see what was used."""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from deploy.bench import machine
from deploy.bench.load import send_all
from deploy.replay.client import Api
from deploy.replay.report import percentile

POLL_S = 0.02
DECIDE_S_MAX = 300.0
CLIENT = "load generator"


class _Head(msgspec.Struct):
    order_id: str


class _Page(msgspec.Struct):
    orders: list[_Head]
    next_page_token: str = ""


class _StockRow(msgspec.Struct):
    on_hand: int
    reserved: int


class _StockPage(msgspec.Struct):
    stock: list[_StockRow]
    next_page_token: str = ""


class NotDecided(Exception):
    """Orders were still pending after the bound of time."""


@dataclass(slots=True)
class Part:
    """What one part showed."""

    orders: int
    accepted: int
    statuses: Mapping[int, int]
    repeated: int
    per_s: float
    """Orders over the time from the first POST to the last decision."""
    posted_per_s: float
    """Orders over the time from the first POST to the last answer."""
    p50_ms: float
    p99_ms: float
    cpu_ms_per_order: dict[str, float] = field(default_factory=dict)
    memory_mb: dict[str, float] = field(default_factory=dict)
    client_cpu_share: float = 0.0
    others_cpu_share: float = 0.0
    """Of all cores, while it ran; others are processes that do not belong to what is measured."""


async def measure(
    api: Api, buyer_ref: str, requests: Sequence[bytes], concurrency: int, pids: Mapping[str, int | None]
) -> Part:
    """Sends the orders and waits for their decisions. Raises NotDecided, Broken."""
    before, busy_before_s = machine.usage(pids), machine.busy_s()
    load = await send_all(api.base_url, requests, concurrency)
    decided = await await_decided(api, buyer_ref)
    used, busy_s = machine.usage(pids).since(before), machine.busy_s() - busy_before_s
    elapsed_s = decided - load.started
    capacity_s = elapsed_s * int(machine.describe()["cores"])
    return Part(
        orders=len(requests),
        accepted=load.accepted,
        statuses=dict(load.statuses),
        repeated=load.repeated,
        per_s=load.accepted / elapsed_s,
        posted_per_s=load.accepted / (load.ended - load.started),
        p50_ms=statistics.median(load.latencies_s) * 1000 if load.latencies_s else 0.0,
        p99_ms=percentile(load.latencies_s, 99) * 1000,
        cpu_ms_per_order={name: seconds * 1000 / max(1, load.accepted) for name, seconds in used.items()},
        memory_mb=machine.memory_mb(pids),
        client_cpu_share=used.get(CLIENT, 0.0) / capacity_s,
        others_cpu_share=max(0.0, busy_s - sum(used.values())) / capacity_s,
    )


async def await_decided(api: Api, buyer_ref: str) -> float:
    """When no order of the part was pending any more, by time.perf_counter()."""
    decode = msgspec.json.Decoder(_Page).decode
    deadline = time.perf_counter() + DECIDE_S_MAX
    query = {"buyer_ref": buyer_ref, "state": "pending", "page_size": "1"}
    while True:
        reply = await api.get("/v1/orders", query)
        if reply.ok and not decode(reply.body).orders:
            return time.perf_counter()
        if time.perf_counter() > deadline:
            raise NotDecided(f"orders of {buyer_ref} are still pending after {DECIDE_S_MAX:g} s")
        await asyncio.sleep(POLL_S)


async def count_orders(api: Api, buyer_ref: str, state: str) -> int:
    """How many orders of the part are in a state."""
    decode = msgspec.json.Decoder(_Page).decode
    query = {"buyer_ref": buyer_ref, "state": state, "page_size": "500"}
    count = 0
    while True:
        page = decode((await api.get("/v1/orders", query)).body)
        count += len(page.orders)
        if not page.next_page_token:
            return count
        query["page_token"] = page.next_page_token


async def reserved_units(api: Api, sku: str) -> int:
    """Reserved units of a SKU over all warehouses."""
    rows = [row async for row in _stock(api, {"sku": sku})]
    return sum(row.reserved for row in rows)


async def oversold_units(api: Api, warehouse_id: str) -> int:
    """Units promised beyond what is there, over all SKUs of a warehouse."""
    rows = [row async for row in _stock(api, {"warehouse_id": warehouse_id})]
    return sum(max(0, row.reserved - row.on_hand) for row in rows)


async def _stock(api: Api, filters: Mapping[str, str]) -> AsyncIterator[_StockRow]:
    decode = msgspec.json.Decoder(_StockPage).decode
    query = {**filters, "page_size": "1000"}
    while True:
        page = decode((await api.get("/v1/stock", query)).body)
        for row in page.stock:
            yield row
        if not page.next_page_token:
            return
        query["page_token"] = page.next_page_token
