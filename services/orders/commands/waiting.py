"""Asks the warehouse again for orders that have waited too long for it.

An event of such an order may be lost: removed by retention before it was read, or given up after it was parked.
Nothing is kept per order for this: who waits, since when, and how often was asked follow from the order's state
and history.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from services.chassis import log
from services.chassis.pg import Connection
from services.orders import measures
from services.orders.commands.desk import Desk
from services.orders.commands.placing import PlacementPolicy
from services.orders.domain.changes import Changes
from services.orders.domain.states import OrderState
from services.orders.store import changes as store
from services.orders.store import waiting
from services.orders.store.reading import Position
from services.orders.store.waiting import Patience

PAGE_ROWS = 1_000
ASKED_AT_ONCE_MAX = 50
"""Bounds what is added to the work of a warehouse that is late only because it has too much of it."""

_BEGINNING = Position(datetime(1970, 1, 1, tzinfo=UTC), UUID(int=0))

_log = log.get(__name__)


@dataclass(slots=True)
class _Walk:
    """How far the walk over a state has come, and what it has counted since it began."""

    after: Position = _BEGINNING
    stuck: int = 0
    unanswered: int = 0


class Waiting:
    """Walks over the orders in the states that wait for the warehouse, again and again."""

    def __init__(self, desk: Desk, placement: PlacementPolicy, patience: Patience) -> None:
        self._desk = desk
        self._placement = placement
        self._patience = patience
        self._walks = {state: _Walk() for state in measures.ANSWERED_BY_WAREHOUSE}

    async def look(self) -> int:
        """Looks at the next page of each state and asks for those that are due; returns how many were."""
        asked = 0
        for state in self._walks:
            asked += await self._look_at(state)
        return asked

    async def _look_at(self, state: OrderState) -> int:
        walk = self._walks[state]
        async with self._desk.db.connection() as connection:
            page = await waiting.walk(
                connection, state, walk.after, self._patience, rows=PAGE_ROWS, due_max=ASKED_AT_ONCE_MAX
            )
        walk.stuck += page.stuck
        walk.unanswered += page.unanswered
        if page.end is None:
            measures.note_waiting(state, walk.stuck, walk.unanswered)
            self._walks[state] = _Walk()
        else:
            walk.after = page.end
        return await self._ask(state, page.due) if page.due else 0

    async def _ask(self, state: OrderState, due: Mapping[UUID, int]) -> int:
        """Asks for the orders that are still at the version at which they were found; others have moved, or another
        replica was first."""

        async def work(connection: Connection, changes: Changes) -> int:
            orders = await store.lock_orders(connection, sorted(due))
            unchanged = [order for order in orders.values() if order.version == due[order.order_id]]
            reminders = await waiting.load_reminders(
                connection,
                [order.order_id for order in unchanged],
                hold_grace_s=self._placement.hold_grace_s,
                prepaid_hold_s=self._placement.prepaid_hold_s,
                hold_s_min=self._placement.hold_grace_s + self._patience.wait_s,
            )
            for order in unchanged:
                changes.stalled(order, reminders[order.order_id])
            return len(unchanged)

        asked = await self._desk.change(work)
        measures.REMINDERS[state].inc(asked)
        if asked:
            _log.warning("the warehouse was asked again", state=state, orders=asked)
        return asked
