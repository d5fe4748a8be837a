"""Orders that wait for the warehouse: found by a walk over those that are not through, a bounded page at a time."""

from collections import defaultdict
from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from services.chassis.pg import Connection
from services.orders.domain.changes import Reminder
from services.orders.domain.pricing import PricedLine
from services.orders.domain.states import OrderState
from services.orders.store.reading import Position
from services.orders.store.rows import line_of, queries


class Patience(NamedTuple):
    """How long an answer is waited for: `wait_s` at first, then each time twice as long, at most `wait_s_max`."""

    wait_s: float
    wait_s_max: float
    attempts_alarm: int


class Page(NamedTuple):
    """What a page of the walk holds; `end` is None for the last one of the state."""

    end: Position | None
    stuck: int
    unanswered: int
    due: dict[UUID, int]


class WaitingOrder(NamedTuple):
    """An order that waits for the warehouse: since when, for how many seconds, and how often it was asked again."""

    order_id: UUID
    tenant_id: str
    state: str
    since: datetime
    waiting_s: float
    asked_again: int


async def walk(
    connection: Connection, state: OrderState, after: Position, patience: Patience, *, rows: int, due_max: int
) -> Page:
    """The next page of the orders in a state; `due` has the versions of those to be asked for, the oldest first."""
    row = await connection.fetchrow(
        queries()["walk_waiting"],
        state,
        after.create_time,
        after.order_id,
        rows,
        patience.wait_s,
        patience.wait_s_max,
        patience.attempts_alarm,
        due_max,
    )
    if row is None:
        raise LookupError("an aggregate gives one row")
    end = Position(row["create_time"], row["order_id"]) if row["seen"] == rows else None
    due = dict(zip(row["due_ids"] or (), row["due_versions"] or (), strict=True))
    return Page(end, row["stuck"], row["unanswered"], due)


async def list_waiting(
    connection: Connection, state: OrderState, *, wait_s: float, limit: int
) -> list[WaitingOrder]:
    """The orders in a state that wait for the warehouse for longer than `wait_s`, for a person: the oldest first."""
    rows = await connection.fetch(queries()["list_waiting"], state, wait_s, limit)
    return [WaitingOrder(*row) for row in rows]


async def load_reminders(
    connection: Connection,
    order_ids: Collection[UUID],
    *,
    hold_grace_s: float,
    prepaid_hold_s: float,
    hold_s_min: float,
) -> dict[UUID, Reminder]:
    """What placing told the warehouse of the orders, from what is stored of them."""
    lines: defaultdict[UUID, list[PricedLine]] = defaultdict(list)
    for row in await connection.fetch(queries()["select_lines"], list(order_ids)):
        lines[row["order_id"]].append(line_of(row))
    rows = await connection.fetch(
        queries()["select_reminders"], list(order_ids), hold_grace_s, prepaid_hold_s, hold_s_min
    )
    return {
        row["order_id"]: Reminder(row["region_code"], lines[row["order_id"]], row["hold_expire_time"])
        for row in rows
    }
