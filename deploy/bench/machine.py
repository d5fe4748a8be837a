"""The machine that measures, and what its processes use of it."""

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

CLIENT = "load generator"
POSTGRES = "postgres"


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU seconds by process name so far, children included."""

    cpu_s: Mapping[str, float]
    databases_cpu_s: Mapping[str, float] = field(default_factory=dict)
    """PostgreSQL's share by database, as far as a backend belongs to one and lives."""

    def since(self, before: "Usage") -> dict[str, float]:
        """CPU seconds spent since an earlier reading."""
        return {name: self.cpu_s[name] - before.cpu_s.get(name, 0.0) for name in self.cpu_s}


@dataclass(frozen=True, slots=True)
class Cost:
    """What a piece of work took from the machine, divided by its units of work."""

    cpu_ms_each: Mapping[str, float]
    databases_cpu_ms_each: Mapping[str, float]
    network_bytes_each: float
    """Over the loopback interface: every hop of the work, and whatever else talked at that time."""
    memory_mb: Mapping[str, float]
    client_cpu_share: float
    others_cpu_share: float
    """Of all cores, while it ran; others are processes that do not belong to what is measured."""


class Meter:
    """Reads what processes use from its making until `read`."""

    def __init__(self, pids: Mapping[str, int | None]) -> None:
        self._pids = pids
        self._before = usage(pids)
        self._busy_s = busy_s()
        self._network_bytes = loopback_bytes()

    def read(self, units: int, elapsed_s: float) -> Cost:
        """The cost of each unit of work."""
        now = usage(self._pids)
        used, busy = now.since(self._before), busy_s() - self._busy_s
        each = 1 / max(1, units)
        capacity_s = max(elapsed_s, 1e-9) * core_count()
        databases = {
            name: spent - self._before.databases_cpu_s.get(name, 0.0)
            for name, spent in now.databases_cpu_s.items()
        }
        return Cost(
            cpu_ms_each={name: spent * 1000 * each for name, spent in used.items()},
            databases_cpu_ms_each={name: max(0.0, spent) * 1000 * each for name, spent in databases.items()},
            network_bytes_each=(loopback_bytes() - self._network_bytes) * each,
            memory_mb=memory_mb(self._pids),
            client_cpu_share=used.get(CLIENT, 0.0) / capacity_s,
            others_cpu_share=max(0.0, busy - sum(used.values())) / capacity_s,
        )


def usage(pids: Mapping[str, int | None]) -> Usage:
    """Reads the CPU time of processes by name, children included; one that is gone counts as 0."""
    known = {name: pid for name, pid in pids.items() if pid is not None}
    databases = _databases_cpu_s(known[POSTGRES]) if POSTGRES in known else {}
    # The load generator may have started the very processes that it measures: they are not its own work.
    spent = {name: _cpu_s(pid, children=name != CLIENT) for name, pid in known.items()}
    return Usage(spent, databases)


def busy_s() -> float:
    """CPU seconds that all processes of the machine have used, over all cores."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0))


def loopback_bytes() -> int:
    """Bytes that went over the loopback interface so far; 0 where the system does not tell."""
    counters = psutil.net_io_counters(pernic=True)
    return sum(one.bytes_sent for name, one in counters.items() if name in ("lo", "lo0"))


def memory_mb(pids: Mapping[str, int | None]) -> dict[str, float]:
    """Resident memory by name, in MB of 10^6 bytes, without children."""
    return {
        name: round(psutil.Process(pid).memory_info().rss / 1e6, 1)
        for name, pid in pids.items()
        if pid is not None and psutil.pid_exists(pid)
    }


def core_count() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def describe() -> dict[str, str | int | float]:
    """The machine in words."""
    return {
        "cpu": _cpu_model(),
        "cores": core_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def _cpu_s(pid: int, *, children: bool) -> float:
    """Of a process and, where asked for, its children that ended and those that live."""
    try:
        process = psutil.Process(pid)
        times = process.cpu_times()
        total = times.user + times.system
        if children:
            total += times.children_user + times.children_system
            for child in process.children(recursive=True):
                own = child.cpu_times()
                total += own.user + own.system
        return float(total)
    except psutil.NoSuchProcess:
        return 0.0


def _databases_cpu_s(pid: int) -> dict[str, float]:
    """By the titles that PostgreSQL gives its processes: "postgres: role database client state"."""
    spent: dict[str, float] = {}
    try:
        children = psutil.Process(pid).children()
    except psutil.NoSuchProcess:
        return spent
    for child in children:
        try:
            words = " ".join(child.cmdline()).split()
            own = child.cpu_times()
        except psutil.Error:
            continue
        # A backend's title has the client's address with its port; other processes have none.
        if len(words) >= 4 and words[0] == "postgres:" and "(" in words[3]:
            spent[words[2]] = spent.get(words[2], 0.0) + own.user + own.system
    return spent


def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text("ascii", "replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
