"""Runs the bench on the local stack, which it starts where it does not run, and prints or writes its figures.

Exit 0: measured and proven; 1: something was sold twice, not sold or not as the books say; 2: it could not run.
"""

import argparse
import logging
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import uvloop
from rich.console import Console
from rich.table import Table

from deploy.bench import orders, report, shop, suite, world
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
from deploy.bench.orders import Volume
from deploy.bench.suite import Plan
from deploy.local.settings import StackSettings
from deploy.local.stack import Stack
from deploy.replay.settings import Target, target_of


@dataclass(frozen=True, slots=True)
class BenchSettings:
    """One bench."""

    plan: Plan
    sweep: tuple[int, ...]
    """Concurrencies to try with the spread part; empty for the whole bench."""
    json_path: Path | None


async def bench(settings: BenchSettings, stack: Stack, target: Target) -> dict[str, Any]:
    """Measures what was asked for."""
    names = shop.Shop(time.strftime("%y%m%d%H%M%S", time.gmtime()))
    async with world.opened(stack, target, say) as opened:
        if settings.sweep:
            return await sweep(opened, names, settings)
        return await suite.run_suite(opened, names, settings.plan)


async def sweep(opened: world.World, names: shop.Shop, settings: BenchSettings) -> dict[str, Any]:
    """Spread orders at several concurrencies in turn: which one keeps the machine busy without queueing more."""
    plan = settings.plan
    units = plan.volume.spread_orders * len(settings.sweep) * plan.runs
    await shop.prepare(opened.api, names, units_each=units, units_of={})
    await suite.warm_up(opened, names, plan.volume.concurrency)
    runs: dict[str, list[Mapping[str, Any]]] = {str(concurrency): [] for concurrency in settings.sweep}
    for n in range(plan.runs):
        for concurrency in settings.sweep:
            await opened.settled()
            say(f"run {n + 1} of {plan.runs}: concurrency {concurrency}")
            volume = replace(plan.volume, concurrency=concurrency)
            runs[str(concurrency)].append(
                await orders.spread(opened, names, f"sweep{concurrency}-{n}", volume, seed=orders.SEED + n)
            )
    return {name: summarise(found) for name, found in runs.items()}


def main(arguments: Sequence[str]) -> int:
    """Runs one bench from the command line."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    settings = _parse(arguments)
    try:
        stack = Stack(StackSettings.from_environment(os.environ), say=lambda who, text: say(f"{who}: {text}"))
        if not all(service.running for service in stack.services.values()):
            stack.up()
        figures = uvloop.run(bench(settings, stack, target_of(os.environ)))
    except FAILURES as error:
        print(f"bench: {error}", file=sys.stderr)
        return EXIT_COULD_NOT_RUN
    console = console_of()
    if settings.sweep:
        print_sweep(console, figures)
    else:
        report.print_all(console, figures)
    write_json(settings.json_path, figures)
    return verdict(figures)


def print_sweep(console: Console, figures: Mapping[str, Any]) -> None:
    """One line per concurrency."""
    table = Table(header_style="bold")
    for name in ("concurrency", "orders/s", "range", "POST p50 ms", "p99 ms", "CPU ms, four services"):
        table.add_column(name, justify="right")
    for name, part in figures.items():
        limits = f"{report.shown(part['per_s_min'])} - {report.shown(part['per_s_max'])}"
        values = (part["per_s"], limits, part["p50_ms"], part["p99_ms"], part["cpu_ms_per_order_services"])
        table.add_row(name, *map(report.shown, values))
    console.print(table)


def _parse(arguments: Sequence[str]) -> BenchSettings:
    parser = argparse.ArgumentParser(
        prog="python -m deploy.bench",
        description="Measure the order path and the reads, beside plain PostgreSQL.",
    )
    add = parser.add_argument
    add("--runs", type=int, default=3, help="how often each part runs; the figures are medians")
    add("--spread-orders", type=int, default=10_000, help="orders over 10,000 SKUs, per run")
    add("--hot-orders", type=int, default=5_000, help="orders for one SKU; its stock is 60 %% of it")
    add("--concurrency", type=int, default=CONCURRENCY, help="requests in flight")
    add("--sold-out-seconds", type=float, default=3.0, help="how long an empty SKU is asked for")
    add(
        "--latency-seconds",
        type=float,
        default=8.0,
        help="how long orders are sent at half the rate, and at 750/s",
    )
    add("--read-seconds", type=float, default=3.0, help="seconds of each reading part")
    add("--import-rows", type=int, default=10_000, help="new products per import")
    add("--raw-seconds", type=int, default=5, help="seconds of each pgbench run; 0 for none")
    add("--sweep", type=_numbers, default=(), help="only the spread part, at these concurrencies: 64,128,256")
    add("--json", type=Path, default=None, help="where to write the figures as JSON")
    given = parser.parse_args(arguments)
    volume = Volume(
        spread_orders=given.spread_orders,
        hot_orders=given.hot_orders,
        hot_stock=int(given.hot_orders * suite.HOT_STOCK_SHARE),
        sold_out_s=given.sold_out_seconds,
        sold_out_orders_max=int(given.sold_out_seconds * 20_000),
        latency_s=given.latency_seconds,
        concurrency=given.concurrency,
    )
    plan = Plan(given.runs, volume, given.read_seconds, given.raw_seconds, given.import_rows)
    return BenchSettings(plan, given.sweep, given.json)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
