"""Follows a run's orders to their final states, moving its parcels on as a warehouse's operators would."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime

import msgspec

from deploy.replay import wire
from deploy.replay.catalogue import Naming
from deploy.replay.client import Api, Reply
from deploy.replay.countries import SITES
from deploy.replay.progress import Bar
from deploy.replay.workers import run_together

PARCELS_PER_CALL = 500
ORDERS_PER_PAGE = 200
HISTORIES_MAX = 500
HISTORIES_IN_FLIGHT = 8
POLL_S = 0.25
# Latest first, so that a resumed run ends what it had begun before it opens more.
MOVES: Sequence[tuple[str, str]] = (("shipped", "delivered"), ("packed", "shipped"), ("allocated", "packed"))
UNDECIDED = ("pending",)
UNFINISHED = ("pending", "awaiting_payment", "confirmed", "fulfilling", "shipped", "cancelling")


class UnexpectedAnswer(Exception):
    """The API refused a read or a move that it documents."""


async def await_states(api: Api, naming: Naming, states: Sequence[str]) -> bool:
    """Waits until none of the run's orders is in any of the states; False where they stood still too long."""
    seen: dict[str, bytes] = {}
    moved = time.monotonic()
    for state in states:
        while (body := await _first_in(api, naming, state)) is not None:
            if seen.get(state) != body:
                seen[state] = body
                moved = time.monotonic()
            if time.monotonic() - moved > api.patience_s:
                return False
            await asyncio.sleep(POLL_S)
    return True


async def deliver_all(api: Api, naming: Naming, parcels_expected: int) -> bool:
    """Packs, ships and delivers every parcel of the run until all its orders are final; False where stuck."""
    moved = time.monotonic()
    with Bar("parcel moves", parcels_expected * len(MOVES)) as bar:
        while True:
            advanced = 0
            for site in SITES:
                for state, target in MOVES:
                    advanced += await _advance_all(api, naming.warehouse_id(site.suffix), state, target, bar)
            if advanced:
                moved = time.monotonic()
                continue
            if not await _any_in(api, naming, UNFINISHED):
                return True
            if time.monotonic() - moved > api.patience_s:
                return False
            await asyncio.sleep(POLL_S)


async def list_orders(api: Api, naming: Naming) -> AsyncIterator[wire.Order]:
    """Every order of the run, as stored."""
    decode = msgspec.json.Decoder(wire.OrderPage).decode
    query = {"buyer_ref": naming.buyer_ref, "page_size": str(ORDERS_PER_PAGE)}
    while True:
        page = decode(_must(await api.get("/v1/orders", query)).body)
        for order in page.orders:
            yield order
        if not page.next_page_token:
            return
        query["page_token"] = page.next_page_token


async def stock_left(api: Api, naming: Naming) -> tuple[int, int]:
    """(units on hand, units reserved) that remain in the run's warehouses."""
    on_hand, reserved = 0, 0
    decode = msgspec.json.Decoder(wire.StockPage).decode
    for site in SITES:
        query = {"warehouse_id": naming.warehouse_id(site.suffix), "page_size": "1000"}
        while True:
            page = decode(_must(await api.get("/v1/stock", query)).body)
            on_hand += sum(row.on_hand for row in page.stock)
            reserved += sum(row.reserved for row in page.stock)
            if not page.next_page_token:
                break
            query["page_token"] = page.next_page_token
    return on_hand, reserved


async def decision_times(api: Api, order_ids: Sequence[str]) -> list[float]:
    """Seconds from placement to the warehouse's decision, by the orders' own history, of an even sample."""
    step = max(1, -(-len(order_ids) // HISTORIES_MAX))
    waiting = iter(order_ids[::step])
    seconds: list[float] = []

    async def work() -> None:
        for order_id in waiting:
            reply = _must(await api.get(f"/v1/orders/{order_id}/history"))
            history = msgspec.json.decode(reply.body, type=wire.OrderHistory)
            if len(history.transitions) > 1:
                first, second = (datetime.fromisoformat(one.time) for one in history.transitions[:2])
                seconds.append((second - first).total_seconds())

    await run_together([work] * HISTORIES_IN_FLIGHT)
    return seconds


async def _advance_all(api: Api, warehouse_id: str, state: str, target: str, bar: Bar) -> int:
    """Moves every parcel of a warehouse that stands in `state`; returns how many."""
    count = 0
    query: Mapping[str, str] = {
        "warehouse_id": warehouse_id,
        "state": state,
        "page_size": str(PARCELS_PER_CALL),
    }
    while True:
        page = msgspec.json.decode(_must(await api.get("/v1/parcels", query)).body, type=wire.ParcelPage)
        if not page.parcels:
            return count
        body = wire.advance_body([parcel.parcel_id for parcel in page.parcels], target)
        reply = _must(await api.post("/v1/parcels:batchAdvance", body))
        results = msgspec.json.decode(reply.body, type=wire.AdvanceResults).results
        advanced = sum(result.parcel is not None for result in results)
        if not advanced:
            refusals = {result.error.reason for result in results if result.error is not None}
            raise UnexpectedAnswer(f"no parcel of {warehouse_id} can go from {state} to {target}: {refusals}")
        count += advanced
        bar.advance(advanced)


async def _any_in(api: Api, naming: Naming, states: Sequence[str]) -> bool:
    for state in states:
        if await _first_in(api, naming, state) is not None:
            return True
    return False


async def _first_in(api: Api, naming: Naming, state: str) -> bytes | None:
    """The newest order of the run in a state, as its bytes; None where there is none."""
    reply = _must(
        await api.get("/v1/orders", {"buyer_ref": naming.buyer_ref, "state": state, "page_size": "1"})
    )
    page = msgspec.json.decode(reply.body, type=wire.OrderHeadPage)
    return reply.body if page.orders else None


def _must(reply: Reply) -> Reply:
    if not reply.ok:
        raise UnexpectedAnswer(f"{reply.status}: {reply.body[:500].decode(errors='replace')}")
    return reply
