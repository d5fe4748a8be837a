"""`make bench-growth`: the spread benchmark and the readings on 10,000 SKUs without a past, and on years of business.

Two stacks of its own run side by side and take turns, so that both see the same machine. Exit 0: measured and
proven; 1: a proof does not hold; 2: it could not run. Whether the goal is reached is printed, not the exit code.
"""

import argparse
import asyncio
import json
import logging
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import uvloop
from rich.table import Table

from deploy.bench import machine, own, shop, world
from deploy.bench.command import (
    CONCURRENCY,
    EXIT_COULD_NOT_RUN,
    FAILURES,
    console_of,
    say,
    verdict,
    write_json,
)
from deploy.bench.growth import fill
from deploy.bench.growth.compare import ORDER_BOUND, Compared, compare, compare_parts
from deploy.bench.growth.measure import Size, Skus, bench_skus, readings, spread, watched
from deploy.bench.orders import Run
from deploy.bench.report import shown
from deploy.bench.suite import WARM_UP_ORDERS
from deploy.bench.world import World
from deploy.local.stack import Stack

FILLED = ("catalog", "orders", "warehouse")
"""The databases that hold what a shop grows by."""
SMALL = Size("small", 10_000, 0)
SPREAD, SPREAD_ALL = "order", "order over all SKUs"


@dataclass(frozen=True, slots=True)
class GrowthSettings:
    """One comparison."""

    large: Size
    runs: int
    orders: int
    read_s: float
    concurrency: int
    keep: bool
    json_path: Path | None


async def growth(settings: GrowthSettings, stacks: Sequence[Stack]) -> dict[str, Any]:
    """Fills what is not filled and measures both sizes in turn."""
    sizes = (SMALL, settings.large)
    names = shop.Shop(time.strftime("%y%m%d%H%M%S", time.gmtime()))
    found: dict[str, dict[str, list[Run]]] = {size.name: defaultdict(list) for size in sizes}
    async with AsyncExitStack() as leaving:
        worlds = {}
        for size, stack in zip(sizes, stacks, strict=True):
            await prepare(stack, size)
            opened = await leaving.enter_async_context(world.opened(stack, own.target(stack), say))
            worlds[size.name] = watched(opened, size.name)
        for n in range(settings.runs + 1):
            for size in sizes:
                await once(worlds[size.name], names, size, settings, n, found[size.name])
    return {"machine": machine.describe(), "sizes": [asdict(size) for size in sizes], **figures_of(found)}


async def once(
    opened: World, names: shop.Shop, size: Size, settings: GrowthSettings, n: int, found: dict[str, list[Run]]
) -> None:
    """One round on one of the stacks; round 0 only warms up."""
    if n == 0:
        skus = bench_skus(size.skus)
        await spread(opened, names, "warm", skus, WARM_UP_ORDERS, settings.concurrency, seed=-1)
        return
    opened.say(f"run {n} of {settings.runs}")
    part = f"spread{n}"
    kinds = {SPREAD: bench_skus(size.skus), SPREAD_ALL: Skus(size.skus, 1)}
    for kind, skus in kinds.items():
        run = await spread(
            opened,
            names,
            part if kind == SPREAD else f"{part}-all",
            skus,
            settings.orders,
            settings.concurrency,
            seed=n,
        )
        found[kind].append(run)
    for kind, run in (
        await readings(
            opened, names, size, run=n, part=part, seconds=settings.read_s, concurrency=settings.concurrency
        )
    ).items():
        found[kind].append(run)


async def prepare(stack: Stack, size: Size) -> None:
    """Fills the stack, unless it was kept from an earlier time, filled to this size."""
    note = stack.settings.data / "filled.json"
    if note.exists() and json.loads(note.read_text("utf-8")) == asdict(size):
        return
    say(f"filling with {size.skus:,} SKUs and {size.past_orders:,} past orders")
    async with world.opened(stack, own.target(stack), say) as opened:
        await shop.prepare_owners(opened.api)
        await opened.settled()
    # They would read tables that have no indexes while they are filled.
    await asyncio.to_thread(stack.stop_services)
    dsns = {name: stack.postgres.dsn(name, role="postgres") for name in FILLED}
    await fill.fill(dsns, size.skus, size.past_orders, say)
    await asyncio.to_thread(stack.start_services)
    note.write_text(json.dumps(asdict(size)), "utf-8")


def figures_of(found: dict[str, dict[str, list[Run]]]) -> dict[str, Any]:
    """The comparison, and every run of both sizes."""
    small, large = found["small"], found["large"]
    rows: list[Compared] = []
    for kind in small:
        rows += compare(kind, small[kind], large[kind])
        if kind in (SPREAD, SPREAD_ALL):
            rows += compare_parts(kind, small[kind], large[kind])
    faults = [
        fault for runs in found.values() for kind in runs.values() for run in kind for fault in run["faults"]
    ]
    return {
        "growth": {
            "compared": [asdict(row) | {"ratio": row.ratio and round(row.ratio, 3)} for row in rows],
            "ratio": rows[0].ratio and round(rows[0].ratio, 3),
            "faults": faults,
            "runs": {name: dict(kinds) for name, kinds in found.items()},
        }
    }


def main(arguments: Sequence[str]) -> int:
    """Runs one comparison from the command line."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    settings = _parse(arguments)
    try:
        with own.own_stacks(["small", "large"], "growth", say, keep=settings.keep) as stacks:
            fill.check_space(stacks[1].settings.folder, settings.large.skus, settings.large.past_orders)
            for stack in stacks:
                stack.up()
            figures = uvloop.run(growth(settings, stacks))
    except FAILURES as error:
        print(f"bench-growth: {error}", file=sys.stderr)
        return EXIT_COULD_NOT_RUN
    table = Table(header_style="bold")
    table.add_column("cost of one")
    for size in figures["sizes"]:
        table.add_column(f"{size['skus']:,} SKUs, {size['past_orders']:,} past orders", justify="right")
    table.add_column("ratio", justify="right")
    for row in figures["growth"]["compared"]:
        table.add_row(row["label"], shown(row["small"]), shown(row["large"]), shown(row["ratio"]))
    console_of().print(table)
    ratio = figures["growth"]["ratio"]
    print(
        f"cost per order <= {ORDER_BOUND} x: {'reached' if ratio <= ORDER_BOUND else 'missed'} ({ratio:.2f} x CPU)"
    )
    write_json(settings.json_path, figures)
    return verdict(figures)


def _parse(arguments: Sequence[str]) -> GrowthSettings:
    parser = argparse.ArgumentParser(
        prog="python -m deploy.bench.growth",
        description="Compare the cost per order on small and large tables.",
    )
    add = parser.add_argument
    add(
        "--skus",
        type=_sku_count,
        default=10_000_000,
        help="stock rows of the large stack, a multiple of 10,000",
    )
    add("--past-orders", type=int, default=5_000_000, help="past orders of the large stack")
    add("--runs", type=int, default=3, help="how often each size is measured; the figures are medians")
    add("--orders", type=int, default=10_000, help="orders per run")
    add("--read-seconds", type=float, default=3.0, help="seconds of each reading")
    add("--concurrency", type=int, default=CONCURRENCY, help="requests in flight")
    add("--keep", action="store_true", help="keep both stacks' data, filled, for the next time")
    add("--json", type=Path, default=None, help="where to write the figures as JSON")
    given = parser.parse_args(arguments)
    return GrowthSettings(
        Size("large", given.skus, given.past_orders),
        given.runs,
        given.orders,
        given.read_seconds,
        given.concurrency,
        given.keep,
        given.json,
    )


def _sku_count(text: str) -> int:
    count = int(text)
    if count < 1 or count % SMALL.skus:
        raise argparse.ArgumentTypeError(f"must be a multiple of {SMALL.skus:,}")
    return count


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
