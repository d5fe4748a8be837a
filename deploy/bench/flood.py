"""`make bench-flood`: floods the gateway with several times the orders that it can take, and shows what becomes of it.

Three phases over the running local stack: a calm one that finds the capacity; the flood, an open loop that offers
`times` as much over so many connections, whose refused orders are offered again at once as new ones; and a calm
one again, second by second, until the rate is back. Beside rates and latencies it notes every second what each
process holds (memory, open files), and at the end whether each accepted order was decided and none of
the stock was promised twice. Exit 0: all of it held; 1: something did not; 2: it could not run.
"""

import argparse
import asyncio
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil
import uvloop
from rich.console import Console
from rich.table import Table

from deploy.bench import shop
from deploy.bench.command import (
    EXIT_COULD_NOT_RUN,
    EXIT_MEASURED,
    EXIT_WRONG,
    FAILURES,
    console_of,
    write_json,
)
from deploy.bench.load import Broken, HttpConnection, connect
from deploy.bench.measure import await_decided, count_orders, oversold_units
from deploy.local.settings import SERVICES, StackSettings
from deploy.local.stack import Stack
from deploy.replay.client import Api
from deploy.replay.report import percentile
from deploy.replay.settings import target_of

CALM_CONNECTIONS = 64
WARM_S = 3.0
RECOVERED_SHARE = 0.9
RECOVER_S_MAX = 30.0
REST_S = 10.0
UNITS_EACH = 100_000
SEED = 20_260_101


@dataclass(slots=True)
class Offered:
    """What one phase offered and got."""

    seconds: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    accepted_ms: list[float] = field(default_factory=list)
    refused_ms: list[float] = field(default_factory=list)
    broken: int = 0

    def figures(self) -> dict[str, Any]:
        """Rates and latencies."""
        accepted, sent = len(self.accepted_ms), sum(self.statuses.values())
        return {
            "offered_per_s": round(sent / self.seconds, 1),
            "accepted": accepted,
            "accepted_per_s": round(accepted / self.seconds, 1),
            "refused_per_s": round((sent - accepted) / self.seconds, 1),
            "accepted_p50_ms": round(percentile(self.accepted_ms, 50), 1),
            "accepted_p99_ms": round(percentile(self.accepted_ms, 99), 1),
            "refused_p50_ms": round(percentile(self.refused_ms, 50), 1),
            "refused_p99_ms": round(percentile(self.refused_ms, 99), 1),
            "statuses": {str(status): count for status, count in sorted(self.statuses.items())},
            "broken": self.broken,
        }


@dataclass(frozen=True, slots=True)
class Held:
    """What a process holds at a moment."""

    at_s: float
    memory_mb: dict[str, float]
    open_files: dict[str, int]
    """Connections are most of them."""


class Flood:
    """Orders without end, each with a key of its own, over connections that are kept."""

    def __init__(self, base_url: str, requests: Iterator[bytes]) -> None:
        self._base_url = base_url
        self._requests = requests
        self._kept: list[HttpConnection] = []

    async def open(self, count: int) -> None:
        """Opens connections until there are so many."""
        while len(self._kept) < count:
            self._kept.append(await connect(self._base_url))

    def close(self) -> None:
        """Closes them."""
        while self._kept:
            self._kept.pop().close()

    async def offer(self, seconds: float, *, connections: int, per_s: float = 0.0) -> Offered:
        """Offers orders for so long: `per_s` of them where given and as far as connections are free, else as many
        as are answered."""
        await self.open(connections)
        seen = Offered()
        started = time.perf_counter()
        until = started + seconds
        turn_s = connections / per_s if per_s else 0.0
        workers = [
            self._keep_asking(connection, seen, started + turn_s * number / connections, until, turn_s)
            for number, connection in enumerate(self._kept[:connections])
        ]
        await asyncio.gather(*workers)
        seen.seconds = time.perf_counter() - started
        return seen

    async def _keep_asking(
        self, connection: HttpConnection, seen: Offered, due: float, until: float, turn_s: float
    ) -> None:
        while due < until and (now := time.perf_counter()) < until:
            if now < due:
                await asyncio.sleep(due - now)
            begun = time.perf_counter()
            try:
                status = await connection.exchange(next(self._requests))
            except Broken:
                seen.broken += 1
                # The next phase opens another in its place.
                self._kept.remove(connection)
                connection.close()
                return
            ms = (time.perf_counter() - begun) * 1000
            seen.statuses[status] += 1
            (seen.accepted_ms if status < 300 else seen.refused_ms).append(ms)
            # One that was answered late does not make up for the turns that it has missed.
            due = max(due + turn_s, time.perf_counter()) if turn_s else 0.0


async def watch(pids: Mapping[str, int], held: list[Held], started: float) -> None:
    """Notes once a second what each process holds, until cancelled."""
    processes = {name: psutil.Process(pid) for name, pid in pids.items()}
    while True:
        memory = {name: round(one.memory_info().rss / 1e6, 1) for name, one in processes.items()}
        open_files = {name: one.num_fds() for name, one in processes.items()}
        held.append(Held(round(time.perf_counter() - started, 1), memory, open_files))
        await asyncio.sleep(1)


async def flood(stack: Stack, *, seconds: float, times: float, connections: int) -> dict[str, Any]:
    """All phases."""
    target = target_of(os.environ)
    api = Api(target.base_url, target.api_key, patience_s=60.0, timeout_s=30.0, connections_max=8)
    names = shop.Shop(time.strftime("%y%m%d%H%M%S", time.gmtime()))
    pids = {name: service.process.pid for name, service in stack.services.items() if service.process.pid}
    part = "flood"
    held: list[Held] = []
    async with api.opened():
        await shop.prepare(api, names, units_each=UNITS_EACH, units_of={})
        requests = _endless(target.base_url, target.api_key, names, part)
        client = Flood(target.base_url, requests)
        started = time.perf_counter()
        watching = asyncio.create_task(watch(pids, held, started))
        try:
            warm = await client.offer(WARM_S, connections=CALM_CONNECTIONS)
            calm = await client.offer(max(5.0, seconds / 2), connections=CALM_CONNECTIONS)
            capacity = len(calm.accepted_ms) / calm.seconds
            flooded_at = time.perf_counter() - started
            storm = await client.offer(seconds, connections=connections, per_s=capacity * times)
            client.close()
            recovered_s, after = await _recover(client, capacity)
            client.close()
            await await_decided(api, names.buyer_ref(part))
            decided_s = time.perf_counter() - started
            await asyncio.sleep(REST_S)
        finally:
            watching.cancel()
            client.close()
        phases = (warm, calm, storm, *after)
        reserved = await count_orders(api, names.buyer_ref(part), "awaiting_payment")
        oversold = await oversold_units(api, warehouse_id=shop.WAREHOUSE_ID)
    return {
        "calm": calm.figures(),
        "flood": storm.figures(),
        "times_capacity": round(sum(storm.statuses.values()) / storm.seconds / capacity, 1),
        "goodput_share": round(len(storm.accepted_ms) / storm.seconds / capacity, 2),
        "recovered_s": recovered_s,
        "after": [phase.figures() for phase in after],
        "flooded_at_s": round(flooded_at, 1),
        "decided_at_s": round(decided_s, 1),
        "accepted": sum(len(phase.accepted_ms) for phase in phases),
        "unknown": sum(phase.broken for phase in phases),
        "reserved": reserved,
        "oversold": oversold,
        "held": [asdict(one) for one in held],
    }


async def _recover(client: Flood, capacity: float) -> tuple[float | None, list[Offered]]:
    """Seconds until a whole second has at least `RECOVERED_SHARE` of the capacity; None where none had."""
    phases = []
    started = time.perf_counter()
    while time.perf_counter() - started < RECOVER_S_MAX:
        begun_s = time.perf_counter() - started
        phases.append(await client.offer(1.0, connections=CALM_CONNECTIONS))
        if len(phases[-1].accepted_ms) / phases[-1].seconds >= RECOVERED_SHARE * capacity:
            return round(begun_s, 1), phases
    return None, phases


def _endless(base_url: str, api_key: str, names: shop.Shop, part: str) -> Iterator[bytes]:
    """Orders made in advance by the thousand; the keys of each thousand are new."""
    number = 0
    while True:
        batch = shop.spread_requests(base_url, api_key, names, part, 1_000, seed=SEED + number)
        key, fresh = names.buyer_ref(part).encode(), f"{names.buyer_ref(part)}.{number}".encode()
        for request in batch:
            yield request.replace(b"Idempotency-Key: " + key, b"Idempotency-Key: " + fresh, 1)
        number += 1


def main(arguments: Sequence[str]) -> int:
    """Runs one flood from the command line."""
    parser = argparse.ArgumentParser(prog="python -m deploy.bench.flood", description="Flood the gateway.")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long the flood lasts")
    parser.add_argument("--times", type=float, default=10.0, help="how many times the capacity is offered")
    parser.add_argument("--connections", type=int, default=1_000, help="connections of the flood")
    parser.add_argument("--json", type=Path, default=None, help="where to write the figures as JSON")
    given = parser.parse_args(arguments)
    try:
        stack = Stack(StackSettings.from_environment(os.environ), say=lambda who, text: None)
        if not all(service.running for service in stack.services.values()):
            stack.up()
        figures = uvloop.run(
            flood(stack, seconds=given.seconds, times=given.times, connections=given.connections)
        )
    except FAILURES as error:
        print(f"bench-flood: {error}", file=sys.stderr)
        return EXIT_COULD_NOT_RUN
    _print(console_of(), figures)
    write_json(given.json, figures)
    return EXIT_MEASURED if is_right(figures) else EXIT_WRONG


def is_right(figures: Mapping[str, Any]) -> bool:
    """Whether each accepted order has its stock, nothing was promised twice, and the rate came back.

    An order whose answer was lost with its connection, in whichever phase, is unknown: it may be there as well.
    """
    accepted, reserved = figures["accepted"], figures["reserved"]
    return (
        not figures["oversold"]
        and accepted <= reserved <= accepted + figures["unknown"]
        and figures["recovered_s"] is not None
    )


def _print(console: Console, figures: Mapping[str, Any]) -> None:
    table = Table(header_style="bold")
    for heading in ("", "calm", "flood"):
        table.add_column(heading, justify="left" if not heading else "right")
    for name in figures["calm"]:
        table.add_row(name, str(figures["calm"][name]), str(figures["flood"][name]))
    console.print(table)
    for name in (
        "times_capacity",
        "goodput_share",
        "recovered_s",
        "accepted",
        "unknown",
        "reserved",
        "oversold",
    ):
        console.print(f"{name}: {figures[name]}", highlight=False)
    memory = Table(header_style="bold", title="memory MB (open files)")
    memory.add_column("second")
    for name in SERVICES:
        memory.add_column(name, justify="right")
    every = max(1, len(figures["held"]) // 16)
    for one in figures["held"][::every]:
        cells = [f"{one['memory_mb'].get(name, 0)} ({one['open_files'].get(name, 0)})" for name in SERVICES]
        memory.add_row(f"{one['at_s']:.0f}", *cells)
    console.print(memory)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
