"""What a service tells anew of its compacted topics, beside what it told when the things changed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.message import Message

from services.chassis import outbox, snapshots
from services.chassis.pg import Connection, Database
from services.chassis.snapshots import Page

PATIENCE_S = 30.0
BLOCKED = """
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


async def rows(database: Database, topic: str) -> list[tuple[str, int, Message]]:
    """Key, version and snapshot of what waits for a topic, the oldest first."""
    async with database.connection() as connection:
        found = await connection.fetch(
            "SELECT key, version, type, payload FROM outbox WHERE topic = $1 ORDER BY id", topic
        )
    return [(row["key"], row["version"], _message(row)) for row in found]


async def told_anew(
    database: Database, pages: Mapping[str, Page], monkeypatch: pytest.MonkeyPatch
) -> dict[str, set[str]]:
    """Empties the outbox, as if all of it had been sent, and has everything told anew, a few things at a time.

    Sees to it that each snapshot comes once more as it was told last, in the version that it had. Returns by topic the
    keys of what had never been told.
    """
    monkeypatch.setattr(snapshots, "PAGE_ROWS", 2)
    added: dict[str, set[str]] = {}
    for topic, page in pages.items():
        last = {key: (version, snapshot) for key, version, snapshot in await rows(database, topic)}
        assert len(last) > 2
        async with database.connection() as connection:
            await connection.execute("DELETE FROM outbox WHERE topic = $1", topic)
        assert await snapshots.tell_anew(database, page) == len(await rows(database, topic))
        again = await rows(database, topic)
        assert [key.partition("/") for key, *_ in again] == sorted({key.partition("/") for key, *_ in again})
        told = {key: (version, snapshot) for key, version, snapshot in again}
        added[topic] = told.keys() - last.keys()
        assert {key: told[key] for key in last} == last
    return added


async def a_change_comes_after(
    database: Database, topic: str, page: Page, change: Callable[[], Awaitable[object]]
) -> None:
    """Sees to it that what changes while it is told anew is told after that: else older state would stay."""

    async def work(connection: Connection) -> asyncio.Task[object]:
        messages = await page(connection, "", 100)
        changing = asyncio.ensure_future(change())
        async with asyncio.timeout(PATIENCE_S):
            while True:
                async with database.connection() as other:
                    if await other.fetchval(BLOCKED):
                        break
        await outbox.append(connection, messages)
        return changing

    await (await database.transact(work))
    newest: dict[str, int] = {}
    for key, version, _ in await rows(database, topic):
        assert version >= newest.get(key, 0)
        newest[key] = version


def _message(row: Any) -> Message:
    kind = message_factory.GetMessageClass(descriptor_pool.Default().FindMessageTypeByName(row["type"]))
    return kind.FromString(row["payload"])
