"""From the measured cost of an order to what many orders per second need; nothing here measures or guesses.

`python -m deploy.bench.capacity figures.json` prints the table for the figures that `make bench JSON=figures.json`
wrote. Every number of it is a rate times a measured cost, divided by what one unit may be loaded with.
"""

import argparse
import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RATES_PER_S = (1_000, 10_000, 500_000)


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What is not measured but chosen; each can be given on the command line."""

    headroom: float = 0.5
    """The part of every unit that stays free in normal times: for peaks, failures and deployments."""
    core_speed: float = 1.0
    """Speed of a core there over that of the machine that was measured."""
    database_cores: int = 16
    """Cores of one PostgreSQL server."""
    database_log_mb_per_s: float = 200.0
    """What its disk takes of write-ahead log, synced."""
    broker_cores: int = 8
    """Cores of one Kafka broker."""
    broker_network_mb_per_s: float = 1_250.0
    """A broker's network, each way: 10 Gbit/s."""
    replication: int = 3
    """Copies of each partition."""
    readers: int = 3
    """How often an event is read: by the other service, by webhooks, and by the tail of one gateway."""
    replicas_min: int = 2
    """Replicas of a service, so that one may fail."""


@dataclass(frozen=True, slots=True)
class OrderCost:
    """What one order takes, as measured."""

    services_cpu_ms: Mapping[str, float]
    """Of each Python service; a process has one event loop, which uses one core at most."""
    databases_cpu_ms: Mapping[str, float]
    """Of each database's server, its share of what belongs to no database included."""
    log_bytes: float
    """Of write-ahead log, all databases."""
    kafka_cpu_ms: float
    kafka_bytes: float
    """Written to Kafka's segments, one copy."""


@dataclass(frozen=True, slots=True)
class Need:
    """One part of the system at one rate."""

    part: str
    unit: str
    bound: str
    """What fills a unit: CPU, log (the disk that takes it) or network."""
    load: float
    """Units that would be just full."""
    units: int
    """Units to run."""
    full_at_per_s: float
    """Orders per second at which one unit is full, headroom used up."""


@dataclass(frozen=True, slots=True)
class Step:
    """Everything that a rate needs."""

    per_s: int
    needs: tuple[Need, ...]
    partitions: int
    first_bottleneck: str
    """The part of the step before that is full first on the way to this rate."""
    bottleneck_at_per_s: float

    def units(self, part: str) -> int:
        """How many units of a part."""
        return next(need.units for need in self.needs if need.part == part)


def cost_of(figures: Mapping[str, Any]) -> OrderCost:
    """The cost of a spread order out of the bench's figures. Raises ValueError where they lack something."""
    try:
        spread = figures["orders_spread"]
        cpu, backends = spread["cpu_ms_per_order"], spread["cpu_ms_per_order_databases"]
        named = {name: float(backends[name]) for name in ("orders", "warehouse")}
        # Checkpoints, the log writer and vacuuming belong to no backend: by the same proportion.
        scale = float(cpu["postgres"]) / sum(named.values())
        return OrderCost(
            services_cpu_ms={name: float(cpu[name]) for name in ("gateway", "orders", "warehouse")},
            databases_cpu_ms={name: ms * scale for name, ms in named.items()},
            log_bytes=float(spread["wal_bytes_per_order"]),
            kafka_cpu_ms=float(cpu["kafka"]),
            kafka_bytes=float(spread["kafka_bytes_per_order"]),
        )
    except (KeyError, TypeError, ZeroDivisionError) as fault:
        raise ValueError(f"these figures lack what a spread order costs: {fault!r}") from fault


def need(
    part: str, unit: str, ceilings: Mapping[str, float], per_s: float, given: Assumptions, *, units_min: int
) -> Need:
    """Units of a part: the rate over what a unit may be loaded with. `ceilings` are the rates at which one unit's
    resources are full; the lowest counts."""
    bound = min(ceilings, key=lambda name: ceilings[name])
    full_at_per_s = ceilings[bound]
    load = per_s / full_at_per_s
    # Rounding must not add a unit where the division is exact.
    units = math.ceil(load / (1 - given.headroom) - 1e-9)
    return Need(part, unit, bound, load, max(units_min, units), full_at_per_s)


def needs(cost: OrderCost, per_s: float, given: Assumptions) -> tuple[Need, ...]:
    """What every part needs at a rate."""
    core_ms = 1000 * given.core_speed
    found = [
        need(name, "replicas", {"CPU": core_ms / ms}, per_s, given, units_min=given.replicas_min)
        for name, ms in cost.services_cpu_ms.items()
    ]
    log_bytes_per_cpu_ms = cost.log_bytes / sum(cost.databases_cpu_ms.values())
    for name, ms in cost.databases_cpu_ms.items():
        ceilings = {
            "CPU": given.database_cores * core_ms / ms,
            "log": _per_s(given.database_log_mb_per_s, log_bytes_per_cpu_ms * ms),
        }
        found.append(need(f"PostgreSQL of {name}", "cells", ceilings, per_s, given, units_min=1))
    # Every copy is written by a broker, and costs it about as much as the first; every reader is served by one.
    sent_bytes = cost.kafka_bytes * (given.replication - 1 + given.readers)
    ceilings = {
        "CPU": given.broker_cores * core_ms / (cost.kafka_cpu_ms * given.replication),
        "network": _per_s(given.broker_network_mb_per_s, sent_bytes),
    }
    return (*found, need("Kafka", "brokers", ceilings, per_s, given, units_min=given.replication))


def _per_s(mb_per_s: float, bytes_each: float) -> float:
    """Orders per second that fill a stream; without end where an order takes none of it."""
    return mb_per_s * 1e6 / bytes_each if bytes_each else math.inf


def partitions_of(found: Sequence[Need]) -> int:
    """Partitions of a topic: one for every replica that reads it, and twice that to grow into, as they cannot be
    changed; a power of two."""
    readers = max(one.units for one in found if one.part in ("orders", "warehouse"))
    return 1 << math.ceil(math.log2(2 * readers))


def steps(cost: OrderCost, given: Assumptions, rates_per_s: Sequence[int] = RATES_PER_S) -> tuple[Step, ...]:
    """The table. Before its first rate stands the local stack: one of everything on as much as is needed."""
    made: list[Step] = []
    before: dict[str, int] = {}
    for per_s in rates_per_s:
        found = needs(cost, per_s, given)
        ceilings = {one.part: before.get(one.part, 1) * one.full_at_per_s for one in found}
        first = min(ceilings, key=lambda part: ceilings[part])
        made.append(Step(per_s, found, partitions_of(found), first, ceilings[first]))
        before = {one.part: one.units for one in found}
    return tuple(made)


def markdown(cost: OrderCost, given: Assumptions, made: Sequence[Step]) -> str:
    """The table as it stands in docs/capacity.md."""
    head = ["part", "one unit is full at, orders/s", *(f"{step.per_s:,}/s" for step in made)]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for index, one in enumerate(made[0].needs):
        cells = [f"{one.part}, {one.unit}", f"{one.full_at_per_s:,.0f} ({one.bound})"]
        cells += [f"{step.needs[index].units:,}" for step in made]
        lines.append("| " + " | ".join(cells) + " |")
    lines.append("| partitions of a topic | | " + " | ".join(f"{step.partitions:,}" for step in made) + " |")
    lines.append(
        "| full first on the way there | | "
        + " | ".join(f"{step.first_bottleneck}, at {step.bottleneck_at_per_s:,.0f}/s" for step in made)
        + " |"
    )
    log_mb = [f"{step.per_s * cost.log_bytes / 1e6:,.0f}" for step in made]
    kafka_mb = [f"{step.per_s * cost.kafka_bytes * given.replication / 1e6:,.0f}" for step in made]
    lines.append("| write-ahead log, MB/s, all cells | | " + " | ".join(log_mb) + " |")
    lines.append("| written by all brokers, MB/s | | " + " | ".join(kafka_mb) + " |")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Prints the table for a file of figures."""
    parser = argparse.ArgumentParser(
        prog="python -m deploy.bench.capacity", description="What many orders per second need."
    )
    parser.add_argument("figures", type=Path, help="what `make bench JSON=path` wrote")
    for name, default in _defaults().items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(default), default=default)
    parsed = vars(parser.parse_args(arguments))
    path = parsed.pop("figures")
    given = Assumptions(**parsed)
    if not 0 <= given.headroom < 1:
        parser.error("--headroom is from 0 to less than 1")
    try:
        cost = cost_of(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError) as fault:
        print(f"capacity: {path}: {fault}", file=sys.stderr)
        return 2
    print(markdown(cost, given, steps(cost, given)), end="")
    return 0


def _defaults() -> dict[str, float | int]:
    given = Assumptions()
    return {name: getattr(given, name) for name in Assumptions.__dataclass_fields__}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
