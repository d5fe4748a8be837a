"""The machine that measures, and what its processes use of it."""

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU seconds by process name so far, children included."""

    cpu_s: Mapping[str, float]

    def since(self, before: "Usage") -> dict[str, float]:
        """CPU seconds spent since an earlier reading."""
        return {name: self.cpu_s[name] - before.cpu_s.get(name, 0.0) for name in self.cpu_s}


def usage(pids: Mapping[str, int | None]) -> Usage:
    """Reads the CPU time of processes by name; one that is gone counts as 0."""
    return Usage({name: _cpu_s(pid) for name, pid in pids.items() if pid is not None})


def busy_s() -> float:
    """CPU seconds that all processes of the machine have used, over all cores."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0))


def memory_mb(pids: Mapping[str, int | None]) -> dict[str, float]:
    """Resident memory by name, in MB of 10^6 bytes, without children."""
    return {
        name: round(psutil.Process(pid).memory_info().rss / 1e6, 1)
        for name, pid in pids.items()
        if pid is not None and psutil.pid_exists(pid)
    }


def describe() -> dict[str, str | int | float]:
    """The machine in words."""
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 0,
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def _cpu_s(pid: int) -> float:
    """Of a process, its children that ended and those that live."""
    try:
        process = psutil.Process(pid)
        times = process.cpu_times()
        total = times.user + times.system + times.children_user + times.children_system
        for child in process.children(recursive=True):
            own = child.cpu_times()
            total += own.user + own.system
        return float(total)
    except psutil.NoSuchProcess:
        return 0.0


def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text("ascii", "replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
