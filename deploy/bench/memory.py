"""`make bench-memory`: the services' resident memory while very many orders go through them at full speed.

A stack of its own, orders over 10,000 SKUs without a pause, a sample after every so many. Exit 0: within the bound,
flat and proven; 1: not, or too few samples to
tell; 2: it could not run.
"""

import argparse
import logging
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import uvloop
from rich.table import Table

from deploy.audit.checks import connected
from deploy.bench import machine, orders, own, shop, suite, world
from deploy.bench.command import (
    CONCURRENCY,
    EXIT_COULD_NOT_RUN,
    EXIT_MEASURED,
    EXIT_WRONG,
    FAILURES,
    console_of,
    say,
    verdict,
    write_json,
)
from deploy.bench.load import send_all
from deploy.bench.measure import await_decided
from deploy.bench.report import shown
from deploy.bench.world import World
from deploy.local.settings import MEASURED_SERVICES
from deploy.local.stack import Stack
from services.chassis.queries import load_queries

MEMORY_MB_MAX = 600.0
RISE_SHARE_MAX = 0.05
SAMPLES = 20
SAMPLES_MIN = 6
"""With fewer, the second half is no curve that could be called flat."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The memory after so many orders."""

    orders: int
    per_s: float
    """Since the sample before."""
    memory_mb: dict[str, float]

    @property
    def total_mb(self) -> float:
        """Of the four services."""
        return sum(self.memory_mb.get(name, 0.0) for name in MEASURED_SERVICES)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the curve says."""

    highest_mb: float
    rise_mb: float | None
    """By the line that fits the second half of the samples best, over that half; None for too few samples."""
    rise_share: float | None
    """Of the mean of that half."""

    @property
    def is_bounded(self) -> bool:
        """Never above the bound."""
        return self.highest_mb <= MEMORY_MB_MAX

    @property
    def is_flat(self) -> bool | None:
        """The second half does not rise; None where there are too few samples to judge it."""
        return None if self.rise_share is None else self.rise_share <= RISE_SHARE_MAX

    def words(self) -> str:
        """For a person."""
        bound = f"highest {self.highest_mb:.0f} MB, <= {MEMORY_MB_MAX:.0f}: {_word(self.is_bounded)}"
        if self.rise_mb is None or self.rise_share is None:
            return f"{bound}; whether it rises is not judged with fewer than {SAMPLES_MIN} samples"
        return (
            f"{bound}; second half rises by {self.rise_mb:+.1f} MB ({self.rise_share:+.1%}), flat is at most "
            f"{RISE_SHARE_MAX:.0%}: {_word(bool(self.is_flat))}"
        )


def judge(points: Sequence[tuple[int, float]]) -> Judgement:
    """Judges (orders, MB) samples; the first half may still be filling caches."""
    half = points[len(points) // 2 :]
    highest = max(mb for _, mb in points)
    if len(points) < SAMPLES_MIN:
        return Judgement(highest, None, None)
    slope = statistics.linear_regression([float(count) for count, _ in half], [mb for _, mb in half]).slope
    rise = slope * (half[-1][0] - half[0][0])
    return Judgement(highest, rise, rise / statistics.fmean(mb for _, mb in half))


@dataclass(frozen=True, slots=True)
class MemorySettings:
    """One run."""

    orders: int
    every: int
    concurrency: int
    json_path: Path | None


async def memory(settings: MemorySettings, opened: World) -> dict[str, Any]:
    """Sends the orders in pieces that follow each other at once, a sample after each; then reads the books."""
    names = shop.Shop(time.strftime("%y%m%d%H%M%S", time.gmtime()))
    await shop.prepare(opened.api, names, units_each=settings.orders, units_of={})
    await suite.warm_up(opened, names, settings.concurrency)
    samples = [Sample(0, 0.0, machine.memory_mb(opened.pids))]
    accepted: dict[str, int] = {}
    refused: list[str] = []
    part = ""
    for first in range(0, settings.orders, settings.every):
        part = f"memory{first}"
        count = min(settings.every, settings.orders - first)
        requests = shop.spread_requests(
            opened.base_url, opened.api_key, names, part, count, seed=orders.SEED + first
        )
        load = await send_all(opened.base_urls, requests, settings.concurrency)
        accepted[part] = load.accepted
        refused += unaccepted(part, count, load.accepted)
        samples.append(
            Sample(first + count, count / (load.ended - load.started), machine.memory_mb(opened.pids))
        )
        opened.say(f"{first + count:,} orders, {samples[-1].total_mb:.0f} MB, {samples[-1].per_s:,.0f}/s")
    for part in accepted:
        await await_decided(opened.api, names.buyer_ref(part))
    await opened.settled()
    rest = machine.memory_mb(opened.pids)
    faults = refused + await _unproven(opened, names, accepted)
    proof = await orders.proven(opened, names.buyer_ref(part), shop.spread_skus(), accepted[part])
    return {
        "machine": machine.describe(),
        "memory": {
            "samples": [asdict(sample) for sample in samples],
            "at_rest_mb": rest,
            "accepted": sum(accepted.values()),
            **asdict(judge([(sample.orders, sample.total_mb) for sample in samples])),
            "proof_of_the_last_part": proof.as_json(),
            "faults": faults + proof.faults(),
        },
    }


def unaccepted(part: str, sent: int, accepted: int) -> list[str]:
    """There is stock for every order: one that was not taken is a fault, and no work that memory was held for."""
    return [] if accepted == sent else [f"{part}: {sent:,} sent, {accepted:,} accepted"]


async def _unproven(opened: World, names: shop.Shop, accepted: dict[str, int]) -> list[str]:
    """Parts of which an accepted order is not stored, or has no stock."""
    faults = []
    async with connected(opened.dsns["orders"]) as connection:
        for part, count in accepted.items():
            row = await connection.fetchrow(
                load_queries("deploy.bench")["orders_of_buyer"], opened.tenant_id, names.buyer_ref(part)
            )
            if not row["orders"] == row["reserved"] == count:
                faults.append(f"{part}: {count} accepted, {row['orders']} stored, {row['reserved']} reserved")
    return faults


async def run(settings: MemorySettings, stack: Stack) -> dict[str, Any]:
    """On a stack that runs."""
    async with world.opened(stack, own.target(stack), say) as opened:
        return await memory(settings, opened)


def main(arguments: Sequence[str]) -> int:
    """Runs from the command line."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    settings = _parse(arguments)
    try:
        with own.own_stacks(["stack"], "memory", say) as (stack,):
            stack.up()
            figures = uvloop.run(run(settings, stack))
    except FAILURES as error:
        print(f"bench-memory: {error}", file=sys.stderr)
        return EXIT_COULD_NOT_RUN
    found = figures["memory"]
    table = Table(header_style="bold")
    for name in ("orders", "orders/s", *MEASURED_SERVICES, "MB together"):
        table.add_column(name, justify="right")
    for sample in found["samples"]:
        each = [shown(sample["memory_mb"].get(name)) for name in MEASURED_SERVICES]
        together = sum(sample["memory_mb"].get(name, 0.0) for name in MEASURED_SERVICES)
        table.add_row(f"{sample['orders']:,}", shown(sample["per_s"]), *each, shown(together))
    console_of().print(table)
    judged = Judgement(found["highest_mb"], found["rise_mb"], found["rise_share"])
    print(f"{judged.words()}; {found['accepted']:,} orders accepted")
    write_json(settings.json_path, figures)
    wrong = verdict(figures) == EXIT_WRONG or not (judged.is_bounded and judged.is_flat)
    return EXIT_WRONG if wrong else EXIT_MEASURED


def _word(kept: bool) -> str:
    return "reached" if kept else "missed"


def _parse(arguments: Sequence[str]) -> MemorySettings:
    parser = argparse.ArgumentParser(
        prog="python -m deploy.bench.memory", description="Watch the services' memory under very many orders."
    )
    add = parser.add_argument
    add("--orders", type=int, default=1_000_000, help="orders altogether")
    add("--every", type=int, default=None, help="orders between two samples; a twentieth where not given")
    add("--concurrency", type=int, default=CONCURRENCY, help="orders in flight")
    add("--json", type=Path, default=None, help="where to write the figures as JSON")
    given = parser.parse_args(arguments)
    every = max(1, given.orders // SAMPLES) if given.every is None else given.every
    if given.orders < 1 or every < 1:
        parser.error("--orders and --every must be 1 or more")
    return MemorySettings(given.orders, every, given.concurrency, given.json)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
