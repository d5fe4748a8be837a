"""Shares the outbox's buckets out among all relays that live, whichever process they are in.

Each relay holds a session lock that says that it lives, and one per bucket that it serves. Once a second it counts
the living and takes free buckets up to its fair share, sixteen over their number rounded up, or gives up what it
has beyond that. PostgreSQL ends a session's locks with its connection: what a dead relay held is free at once.

A bucket is given up between two rounds only, when nothing of it is under way: its next relay goes on where
this one stopped, and the order per aggregate holds.
"""

import asyncio
from math import ceil

from services.chassis import log, pg
from services.chassis.outbox.append import BUCKETS
from services.chassis.queries import load_queries

BUCKET_LOCK_CLASS = 0x53414D50
RELAY_LOCK_CLASS = 0x53414D51
BALANCE_S = 1.0

_log = log.get(__name__)


class BucketShare:
    """The buckets that one connection holds, and how many relays live. It ends with the connection."""

    def __init__(self, connection: pg.Connection, *, name: str) -> None:
        self.held: list[int] = []
        self.living = 1
        self._connection = connection
        self._name = name
        self._queries = load_queries("services.chassis")
        self._joined = False
        self._balance_at = 0.0
        # Where to begin to look for free buckets, so that relays that start together try different ones.
        self._first = connection.get_server_pid() % BUCKETS

    async def prepare(self) -> None:
        """Has PostgreSQL prepare the statements while nothing is held. To be called first, with those of whoever uses
        the connection as well.

        asyncpg prepares a statement in a message of its own, and a session that waits for the next one is not idle: the
        locks of a process that is frozen in between would stay for as long as it is.
        """
        await self._connection.fetchval(self._queries["count_locks"], RELAY_LOCK_CLASS)
        await self._connection.execute(self._queries["unlock_buckets"], BUCKET_LOCK_CLASS, [])
        await self._connection.execute(self._queries["lock_buckets"], BUCKET_LOCK_CLASS, [], 0)

    async def balance(self) -> None:
        """Takes or gives up buckets, where it is time to. Nothing may be under way of those held."""
        now = asyncio.get_running_loop().time()
        if now < self._balance_at:
            return
        self._balance_at = now + BALANCE_S
        if not self._joined:
            await self._connection.execute(self._queries["join_relays"], RELAY_LOCK_CLASS)
            self._joined = True
        self.living = await self._connection.fetchval(self._queries["count_locks"], RELAY_LOCK_CLASS)
        share = ceil(BUCKETS / self.living)
        before = self.held
        if len(before) > share:
            surplus = before[share:]
            await self._connection.execute(self._queries["unlock_buckets"], BUCKET_LOCK_CLASS, surplus)
            self.held = before[:share]
        elif len(before) < share:
            self.held = before + await self._take(share - len(before))
        if self.held != before:
            _log.info("relay holds buckets", relay=self._name, buckets=sorted(self.held), relays=self.living)

    async def _take(self, count: int) -> list[int]:
        candidates = [bucket % BUCKETS for bucket in range(self._first, self._first + BUCKETS)]
        rows = await self._connection.fetch(
            self._queries["lock_buckets"],
            BUCKET_LOCK_CLASS,
            [bucket for bucket in candidates if bucket not in self.held],
            count,
        )
        return [row["bucket"] for row in rows]
