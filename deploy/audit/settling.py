"""Waits until the system has come to rest: every outbox empty, every consumer at the end of its topics."""

import asyncio
import time
from collections.abc import Mapping

from deploy.audit.checks import CONSUMING_DATABASES, UNREACHABLE, connected
from deploy.audit.topics import Topics
from deploy.local.settings import PUBLISHERS
from services.chassis.queries import load_queries

POLL_S = 0.5
CALM_LOOKS = 2


async def settle(bootstrap: str, dsns: Mapping[str, str], *, s_max: float) -> bool:
    """True once two looks in a row found nothing under way; False when the time was up before."""
    deadline = time.monotonic() + s_max
    calm = 0
    while True:
        try:
            calm = calm + 1 if await _waiting(bootstrap, dsns) == 0 else 0
        except UNREACHABLE:
            calm = 0
        if calm >= CALM_LOOKS:
            return True
        if time.monotonic() >= deadline:
            return False
        await asyncio.sleep(POLL_S)


async def _waiting(bootstrap: str, dsns: Mapping[str, str]) -> int:
    """Events that wait in an outbox or for a consumer."""
    queries = load_queries("deploy.audit")
    waiting = 0
    async with Topics.opened(bootstrap) as topics:
        for database, dsn in dsns.items():
            if database not in PUBLISHERS:
                continue
            async with connected(dsn) as connection:
                waiting += await connection.fetchval(queries["count_outbox"])
                consumes = database in CONSUMING_DATABASES
                rows = await connection.fetch(queries["positions"]) if consumes else []
            stands = {(row["grp"], row["topic"], row["part"]): row["next"] for row in rows}
            for group, topic in {(group, topic) for group, topic, _ in stands}:
                ends = await topics.ends(await topics.partitions(topic))
                waiting += sum(
                    max(0, end - stands.get((group, topic, partition.partition), 0))
                    for partition, end in ends.items()
                )
    return waiting
