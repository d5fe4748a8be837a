"""Forgets applied versions that no re-delivery can refer to any more, a bounded page at a time."""

from datetime import timedelta

from services.chassis import clock
from services.chassis.pg import Connection, Database
from services.chassis.queries import load_queries

PAGE_ROWS = 1_000


class AppliedSweep:
    """Walks consumer_applied in key order, over and over. `retention_days` must exceed the topics' retention."""

    def __init__(self, db: Database, *, retention_days: int) -> None:
        self._db = db
        self._retention = timedelta(days=retention_days)
        self._after = ("", "", "")
        self._query = load_queries("services.chassis")["sweep_applied"]

    async def step(self, *, page_rows: int = PAGE_ROWS) -> int:
        """Looks at the next page; returns how many rows were deleted."""

        async def sweep(connection: Connection) -> int:
            oldest = clock.now_utc() - self._retention
            row = await connection.fetchrow(self._query, *self._after, oldest, page_rows)
            if row is None or row["seen"] < page_rows:
                self._after = ("", "", "")
            else:
                self._after = (row["aggregate_id"], row["topic"], row["grp"])
            return int(row["deleted"]) if row is not None else 0

        return await self._db.transact(sweep)
