"""What an order and a reading cost on large tables, over what they cost on small ones."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deploy.bench.machine import CLIENT

ORDER_BOUND = 1.2
Run = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Compared:
    """One figure on both sizes."""

    label: str
    small: float
    large: float

    @property
    def ratio(self) -> float | None:
        """How much more it costs on the large tables."""
        return self.large / self.small if self.small else None


def cpu_ms(run: Run) -> float:
    """CPU of everything but the load generator, per order or request."""
    cpu: Mapping[str, float] = run.get("cpu_ms_per_order") or run["cpu_ms_per_request"]
    return sum(ms for name, ms in cpu.items() if name != CLIENT)


def compare(label: str, small: Sequence[Run], large: Sequence[Run]) -> list[Compared]:
    """CPU and wall clock of one kind of work, medians of the runs."""

    def median(runs: Sequence[Run], figure: str) -> float:
        values = [cpu_ms(run) if figure == "cpu" else 1000 / run["per_s"] for run in runs]
        return round(statistics.median(values), 4)

    return [
        Compared(f"{label}: CPU ms", median(small, "cpu"), median(large, "cpu")),
        Compared(f"{label}: wall ms", median(small, "wall"), median(large, "wall")),
    ]


def compare_parts(label: str, small: Sequence[Run], large: Sequence[Run]) -> list[Compared]:
    """CPU per order of each process."""
    names = small[0]["cpu_ms_per_order"]
    return [
        Compared(
            f"{label}: CPU ms, {name}",
            round(statistics.median(run["cpu_ms_per_order"][name] for run in small), 4),
            round(statistics.median(run["cpu_ms_per_order"].get(name, 0.0) for run in large), 4),
        )
        for name in names
        if name != CLIENT
    ]
