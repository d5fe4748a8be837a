"""A fault that can be taken away again: a database that refuses what is to become of one buyer's orders, as a bug of
the code would. Events about them are parked."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import asyncpg

REFUSE = """
CREATE FUNCTION refuse_order() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'a bug'; END $$;
CREATE TRIGGER refuse_order BEFORE UPDATE ON orders FOR EACH ROW WHEN (NEW.buyer_ref = '{buyer_ref}')
EXECUTE FUNCTION refuse_order();
"""
LEAVE_OFF = "DROP FUNCTION IF EXISTS refuse_order() CASCADE"


@contextmanager
def refusing_orders(dsn: str, buyer_ref: str) -> Iterator[None]:
    """As long as it lasts the database of orders takes this buyer's orders, and refuses each change of them."""
    _run(dsn, REFUSE.format(buyer_ref=buyer_ref))
    try:
        yield
    finally:
        _run(dsn, LEAVE_OFF)


def _run(dsn: str, statements: str) -> None:
    async def execute() -> None:
        connection = await asyncpg.connect(dsn, timeout=10)
        try:
            await connection.execute(statements)
        finally:
            await connection.close()

    # In a thread of its own: a browser's tests have a loop running in theirs.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, execute()).result()
