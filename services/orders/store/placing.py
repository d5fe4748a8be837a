"""Writes placed orders and request keys, many at a time."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from services.chassis import outbox
from services.chassis.outbox import OutboxMessage
from services.chassis.pg import Connection, Database
from services.orders.domain.order import OrderView
from services.orders.domain.pricing import PricedLine
from services.orders.store.rows import address_json, queries


class Key(NamedTuple):
    """A request id with the answer to store under it; `order_id` is None for a refusal."""

    tenant_id: str
    route: str
    request_id: str
    digest: bytes
    response: bytes | None
    order_id: UUID | None


class StoredKey(NamedTuple):
    """What is stored under a request id."""

    digest: bytes
    response: bytes | None
    order_id: UUID | None


class NewOrder(NamedTuple):
    """A placed order and what only placing knows of it."""

    view: OrderView
    language_code: str


async def take_keys(connection: Connection, keys: Sequence[Key]) -> set[int]:
    """Stores the request ids that are new and returns their places in `keys`, which must be sorted and distinct.

    A request id that another transaction is storing is waited for: afterwards it is new or it is not.
    """
    columns = [list(column) for column in zip(*keys, strict=True)]
    rows = await connection.fetch(queries()["insert_keys"], *columns)
    return {row["position"] - 1 for row in rows}


async def load_keys(
    connection: Connection, route: str, names: Iterable[tuple[str, str]]
) -> Mapping[tuple[str, str], StoredKey]:
    """What is stored under (tenant_id, request_id), for those that are there."""
    names = list(names)
    rows = await connection.fetch(
        queries()["select_keys"], route, [tenant for tenant, _ in names], [request for _, request in names]
    )
    return {
        (row["tenant_id"], row["request_id"]): StoredKey(row["digest"], row["response"], row["order_id"])
        for row in rows
    }


async def place(
    db: Database,
    keys: Sequence[Key],
    placed: Sequence[NewOrder],
    events: Sequence[OutboxMessage],
    time: datetime,
) -> set[int]:
    """Stores the request ids that are new, and the orders and events of those, in one transaction.

    `keys` must be sorted and distinct; `placed` and `events` are those of the keys that have an order. Returns the
    places in `keys` of the new ones; a request id that another transaction is storing is waited for.
    """
    rows = await db.transact_statement(
        queries()["place_orders"],
        *[list(column) for column in zip(*keys, strict=True)],
        time,
        *_order_columns(placed),
        *_line_columns(placed),
        *outbox.columns(events),
    )
    return {row["position"] - 1 for row in rows}


def _order_columns(placed: Sequence[NewOrder]) -> list[list[object]]:
    orders = [new.view.order for new in placed]
    return [
        [order.order_id for order in orders],
        [order.tenant_id for order in orders],
        [order.merchant_id for order in orders],
        [new.view.buyer_ref for new in placed],
        [order.currency_code for order in orders],
        [order.total_minor for order in orders],
        [len(new.view.lines) for new in placed],
        [address_json(new.view.ship_to) for new in placed],
        [new.view.ship_to.region_code for new in placed],
        [order.payment_terms for order in orders],
        [order.payment_expire_time for order in orders],
        [new.language_code for new in placed],
        [order.traceparent for order in orders],
    ]


def _line_columns(placed: Sequence[NewOrder]) -> list[list[object]]:
    lines = [(place, *line) for place, new in enumerate(placed, start=1) for line in new.view.lines]
    if not lines:
        return [[] for _ in range(1 + len(PricedLine._fields))]
    return [list(column) for column in zip(*lines, strict=True)]
