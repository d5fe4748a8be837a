"""What the replicas take of the machine: memory, sockets and tasks must come back to what they were."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.error import URLError

import psutil

from tests.chaos.members import ServiceMember

TASKS = re.compile(r"^sampan_event_loop_tasks (\S+)$", re.MULTILINE)
RSS_GROWTH_MAX = 1.4
RSS_SLACK_MIB = 40
SOCKETS_SLACK = 25
TASKS_SLACK = 40


@dataclass(frozen=True, slots=True)
class Usage:
    """Of one replica, or the most of several."""

    rss_mib: float
    sockets: int
    tasks: int


async def measure(replicas: Sequence[ServiceMember]) -> dict[str, Usage]:
    """By replica; those that do not answer are left out."""
    found = await asyncio.gather(*(asyncio.to_thread(_measure, replica) for replica in replicas))
    return {replica.name: usage for replica, usage in zip(replicas, found, strict=True) if usage is not None}


def of_services(usages: Mapping[str, Usage]) -> dict[str, Usage]:
    """The most that a replica of each service takes."""
    services: dict[str, list[Usage]] = {}
    for name, usage in usages.items():
        services.setdefault(name.partition("-")[0], []).append(usage)
    return {
        service: Usage(
            max(one.rss_mib for one in group),
            max(one.sockets for one in group),
            max(one.tasks for one in group),
        )
        for service, group in services.items()
    }


def grown(base: Mapping[str, Usage], now: Mapping[str, Usage]) -> list[str]:
    """Which replicas take more than their service did at first, beyond what is usual."""
    faults = []
    for name, usage in sorted(now.items()):
        first = base.get(name.partition("-")[0])
        if first is None:
            continue
        rss_mib_max = first.rss_mib * RSS_GROWTH_MAX + RSS_SLACK_MIB
        if usage.rss_mib > rss_mib_max:
            faults.append(f"{name}: {usage.rss_mib:.0f} MiB, at first {first.rss_mib:.0f}")
        if usage.sockets > first.sockets + SOCKETS_SLACK:
            faults.append(f"{name}: {usage.sockets} sockets, at first {first.sockets}")
        if usage.tasks > first.tasks + TASKS_SLACK:
            faults.append(f"{name}: {usage.tasks} tasks, at first {first.tasks}")
    return faults


def _measure(replica: ServiceMember) -> Usage | None:
    try:
        process = psutil.Process(replica.pid or 0)
        text = replica.replica.metrics()
        tasks = TASKS.search(text)
        return Usage(
            round(process.memory_info().rss / 2**20, 1),
            len(process.net_connections(kind="tcp")),
            int(float(tasks[1])) if tasks else 0,
        )
    except (psutil.Error, URLError, OSError):
        return None
