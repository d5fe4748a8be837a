"""The checks that compare what orders believes with what the warehouse did.

Both databases are read sorted by order id through cursors and merged, so that memory does not grow with the
number of orders. Nobody reads another's tables in production; an audit is the one that may read all.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from typing import Any, TypeAlias

import asyncpg

from deploy.audit.checks import Check, Connection, Findings, connected
from services.chassis.queries import load_queries

Row: TypeAlias = asyncpg.Record | Mapping[str, Any]
CURSOR_ROWS = 2_000

HOLDS_ALLOWED: Mapping[str, frozenset[str]] = {
    "PENDING": frozenset({"PENDING", "REJECTED"}),
    "AWAITING_PAYMENT": frozenset({"PENDING"}),
    "CONFIRMED": frozenset({"POSTED"}),
    "FULFILLING": frozenset({"POSTED"}),
    "SHIPPED": frozenset({"POSTED"}),
    "DELIVERED": frozenset({"POSTED"}),
    "CANCELLING": frozenset({"POSTED"}),
    "CANCELLED": frozenset({"VOIDED", "EXPIRED", "REJECTED", "POSTED"}),
    "EXPIRED": frozenset({"VOIDED", "EXPIRED"}),
    "REJECTED": frozenset({"REJECTED"}),
}
"""The state of a hold by the state of its order, once all events have arrived."""

LIVE_HOLDS = frozenset({"PENDING", "POSTED"})


Judge = Callable[[Row | None, Row | None], str | None]
"""What is wrong with an order and its fulfilment, either of which may be missing; None where all is well."""


def judge_states(order: Row | None, fulfilment: Row | None) -> str | None:
    """The hold's state fits the order's."""
    if order is None:
        assert fulfilment is not None
        hold = fulfilment["hold_state"]
        return f"hold {hold} of an order that does not exist" if hold in LIVE_HOLDS else None
    if fulfilment is None:
        # Placed a moment ago; the check for stuck orders bounds how long that may last.
        return (
            None if order["state"] == "PENDING" else f"{order['state']}, but the warehouse does not know it"
        )
    if order["tenant_id"] != fulfilment["tenant_id"]:
        return f"of tenant {order['tenant_id']}, its hold of {fulfilment['tenant_id']}"
    hold = fulfilment["hold_state"]
    if order["state"] == "REJECTED" and hold == "VOIDED" and fulfilment["rejection"] is not None:
        # Voided before its order was heard of: the late reservation was refused, and the order was told so.
        return None
    if hold not in HOLDS_ALLOWED[order["state"]]:
        return f"{order['state']}, but its hold is {hold}"
    if order["state"] == "CANCELLED" and hold == "POSTED" and not fulfilment["all_cancelled"]:
        return "CANCELLED, but its goods are on their way"
    return None


def judge_quantities(order: Row | None, fulfilment: Row | None) -> str | None:
    """Live holds keep what the order's lines say, no more and no less."""
    if order is None or fulfilment is None or fulfilment["hold_state"] not in LIVE_HOLDS:
        return None
    return None if order["lines"] == fulfilment["lines"] else "other units are held than were ordered"


def judge_parcels(order: Row | None, fulfilment: Row | None) -> str | None:
    """Both list the same parcels."""
    ours = (order["parcels"] if order is not None else None) or "none"
    theirs = (fulfilment["parcels"] if fulfilment is not None else None) or "none"
    return None if ours == theirs else f"orders knows {ours}; the warehouse has {theirs}"


async def merge(
    orders: AsyncIterator[Row], fulfilments: AsyncIterator[Row]
) -> AsyncIterator[tuple[Row | None, Row | None]]:
    """Pairs rows of equal order_id out of two streams sorted by it."""
    order = await anext(orders, None)
    fulfilment = await anext(fulfilments, None)
    while order is not None or fulfilment is not None:
        if fulfilment is None or (order is not None and order["order_id"] < fulfilment["order_id"]):
            yield order, None
            order = await anext(orders, None)
        elif order is None or fulfilment["order_id"] < order["order_id"]:
            yield None, fulfilment
            fulfilment = await anext(fulfilments, None)
        else:
            yield order, fulfilment
            order, fulfilment = await anext(orders, None), await anext(fulfilments, None)


JUDGES: Mapping[str, tuple[str, Judge]] = {
    "10 states": (
        "A confirmed order has a posted hold, a waiting one a pending hold, an ended one none.",
        judge_states,
    ),
    "10 quantities": ("What is held or taken for an order is exactly its lines.", judge_quantities),
    "16 parcels": ("Orders knows exactly the warehouse's parcels, in the same states.", judge_parcels),
}


class CrossExamination:
    """Reads both databases once for all judges; the first check that asks pays for it."""

    def __init__(self, dsns: Mapping[str, str]) -> None:
        self._dsns = dsns
        self._findings: dict[str, Findings] | None = None

    def checks(self) -> list[Check]:
        """One check per judge."""
        return [Check(name, sentence, partial(self.of, name)) for name, (sentence, _) in JUDGES.items()]

    async def of(self, name: str) -> Findings:
        """What one judge found."""
        if self._findings is None:
            self._findings = await self._examine()
        return self._findings[name]

    async def _examine(self) -> dict[str, Findings]:
        queries = load_queries("deploy.audit")
        found = {name: Findings() for name in JUDGES}
        async with connected(self._dsns["warehouse"]) as warehouse, connected(self._dsns["orders"]) as orders:
            pairs = merge(
                _stream(orders, queries["stream_orders"]),
                _stream(warehouse, queries["stream_fulfilments"]),
            )
            async for order, fulfilment in pairs:
                known = order if order is not None else fulfilment
                assert known is not None
                for name, (_, judge) in JUDGES.items():
                    found[name].examined += 1
                    fault = judge(order, fulfilment)
                    if fault is not None:
                        found[name].blame(f"{known['order_id']}: {fault}")
        return found


async def _stream(connection: Connection, query: str) -> AsyncIterator[Row]:
    async for row in connection.cursor(query, prefetch=CURSOR_ROWS):
        yield row
