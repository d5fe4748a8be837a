"""Holds back placements while the warehouse decides too late.

A placed order waits in the outbox, in the log and in the warehouse's hands until it is decided. None of these is
bounded by itself: were orders taken faster than they are decided, each would wait longer than the one before. So
the age of the oldest undecided order is looked up a few times a second, in the database, which all replicas share;
while it is above a bound, placements are refused as overload, and the backlog drains at the warehouse's speed.

Orders that are stuck for a reason of their own, as behind a parked event, must not close the door for ever. An
order for which the warehouse was asked again (see `waiting`) is left out: it is counted there, and how many there are
does not matter here. Of the others the `ignored` oldest are left out, so that a few never close the door at all.
"""

from services.chassis.errors import ResourceExhausted
from services.orders import measures
from services.orders.commands.desk import Desk
from services.orders.store import reading

SAMPLE_PERIOD_S = 0.25


class Backlog:
    """What was last seen of the undecided orders."""

    def __init__(self, desk: Desk, *, age_s_max: float, ignored: int) -> None:
        self._desk = desk
        self._age_s_max = age_s_max
        self._ignored = ignored
        self._age_s = 0.0

    async def sample(self) -> int:
        """Looks at the database once."""
        async with self._desk.db.connection() as connection:
            self._age_s = await reading.undecided_age_s(connection, self._ignored)
        measures.UNDECIDED_AGE_S.set(self._age_s)
        return 0

    def check(self, placements: int) -> None:
        """Raises ResourceExhausted while orders wait too long for their decision."""
        if self._age_s <= self._age_s_max:
            return
        measures.HELD_BACK.inc(placements)
        raise ResourceExhausted(
            "OVERLOADED",
            "placed orders wait too long for the warehouse",
            metadata={"cause": "DECISIONS_LATE"},
            retry_after_s=SAMPLE_PERIOD_S,
        )
