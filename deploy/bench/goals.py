"""What is to be reached, and what would be better still; the table that the bench prints is held against these."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Goal:
    """A bound on one figure of one part."""

    part: str
    figure: str
    bound: float
    at_most: bool = False
    unit: str = ""

    def met(self, figures: Mapping[str, Any]) -> bool | None:
        """Whether the figure keeps the bound; None where it was not measured."""
        value = figures.get(self.part, {}).get(self.figure)
        if value is None:
            return None
        return bool(value <= self.bound if self.at_most else value >= self.bound)

    def text(self) -> str:
        """The bound in words."""
        sign = "<=" if self.at_most else ">="
        return f"{sign} {self.bound:,g}{' ' if self.unit else ''}{self.unit}"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table: a figure of a part, its goal, and its stretch where there is one."""

    label: str
    part: str
    figure: str
    reach: Goal | None
    stretch: Goal | None = None


def _at_least(part: str, figure: str, bound: float, unit: str = "") -> Goal:
    return Goal(part, figure, bound, unit=unit)


def _at_most(part: str, figure: str, bound: float, unit: str = "") -> Goal:
    return Goal(part, figure, bound, at_most=True, unit=unit)


RAW, SPREAD, BARE, COPY = "x raw PostgreSQL", "x spread", "x bare route", "x COPY"
SERVICES_CPU = "cpu_ms_per_order_services"

LINES: tuple[Line, ...] = (
    Line(
        "orders/s, spread over 10,000 SKUs (orders_spread)",
        "orders_spread",
        "per_s",
        _at_least("orders_spread", "per_s", 1_500),
        _at_least("orders_spread", "ratio", 1.0, RAW),
    ),
    Line(
        "orders/s, one hot SKU (orders_hot)",
        "orders_hot",
        "per_s",
        _at_least("orders_hot", "of_spread", 0.95, SPREAD),
        _at_least("orders_hot", "ratio", 2.0, RAW),
    ),
    Line(
        "sold-out answers/s, twice the concurrency (sold_out)",
        "sold_out",
        "per_s",
        _at_least("sold_out", "per_s", 5_000),
    ),
    Line(
        "product detail/s (product_detail)",
        "product_detail",
        "per_s",
        _at_least("product_detail", "per_s", 10_000),
        _at_least("product_detail", "ratio", 0.6, BARE),
    ),
    Line(
        "product list of 20/s, a shop's mix (product_list)",
        "product_list",
        "per_s",
        _at_least("product_list", "per_s", 2_000),
        _at_least("product_list", "per_s", 5_000),
    ),
    Line("  one page over and over", "product_list", "cached_per_s", None),
    Line("  no page twice", "product_list", "distinct_per_s", None),
    Line(
        "place order p99 ms at half load (latency)",
        "latency",
        "p99_ms",
        _at_most("latency", "p99_ms", 50),
        _at_most("latency", "p99_ms", 20),
    ),
    Line("  p50 ms", "latency", "p50_ms", None),
    Line(
        "POST to RESERVED p99 ms at half load",
        "latency",
        "reserved_p99_ms",
        _at_most("latency", "reserved_p99_ms", 250),
        _at_most("latency", "reserved_p99_ms", 100),
    ),
    Line("  p50 ms", "latency", "reserved_p50_ms", None),
    Line("place order p99 ms at 750/s (latency_fixed)", "latency_fixed", "p99_ms", None),
    Line("  p50 ms", "latency_fixed", "p50_ms", None),
    Line("POST to RESERVED p99 ms at 750/s", "latency_fixed", "reserved_p99_ms", None),
    Line("  p50 ms", "latency_fixed", "reserved_p50_ms", None),
    Line("orders shed at 750/s", "latency_fixed", "shed", None),
    Line("orders whose decision was not waited for at 750/s", "latency_fixed", "undecided", None),
    Line("orders shed at half load", "latency", "shed", _at_most("latency", "shed", 0)),
    Line(
        "orders whose decision was not waited for",
        "latency",
        "undecided",
        _at_most("latency", "undecided", 0),
    ),
    Line(
        "bulk import, new rows/s (import_rows)",
        "import_rows",
        "per_s",
        _at_least("import_rows", "per_s", 5_000),
        _at_least("import_rows", "ratio", 0.25, COPY),
    ),
    Line(
        "CPU ms per order, four services",
        "orders_spread",
        SERVICES_CPU,
        _at_most("orders_spread", SERVICES_CPU, 0.8),
        _at_most("orders_spread", SERVICES_CPU, 0.4),
    ),
    Line(
        "memory MB, four services",
        "orders_spread",
        "memory_mb_services",
        _at_most("orders_spread", "memory_mb_services", 600),
    ),
)


def verdict(goal: Goal | None, figures: Mapping[str, Any]) -> str:
    """The bound and whether it is kept."""
    if goal is None:
        return ""
    met = goal.met(figures)
    return f"{goal.text()}: {'not measured' if met is None else 'reached' if met else 'missed'}"


def verdicts(figures: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Every goal by the name of its figure, for the JSON."""
    return {
        f"{line.part}.{line.figure}": {
            "reach": verdict(line.reach, figures),
            "stretch": verdict(line.stretch, figures),
        }
        for line in LINES
        if line.reach is not None
    }
