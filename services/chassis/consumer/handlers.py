"""What a group does with its events."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from services.chassis.envelope import Event
from services.chassis.pg import Connection

Handler: TypeAlias = Callable[[Connection, Sequence[Event]], Awaitable[None]]
"""Applies events inside the given transaction: all its effects and outbox rows go through that connection.

Events come in partition order, without those that were applied before. Any exception that is not a fault of
the database is taken as the events' own: the batch is halved to find the one, which is parked.
"""


@dataclass(frozen=True, slots=True)
class Independent:
    """A handler to which each event counts by itself: in any order, after a gap, and twice without a second effect.

    Of such a group no versions are kept, which would cost a row for every aggregate, and no event waits for another
    that is parked. Of snapshots it still gets only the newest of a batch. A replay goes aggregate by aggregate as
    ever, and stops at the first event that fails again: discard it, and the others follow.
    """

    handle: Handler

    async def __call__(self, connection: Connection, events: Sequence[Event]) -> None:
        """Applies events, as every handler does."""
        await self.handle(connection, events)
