"""The account of a replay. Every total stands beside the parts that it must equal; nothing lies between."""

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from deploy.replay.catalogue import money


@dataclass(frozen=True, slots=True)
class Balance:
    """A total and its parts; it holds when they add up."""

    name: str
    total: int
    parts: Mapping[str, int]
    unit: str = ""

    @property
    def holds(self) -> bool:
        """Whether nothing vanished and nothing was invented between the total and its parts."""
        return self.total == sum(self.parts.values())


@dataclass(frozen=True, slots=True)
class Agreement:
    """A quantity as several witnesses state it; it holds when they all say the same."""

    name: str
    witnesses: Mapping[str, int]
    unit: str = ""

    @property
    def holds(self) -> bool:
        """Whether all witnesses agree."""
        return len(set(self.witnesses.values())) <= 1


@dataclass(frozen=True, slots=True)
class MustBeNone:
    """Something of which there must be none."""

    name: str
    count: int
    offenders: Sequence[str] = ()

    @property
    def holds(self) -> bool:
        """Whether there is none."""
        return self.count == 0


Statement = Balance | Agreement | MustBeNone


@dataclass(slots=True)
class Report:
    """What is printed and written."""

    run: str
    facts: dict[str, str | int | float] = field(default_factory=dict)
    statements: list[Statement] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Whether every statement holds."""
        return all(statement.holds for statement in self.statements)

    def as_json(self) -> dict[str, Any]:
        """The whole report as plain values."""
        return {
            "run": self.run,
            "holds": self.holds,
            **self.facts,
            "statements": [_plain(statement) for statement in self.statements],
            "notes": self.notes,
        }

    def print(self, console: Console) -> None:
        """The report for people."""
        facts = Table(title=f"Replay {self.run}", title_justify="left", show_header=False, box=None)
        facts.add_column(style="dim")
        facts.add_column(justify="right")
        for name, value in self.facts.items():
            facts.add_row(name, value if isinstance(value, str) else f"{value:,}")
        console.print(facts)
        table = Table(header_style="bold", box=box.HEAVY_HEAD if console.is_terminal else None)
        table.add_column("")
        table.add_column("what")
        table.add_column("number", justify="right")
        table.add_column("is", overflow="fold")
        for statement in self.statements:
            table.add_row("[green]ok[/]" if statement.holds else "[bold red]NO[/]", *_row(statement))
        console.print(table)
        for note in self.notes:
            console.print(note, style="dim", markup=False)


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that at least `percent` of the values do not exceed; 0 of no values."""
    if not values:
        return 0.0
    ordered = sorted(values)
    rank = max(1, -(-len(ordered) * percent // 100))
    return ordered[int(rank) - 1]


def latency_facts(name: str, seconds: Sequence[float]) -> dict[str, float]:
    """p50, p99 and maximum in milliseconds."""
    return {
        f"{name}_p50_ms": round(statistics.median(seconds) * 1000, 1) if seconds else 0.0,
        f"{name}_p99_ms": round(percentile(seconds, 99) * 1000, 1),
        f"{name}_max_ms": round(max(seconds, default=0.0) * 1000, 1),
    }


def counted(values: Counter[str], prefix: str = "") -> dict[str, int]:
    """A counter as parts of a balance, in the order of their names."""
    return {f"{prefix}{name}": count for name, count in sorted(values.items())}


def _plain(statement: Statement) -> dict[str, Any]:
    match statement:
        case Balance(name, total, parts):
            return {"name": name, "holds": statement.holds, "total": total, "parts": dict(parts)}
        case Agreement(name, witnesses):
            return {"name": name, "holds": statement.holds, "witnesses": dict(witnesses)}
        case MustBeNone(name, count, offenders):
            return {"name": name, "holds": statement.holds, "count": count, "offenders": list(offenders)}


def _row(statement: Statement) -> tuple[str, str, str]:
    match statement:
        case Balance(name, total, parts, unit):
            shown = " + ".join(f"{part} {_number(count, unit)}" for part, count in parts.items())
            return name, _number(total, unit), shown
        case Agreement(name, witnesses, unit):
            first, *_ = witnesses.values()
            shown = " = ".join(f"{witness} {_number(count, unit)}" for witness, count in witnesses.items())
            return name, _number(first, unit), shown
        case MustBeNone(name, count, offenders):
            return name, f"{count:,}", ", ".join(offenders)


def _number(count: int, unit: str) -> str:
    return f"£{count // 100:,}.{money(count % 100)[2:]}" if unit == "pence" else f"{count:,}"
