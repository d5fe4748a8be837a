"""Runs the bench on the local stack, which it starts where it does not run, and prints or writes its figures.

Exit 0: measured; 1: something was sold twice or not sold; 2: it could not run.
"""

import argparse
import json
import logging
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import uvloop
from rich.console import Console
from rich.table import Table

from deploy.bench import machine, raw, shop
from deploy.bench.load import Broken
from deploy.bench.measure import (
    CLIENT,
    NotDecided,
    Part,
    count_orders,
    measure,
    oversold_units,
    reserved_units,
)
from deploy.local.settings import SERVICES, StackError, StackSettings
from deploy.local.stack import Stack
from deploy.replay.client import Api, PatienceEnded
from deploy.replay.settings import SettingsError, target_of

EXIT_MEASURED = 0
EXIT_WRONG = 1
EXIT_COULD_NOT_RUN = 2
WARM_UP_ORDERS = 500
HOT_STOCK_SHARE = 0.6
SEED = 20_101_201


@dataclass(frozen=True, slots=True)
class BenchSettings:
    """One bench."""

    spread_orders: int
    hot_orders: int
    concurrency: int
    raw_s: int
    json_path: Path | None


@dataclass(slots=True)
class HotOutcome:
    """What became of the hot SKU's stock."""

    stock: int
    sold: int
    """Orders that hold a unit."""
    reserved: int
    """Units that the warehouse says are reserved."""

    @property
    def oversold(self) -> int:
        """Units promised beyond the stock, whoever says so."""
        return max(0, self.sold - self.stock, self.reserved - self.stock)

    @property
    def unsold(self) -> int:
        """Units left although the demand was larger."""
        return self.stock - self.sold

    @property
    def is_exact(self) -> bool:
        """Sold to the last unit, and not one more."""
        return self.sold == self.stock == self.reserved


async def bench(settings: BenchSettings, stack: Stack) -> dict[str, Any]:
    """Measures everything; the result is what JSON=path writes."""
    target = target_of(os.environ)
    api = Api(target.base_url, target.api_key, patience_s=60.0, timeout_s=30.0, connections_max=8)
    names = shop.Shop(time.strftime("%y%m%d%H%M%S", time.gmtime()))
    pids = _pids(stack)
    stock_hot = int(settings.hot_orders * HOT_STOCK_SHARE)
    async with api.opened():
        _say("catalogue and stock")
        await shop.prepare(api, names, units_each=settings.spread_orders, units_hot=stock_hot)
        warm = shop.spread_requests(
            target.base_url, target.api_key, names, "warm", WARM_UP_ORDERS, seed=SEED + 1
        )
        await measure(api, names.buyer_ref("warm"), warm, settings.concurrency, pids)
        _say(f"{settings.spread_orders:,} orders over {shop.SKUS:,} SKUs")
        requests = shop.spread_requests(
            target.base_url, target.api_key, names, "spread", settings.spread_orders, seed=SEED
        )
        spread = await measure(api, names.buyer_ref("spread"), requests, settings.concurrency, pids)
        _say(f"{settings.hot_orders:,} orders for {stock_hot:,} units of one SKU")
        requests = shop.hot_requests(target.base_url, target.api_key, names, settings.hot_orders)
        hot = await measure(api, names.buyer_ref("hot"), requests, settings.concurrency, pids)
        sold = await count_orders(api, names.buyer_ref("hot"), "awaiting_payment")
        outcome = HotOutcome(stock_hot, sold, await reserved_units(api, names.hot_sku))
        reserved = await count_orders(api, names.buyer_ref("spread"), "awaiting_payment")
        oversold = await oversold_units(api, shop.WAREHOUSE_ID)
    _say("plain PostgreSQL")
    raw_spread, raw_hot, remark = await _raw(stack, settings.raw_s)
    return {
        "machine": machine.describe(),
        "concurrency": settings.concurrency,
        "raw": remark,
        "orders_spread": _figures(spread, raw_spread)
        | {"sold": reserved, "oversold": oversold, "unsold": spread.orders - reserved},
        "orders_hot": _figures(hot, raw_hot)
        | {
            "stock": outcome.stock,
            "sold": outcome.sold,
            "oversold": outcome.oversold,
            "unsold": outcome.unsold,
            "exact": outcome.is_exact,
        },
    }


def main(arguments: Sequence[str]) -> int:
    """Runs one bench from the command line."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    settings = _parse(arguments)
    try:
        stack = Stack(
            StackSettings.from_environment(os.environ), say=lambda who, text: _say(f"{who}: {text}")
        )
        if not all(service.running for service in stack.services.values()):
            stack.up()
        figures = uvloop.run(bench(settings, stack))
    except (
        StackError,
        SettingsError,
        shop.ShopNotReady,
        NotDecided,
        Broken,
        PatienceEnded,
        OSError,
    ) as error:
        print(f"bench: {error}", file=sys.stderr)
        return EXIT_COULD_NOT_RUN
    _print(Console(width=None if sys.stdout.isatty() else 120), figures)
    if settings.json_path is not None:
        settings.json_path.parent.mkdir(parents=True, exist_ok=True)
        settings.json_path.write_text(json.dumps(figures, indent=2) + "\n", "utf-8")
    hot, spread = figures["orders_hot"], figures["orders_spread"]
    is_right = hot["exact"] and not spread["oversold"] and not spread["unsold"]
    return EXIT_MEASURED if is_right else EXIT_WRONG


def _parse(arguments: Sequence[str]) -> BenchSettings:
    parser = argparse.ArgumentParser(prog="python -m deploy.bench", description="Measure orders per second.")
    parser.add_argument("--spread-orders", type=int, default=10_000, help="orders over 10,000 SKUs")
    parser.add_argument(
        "--hot-orders", type=int, default=5_000, help="orders for one SKU; its stock is 60 %% of it"
    )
    parser.add_argument("--concurrency", type=int, default=64, help="orders in flight")
    parser.add_argument("--raw-seconds", type=int, default=10, help="seconds of each pgbench run; 0 for none")
    parser.add_argument("--json", type=Path, default=None, help="where to write the figures as JSON")
    given = parser.parse_args(arguments)
    return BenchSettings(
        given.spread_orders, given.hot_orders, given.concurrency, given.raw_seconds, given.json
    )


async def _raw(stack: Stack, seconds: int) -> tuple[float | None, float | None, str]:
    """(spread, hot, what to say of it); None where pgbench cannot run."""
    superuser_dsn = os.environ.get("BENCH_POSTGRES_DSN") or (
        stack.postgres.dsn("postgres") if stack.own_postgres else ""
    )
    if not seconds or not superuser_dsn:
        return None, None, "not measured: " + ("not asked for" if not seconds else "set BENCH_POSTGRES_DSN")
    try:
        async with raw.scratch_database(superuser_dsn) as dsn:
            spread = await raw.transactions_per_s(dsn, "raw_spread.pgbench", seconds=seconds)
            hot = await raw.transactions_per_s(dsn, "raw_hot.pgbench", seconds=seconds)
    except raw.RawUnavailable as error:
        return None, None, f"not measured: {error}"
    return spread, hot, f"pgbench, {raw.CLIENTS} clients, prepared statements, one transaction per order"


def _figures(part: Part, raw_per_s: float | None) -> dict[str, Any]:
    figures: dict[str, Any] = {
        name: round(value, 3) if isinstance(value, float) else value for name, value in asdict(part).items()
    }
    cpu = {name: round(ms, 3) for name, ms in part.cpu_ms_per_order.items()}
    return figures | {
        "raw_per_s": round(raw_per_s, 1) if raw_per_s else None,
        "ratio": round(part.per_s / raw_per_s, 3) if raw_per_s else None,
        "statuses": {str(status): count for status, count in part.statuses.items()},
        "cpu_ms_per_order": cpu,
        "cpu_ms_per_order_services": round(sum(cpu.get(name, 0.0) for name in SERVICES), 3),
        "memory_mb_services": round(sum(part.memory_mb.get(name, 0.0) for name in SERVICES), 1),
    }


def _print(console: Console, figures: Mapping[str, Any]) -> None:
    console.print("  ".join(f"{name} {value}" for name, value in figures["machine"].items()), highlight=False)
    console.print(f"plain PostgreSQL: {figures['raw']}", highlight=False)
    table = Table(header_style="bold")
    table.add_column(f"concurrency {figures['concurrency']}")
    table.add_column("spread", justify="right")
    table.add_column("one hot SKU", justify="right")
    spread, hot = figures["orders_spread"], figures["orders_hot"]
    rows = {
        "orders accepted": "accepted",
        "orders/s, POST to reserved": "per_s",
        "orders/s, POST answered": "posted_per_s",
        "plain PostgreSQL, orders/s": "raw_per_s",
        "ratio": "ratio",
        "POST p50 ms": "p50_ms",
        "POST p99 ms": "p99_ms",
        "stock": "stock",
        "orders with reserved stock": "sold",
        "oversold": "oversold",
        "unsold": "unsold",
        "CPU ms per order, four services": "cpu_ms_per_order_services",
        "memory MB, four services": "memory_mb_services",
        "load generator's share of all cores": "client_cpu_share",
        "other processes' share of all cores": "others_cpu_share",
    }
    for label, name in rows.items():
        table.add_row(label, _shown(spread.get(name)), _shown(hot.get(name)))
    for name in spread["cpu_ms_per_order"]:
        cells = [_shown(part["cpu_ms_per_order"].get(name)) for part in (spread, hot)]
        table.add_row(f"CPU ms per order, {name}", *cells)
    for name in spread["memory_mb"]:
        table.add_row(f"memory MB, {name}", *[_shown(part["memory_mb"].get(name)) for part in (spread, hot)])
    console.print(table)


def _pids(stack: Stack) -> Mapping[str, int | None]:
    pids = {name: service.process.pid for name, service in stack.services.items()}
    pids |= {"postgres": stack.postgres.process.pid, "kafka": stack.kafka.process.pid}
    return {name: pid for name, pid in pids.items() if pid is not None} | {CLIENT: os.getpid()}


def _shown(value: float | str | None) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}" if isinstance(value, float) else value


def _say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
