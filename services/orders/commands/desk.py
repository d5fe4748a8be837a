"""What every use case needs: a transaction that decides, writes and publishes together, and what follows its commit."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from services.chassis import log, outbox, trace
from services.chassis.crash import crash_point
from services.chassis.ids import uuid7
from services.chassis.pg import Connection, Database
from services.orders import measures, published
from services.orders.domain.changes import Changes
from services.orders.store import changes as store

T = TypeVar("T")

_log = log.get(__name__)


@dataclass(frozen=True, slots=True)
class Desk:
    """The database, and `wake`, which tells the outbox relay that there is something to send."""

    db: Database
    wake: Callable[[], None]

    async def change(self, work: Callable[[Connection, Changes], Awaitable[T]]) -> T:
        """Runs `work` in a transaction, writes what it decided, and tells of it after the commit.

        `work` locks the orders that it decides about; it may run several times.
        """

        async def run(connection: Connection) -> tuple[T, Changes]:
            changes = Changes(uuid7)
            result = await work(connection, changes)
            await write(connection, changes)
            crash_point("orders.change.before_commit")
            return result, changes

        result, changes = await self.db.transact(run)
        crash_point("orders.change.after_commit")
        self.wake()
        tell(changes)
        return result


async def write(connection: Connection, changes: Changes) -> None:
    """Writes decided changes and their events in the caller's transaction."""
    await store.save(connection, changes)
    await outbox.append(connection, published.order_events(changes.events))


def tell(changes: Changes) -> None:
    """Counts the changes, and logs those whose trace is sampled."""
    measures.count(changes)
    for event in changes.events:
        if trace.is_sampled(event.traceparent):
            _log.info(
                "order moved",
                event_type=event.name,
                state=event.state,
                version=event.version,
                order_id=str(event.order_id),
                **trace.fields(event.traceparent),
            )
