"""`make bench-replicas`: orders per second and CPU per order with one, two and three replicas, and where it stops.

A stack of its own; one service after the other gets more replicas, then all of them. Exit 0: measured and proven;
1: a proof does not hold; 2: it could not run.
"""

import argparse
import logging
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import uvloop
from rich.table import Table

from deploy.bench import machine, orders, own, shop, suite, world
from deploy.bench.command import (
    CONCURRENCY,
    EXIT_COULD_NOT_RUN,
    FAILURES,
    console_of,
    say,
    verdict,
    write_json,
)
from deploy.bench.figures import summarise
from deploy.bench.machine import CLIENT, POSTGRES
from deploy.bench.orders import Run, Volume
from deploy.bench.report import shown
from deploy.local.replicas import Replicas
from deploy.local.settings import MEASURED_SERVICES, SERVICES
from deploy.local.stack import Stack
from deploy.replay.settings import Target

ORDER_PATH = ("gateway", "orders", "warehouse")
"""The services that an order goes through; more catalogs change nothing for it."""
CORES_BUSY = 0.9
PROCESS_BUSY = 0.85


@dataclass(frozen=True, slots=True)
class ReplicaSettings:
    """One series of measurements."""

    replicas_max: int
    runs: int
    volume: Volume
    json_path: Path | None


def arrangements(replicas_max: int) -> Iterator[tuple[str, dict[str, int]]]:
    """Names and counts: one of each, more of one service, more of all."""
    one = dict.fromkeys(SERVICES, 1)
    yield "1 of each", one
    for service in ORDER_PATH:
        for count in range(2, replicas_max + 1):
            yield f"{count} {service}", one | {service: count}
    for count in range(2, replicas_max + 1):
        yield f"{count} of each", one | dict.fromkeys(MEASURED_SERVICES, count)


def bound_by(shares: Mapping[str, float], busiest: Mapping[str, float], cores: int) -> str:
    """What keeps the rate from rising, in words.

    `shares` are the parts' shares of all cores, `busiest` the share of one core that the busiest process of each
    part takes: a service's process has one event loop and cannot use more than one core.
    """
    total = sum(shares.values())
    full = {name: share for name, share in busiest.items() if name in SERVICES and share >= PROCESS_BUSY}
    if total >= CORES_BUSY:
        largest = sorted(shares, key=lambda name: shares[name], reverse=True)[:2]
        return f"CPU: {total:.0%} of {cores} cores, most of it {' and '.join(largest)}"
    if full:
        name = max(full, key=lambda one: full[one])
        return f"one core: {name} is at {full[name]:.0%} of it"
    return f"waiting: {1 - total:.0%} of {cores} cores are idle"


def by_part(cpu_ms: Mapping[str, float]) -> dict[str, float]:
    """CPU per order of all replicas of a part together; orders-1 and orders-2 are orders."""
    together: dict[str, float] = defaultdict(float)
    for name, ms in cpu_ms.items():
        together[_part(name)] += ms
    return dict(together)


def explained(run: Run, cores: int) -> Run:
    """The figures of a run with each part's share of the machine, and the bound."""
    cpu = by_part(run["cpu_ms_per_order"])
    # CPU was counted until the last decision, as the rate is.
    shares = {name: ms * run["per_s"] / 1000 / cores for name, ms in cpu.items()}
    shares["others"] = run["others_cpu_share"]
    busiest: dict[str, float] = defaultdict(float)
    for name, ms in run["cpu_ms_per_order"].items():
        busiest[_part(name)] = max(busiest[_part(name)], ms * run["per_s"] / 1000)
    return run | {
        "cpu_ms_per_order": {name: round(ms, 4) for name, ms in cpu.items()},
        "cpu_ms_per_order_services": round(sum(cpu[name] for name in MEASURED_SERVICES), 4),
        "shares": {name: round(share, 4) for name, share in shares.items()},
        "busiest_process": {name: round(share, 4) for name, share in busiest.items()},
        "bound": bound_by(shares, busiest, cores),
    }


async def once(
    stack: Stack, running: Replicas, names: shop.Shop, label: str, settings: ReplicaSettings, *, first: bool
) -> list[Run]:
    """Every run of one arrangement."""
    pids = running.pids | {POSTGRES: stack.postgres.process.pid, "kafka": stack.kafka.process.pid}
    pids |= {CLIENT: world.process_ids(stack)[CLIENT]}
    urls = world.gateway_urls(running.gateway_ports)
    target = Target(urls[0], own.target(stack).api_key)
    runs = []
    async with world.opened(stack, target, say, pids=pids) as opened:
        spread_out = replace(opened, base_urls=urls)
        if first:
            units = settings.volume.spread_orders * settings.runs * (3 + 3 * settings.replicas_max * 2)
            await shop.prepare(opened.api, names, units_each=units, units_of={})
        part = label.replace(" ", "-")
        await suite.warm_up(spread_out, names, settings.volume.concurrency, part=f"warm-{part}")
        for n in range(settings.runs):
            await opened.settled()
            say(f"{label}: run {n + 1} of {settings.runs}")
            run = await orders.spread(spread_out, names, f"{part}-{n}", settings.volume, seed=orders.SEED + n)
            runs.append(explained(run, machine.core_count()))
    return runs


def measure_all(stack: Stack, settings: ReplicaSettings) -> dict[str, Any]:
    """Each arrangement in turn, its processes started anew."""
    names = shop.Shop(time.strftime("%y%m%d%H%M%S", time.gmtime()))
    found: dict[str, Any] = {}
    for label, counts in arrangements(settings.replicas_max):
        running = Replicas(stack, counts)
        try:
            running.start()
            found[label] = summarise(
                uvloop.run(once(stack, running, names, label, settings, first=not found))
            )
        finally:
            running.stop()
    return {"machine": machine.describe(), **found}


def main(arguments: Sequence[str]) -> int:
    """Runs from the command line."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    settings = _parse(arguments)
    try:
        with own.own_stacks(["stack"], "replicas", say) as (stack,):
            stack.check()
            stack.start_servers()
            figures = measure_all(stack, settings)
    except FAILURES as error:
        print(f"bench-replicas: {error}", file=sys.stderr)
        return EXIT_COULD_NOT_RUN
    parts = (*SERVICES, POSTGRES, "kafka", CLIENT, "others")
    table = Table(header_style="bold")
    table.add_column("replicas")
    for name in ("orders/s", "CPU ms, services", *(f"{part} %" for part in parts)):
        table.add_column(name, justify="right")
    table.add_column("bound by")
    for label, row in figures.items():
        if label != "machine":
            shares = [f"{100 * row['shares'].get(part, 0.0):.0f}" for part in parts]
            figures_shown = (shown(row["per_s"]), shown(row["cpu_ms_per_order_services"]))
            table.add_row(label, *figures_shown, *shares, row["bound"])
    console_of().print(table)
    print("%: of all cores, while orders were placed and decided")
    write_json(settings.json_path, figures)
    return verdict(figures)


def _part(name: str) -> str:
    """The service of a replica's name."""
    head, _, number = name.rpartition("-")
    return head if number.isdigit() else name


def _parse(arguments: Sequence[str]) -> ReplicaSettings:
    parser = argparse.ArgumentParser(
        prog="python -m deploy.bench.replicas", description="Measure orders per second with more replicas."
    )
    add = parser.add_argument
    add("--replicas", type=int, default=3, help="replicas of a service at most")
    add("--runs", type=int, default=2, help="runs of each arrangement; the figures are medians")
    add("--orders", type=int, default=10_000, help="orders per run")
    add("--concurrency", type=int, default=CONCURRENCY, help="orders in flight, over all gateways")
    add("--json", type=Path, default=None, help="where to write the figures as JSON")
    given = parser.parse_args(arguments)
    volume = Volume(given.orders, 0, 0, 0.0, 0, 0.0, given.concurrency)
    return ReplicaSettings(given.replicas, given.runs, volume, given.json)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
