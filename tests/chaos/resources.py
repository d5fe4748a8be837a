"""What the replicas take of the machine: memory, sockets and tasks must come back to what they were."""

import asyncio
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.error import URLError

import psutil

from deploy.audit.checks import Findings
from tests.chaos.members import ServiceMember

TASKS = re.compile(r"^sampan_event_loop_tasks (\S+)$", re.MULTILINE)
RSS_GROWTH_MAX = 1.4
RSS_SLACK_MIB = 40
SOCKETS_SLACK = 25
TASKS_SLACK = 40
LOOKS_MAX = 3
LOOK_AGAIN_S = 0.5


@dataclass(frozen=True, slots=True)
class Usage:
    """Of one replica, or the most of several."""

    rss_mib: float
    sockets: int
    tasks: int


async def measure(replicas: Sequence[ServiceMember]) -> dict[str, Usage]:
    """By replica; those that do not answer, or not fully, are left out: `judge` blames them."""
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


def judge(replicas: Sequence[str], first: Mapping[str, Usage], last: Mapping[str, Usage]) -> Findings:
    """Every replica has to have been looked at twice, and to take about what its service took at first."""
    findings = Findings()
    base = of_services(first)
    for name in replicas:
        if missing := [when for when, usages in (("first", first), ("last", last)) if name not in usages]:
            findings.blame(f"{name} did not answer the {' nor the '.join(missing)} look")
        else:
            findings.examined += 1
            findings.blame_all(_grown(name, base[name.partition("-")[0]], last[name]))
    return findings


def _grown(name: str, first: Usage, usage: Usage) -> Iterator[str]:
    """In what a replica takes more than its service did at first, beyond what is usual."""
    if usage.rss_mib > first.rss_mib * RSS_GROWTH_MAX + RSS_SLACK_MIB:
        yield f"{name}: {usage.rss_mib:.0f} MiB, at first {first.rss_mib:.0f}"
    if usage.sockets > first.sockets + SOCKETS_SLACK:
        yield f"{name}: {usage.sockets} sockets, at first {first.sockets}"
    if usage.tasks > first.tasks + TASKS_SLACK:
        yield f"{name}: {usage.tasks} tasks, at first {first.tasks}"


def _measure(replica: ServiceMember) -> Usage | None:
    for _ in range(LOOKS_MAX):
        try:
            process = psutil.Process(replica.pid or 0)
            tasks = TASKS.search(replica.replica.metrics())
            if tasks is None:
                # A replica that no longer tells the figure has not been looked at.
                return None
            return Usage(
                round(process.memory_info().rss / 2**20, 1),
                len(process.net_connections(kind="tcp")),
                int(float(tasks[1])),
            )
        except (psutil.Error, URLError, OSError):
            time.sleep(LOOK_AGAIN_S)
    return None
