"""The operators' commands on parked events, run as they would run them: `python -m services.<service> ...`."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from deploy.audit.checks import CONSUMING_DATABASES
from deploy.local.settings import ROOT
from tests.chaos.cluster import Cluster

ACTOR = "chaos"
COMMAND_S_MAX = 60
LIST_MAX = 1_000
ROUNDS_MAX = 50

Row = dict[str, Any]


class CommandFailed(RuntimeError):
    """A command ended with another code than 0."""


async def run(cluster: Cluster, service: str, *arguments: str) -> list[Row]:
    """The rows that a command prints, past all links. Raises CommandFailed, ValueError for what is no row."""
    replica = next(member for member in cluster.services if member.service == service)
    environment = replica.replica.environment | {
        f"{service.upper()}_DSN": cluster.dsn(service),
        "KAFKA_BOOTSTRAP": cluster.bootstrap,
    }
    for variable in ("CRASH_POINTS", "LD_PRELOAD"):
        environment.pop(variable, None)

    def work() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", f"services.{service}", *arguments],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_S_MAX,
            check=False,
        )

    done = await asyncio.to_thread(work)
    if done.returncode:
        raise CommandFailed(f"{service} {' '.join(arguments)}: {done.returncode} {done.stderr[-500:]}")
    return [json.loads(line) for line in done.stdout.splitlines()]


async def parked(cluster: Cluster, service: str, *, aggregate_id: str = "") -> list[Row]:
    """What list-parked shows."""
    only = ("--aggregate-id", aggregate_id) if aggregate_id else ()
    return await run(cluster, service, "list-parked", "--limit", str(LIST_MAX), *only)


async def discard(cluster: Cluster, service: str, rows: Sequence[Row], note: str) -> int:
    """Gives these events up, group by group; how many were parked."""
    discarded = 0
    for group in sorted({row["group"] for row in rows}):
        ids = [str(row["id"]) for row in rows if row["group"] == group]
        options = ("--group", group, "--note", note, "--actor", ACTOR)
        (answer,) = await run(cluster, service, "discard-parked", *ids, *options)
        discarded += answer["discarded"]
    return discarded


async def replay(cluster: Cluster, service: str, *, aggregate_id: str = "") -> list[Row]:
    """Hands parked events to their handler again; a summary per group, then what failed."""
    only = ("--aggregate-id", aggregate_id) if aggregate_id else ()
    return await run(cluster, service, "replay-parked", "--limit", str(LIST_MAX), "--actor", ACTOR, *only)


async def clean_up(cluster: Cluster) -> list[str]:
    """Discards every poison and replays what it held up, by commands only; what stays parked, in words."""
    left = await asyncio.gather(*(_clean_up(cluster, service) for service in CONSUMING_DATABASES))
    return [text for of_service in left for text in of_service]


async def _clean_up(cluster: Cluster, service: str) -> list[str]:
    poisoned = {(one.topic, one.partition, one.offset) for one in cluster.history.poison}
    discarded = replayed = 0
    rows = await parked(cluster, service)
    for _ in range(ROUNDS_MAX):
        poison = [row for row in rows if _place(row) in poisoned]
        if not poison:
            break
        discarded += await discard(cluster, service, poison, "poison of a test")
        rows = await parked(cluster, service)
    if rows:
        replayed = sum(row.get("replayed", 0) for row in await replay(cluster, service))
        rows = await parked(cluster, service)
    cluster.history.note("operators", service=service, discarded=discarded, replayed=replayed, left=len(rows))
    left = [f"{service}: still parked after the commands: {row}" for row in rows]
    if replayed:
        # Each poisoned order was brought on while the run lasted: what is applied only now was never audited.
        left.append(f"{service}: {replayed} events were applied after the verification")
    return left


def _place(row: Mapping[str, Any]) -> tuple[str, int, int]:
    return row["topic"], row["partition"], row["offset"]
