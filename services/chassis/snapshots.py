"""Tells the state of everything anew, as after the loss of a compacted topic: each snapshot in the version that it has.

Readers that know the version pass it over. Only for snapshots: an event that came a second time would say nothing, and
one that is lost for good is not in the database.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from services.chassis import assembly, clock, outbox
from services.chassis.cli import Rows
from services.chassis.config import StoringServiceSettings
from services.chassis.envelope import OutboxMessage
from services.chassis.errors import Unavailable
from services.chassis.pg import Connection, Database
from services.chassis.queries import load_queries

PAGE_ROWS = 100
WAITING_ROWS_MAX = 1_000
"""So many events may wait already: a whole catalogue at once would hold up what is decided meanwhile."""
ROOM_S_MAX = 60.0
POLL_S = 0.05

Page = Callable[[Connection, str, int], Awaitable[list[OutboxMessage]]]
"""At most so many snapshots after a key (empty: from the first on), in the order of their keys; fewer are the last.

It locks the rows of what it reads: a change of it must come after its snapshot, or the topic would end with the older
state.
"""


@dataclass(frozen=True, slots=True)
class Snapshots:
    """What operators can have a service tell anew. `pages` gives what is in each of its compacted topics."""

    service: str
    pages: Mapping[str, Page]

    async def publish(self, settings: StoringServiceSettings) -> Rows:
        """Puts all snapshots into the outbox; a serving process sends them."""
        database = await assembly.open_database(settings, self.service)
        try:
            return [
                {"topic": topic, "snapshots": await tell_anew(database, page)}
                for topic, page in self.pages.items()
            ]
        finally:
            await database.close()


async def tell_anew(database: Database, page: Page) -> int:
    """Puts all snapshots into the outbox, in small transactions and at the pace of the relay; how many.

    Raises `Unavailable` where nobody relays. Begun again it begins anew.
    """
    after, told = "", 0

    async def work(connection: Connection) -> list[OutboxMessage]:
        messages = await page(connection, after, PAGE_ROWS)
        for message in messages:
            # The time of its change would make the outbox look as if it had stood still since then.
            message.time = clock.now_utc()
        await outbox.append(connection, messages)
        return messages

    while True:
        await _room(database)
        messages = await database.transact(work)
        told += len(messages)
        if len(messages) < PAGE_ROWS:
            return told
        after = messages[-1].key


async def _room(database: Database) -> None:
    """Waits until few enough events wait."""
    query = load_queries("services.chassis")["count_outbox"]
    try:
        async with asyncio.timeout(ROOM_S_MAX):
            while True:
                async with database.connection() as connection:
                    if await connection.fetchval(query, WAITING_ROWS_MAX) < WAITING_ROWS_MAX:
                        return
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        raise Unavailable(
            "OUTBOX_FULL", f"{WAITING_ROWS_MAX} events or more wait and nobody relays them: start the service"
        ) from None
