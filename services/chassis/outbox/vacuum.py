"""Clears the outbox's dead rows away before they pile up: every read passes over all of them to the oldest live one.

A VACUUM costs what the whole table costs. After a long outage, with millions of rows waiting, one per few thousand rows
sent would take longer than the sending: so it gets a small share of the time, however long it takes.
"""

import asyncio

import asyncpg

from services.chassis import log, pg
from services.chassis.queries import load_queries

AFTER_ROWS = 2_000
PAUSE_PER_DURATION = 20.0

_log = log.get(__name__)


class Vacuum:
    """How much was deleted since the last one, and when the next may be."""

    def __init__(self) -> None:
        self._statement = load_queries("services.chassis")["vacuum_outbox"]
        self._rows_deleted = 0
        self._not_before_s = 0.0

    async def after(self, connection: pg.Connection, rows_deleted: int) -> None:
        """Vacuums, where enough rows were deleted and the last time is long enough ago."""
        loop = asyncio.get_running_loop()
        self._rows_deleted += rows_deleted
        began_s = loop.time()
        if self._rows_deleted < AFTER_ROWS or began_s < self._not_before_s:
            return
        self._rows_deleted = 0
        try:
            await connection.execute(self._statement)
        except asyncpg.QueryCanceledError:
            # Its time is bounded as every statement's. The table is left to autovacuum until it is smaller.
            _log.warning("outbox too large to be vacuumed in time")
        ended_s = loop.time()
        self._not_before_s = ended_s + PAUSE_PER_DURATION * (ended_s - began_s)
