"""Orders as readers see them."""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

from services.chassis.pg import Connection
from services.orders.domain.order import HistoryEntry, OrderView
from services.orders.domain.states import FINAL, OrderState
from services.orders.store.changes import load_parcels
from services.orders.store.rows import line_of, queries, view_of

PAGE_LINES_MAX = 20_000
"""A page ends early where its orders together have more lines."""

_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
_END = datetime(9999, 1, 1, tzinfo=UTC)
_LAST_ID = UUID(int=2**128 - 1)
_WAITING = [state for state in OrderState if state not in FINAL]


class Filter(NamedTuple):
    """Which orders of a tenant; empty and None mean all."""

    tenant_id: str
    buyer_ref: str = ""
    state: OrderState | None = None
    create_time_from: datetime | None = None
    create_time_before: datetime | None = None
    merchant_id: str = ""


class Position(NamedTuple):
    """A place in a list that is ordered newest first."""

    create_time: datetime
    order_id: UUID


def position_of(view: OrderView) -> Position:
    """Where the page after this order begins."""
    return Position(view.create_time, view.order.order_id)


async def load_order(connection: Connection, tenant_id: str, order_id: UUID) -> OrderView | None:
    """One order of a tenant with its lines and parcels."""
    row = await connection.fetchrow(queries()["select_order"], tenant_id, order_id)
    if row is None:
        return None
    view = view_of(row)
    await _complete(connection, [view])
    return view


async def load_orders(
    connection: Connection, keys: Collection[tuple[str, UUID]]
) -> dict[tuple[str, UUID], OrderView]:
    """The orders of (tenant_id, order_id), with their lines and parcels; those that do not exist are left out."""
    rows = await connection.fetch(
        queries()["select_some"], [tenant_id for tenant_id, _ in keys], [order_id for _, order_id in keys]
    )
    views = [view_of(row) for row in rows]
    await _complete(connection, views)
    return {(view.order.tenant_id, view.order.order_id): view for view in views}


async def load_page(
    connection: Connection, wanted: Filter, after: Position | None, size: int
) -> tuple[list[OrderView], Position | None]:
    """Up to `size` orders after the position, and where the next page begins; None on the last one."""
    bounds = (
        wanted.tenant_id,
        wanted.create_time_from or _BEGINNING,
        wanted.create_time_before or _END,
        *(after or Position(_END, _LAST_ID)),
        size + 1,
    )
    states = list(OrderState) if wanted.state is None else [wanted.state]
    if wanted.merchant_id:
        rows = await connection.fetch(
            queries()["select_page_of_merchant"], *bounds, states, wanted.merchant_id, wanted.buyer_ref
        )
    elif wanted.buyer_ref:
        rows = await connection.fetch(
            queries()["select_page_of_buyer"], *bounds, wanted.buyer_ref, wanted.state
        )
    else:
        rows = await connection.fetch(queries()["select_page"], *bounds, states)
    kept = _within_lines_max([row["line_count"] for row in rows[:size]])
    views = [view_of(row) for row in rows[:kept]]
    await _complete(connection, views)
    more = len(rows) > kept
    return views, position_of(views[-1]) if more else None


async def load_history(connection: Connection, tenant_id: str, order_id: UUID) -> list[HistoryEntry]:
    """The order's history, oldest first; empty where there is no such order."""
    return [
        HistoryEntry(
            row["version"],
            OrderState(row["from_state"]) if row["from_state"] is not None else None,
            OrderState(row["to_state"]),
            row["cause"],
            row["detail"],
            row["time"],
        )
        for row in await connection.fetch(queries()["select_history"], tenant_id, order_id)
    ]


async def oldest_waiting(connection: Connection) -> dict[str, float]:
    """The age in seconds of the oldest order of each state that is not final."""
    rows = await connection.fetch(queries()["select_oldest_waiting"], _WAITING)
    return {row["state"]: row["age_s"] for row in rows}


async def count_open(connection: Connection, orders_max: int) -> dict[str, int]:
    """How many orders are in each state that is not final, each counted up to a bound."""
    rows = await connection.fetch(queries()["count_open"], _WAITING, orders_max)
    return {row["state"]: row["orders"] for row in rows}


async def undecided_age_s(connection: Connection, ignored: int) -> float:
    """The age of the oldest undecided order that was not asked for again, after the `ignored` oldest such; else 0."""
    age_s: float | None = await connection.fetchval(queries()["select_undecided_age"], ignored)
    return age_s or 0.0


async def _complete(connection: Connection, views: Sequence[OrderView]) -> None:
    by_id = {view.order.order_id: view for view in views}
    if not by_id:
        return
    for row in await connection.fetch(queries()["select_lines"], list(by_id)):
        by_id[row["order_id"]].lines.append(line_of(row))
    for order_id, parcels in (await load_parcels(connection, by_id)).items():
        by_id[order_id].parcels = parcels


def _within_lines_max(line_counts: Sequence[int]) -> int:
    """How many orders fit on a page; always at least one, if there is one."""
    lines = 0
    for index, count in enumerate(line_counts):
        lines += count
        if lines > PAGE_LINES_MAX and index:
            return index
    return len(line_counts)
