"""The bench itself: every part several times, its yardstick beside it each time, medians at the end.

The parts take turns within a run, so that a machine that is slow for a minute is slow for all of them; between
the parts the system comes to rest.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from deploy.bench import bare, goals, imports, machine, orders, raw, reads, shop
from deploy.bench.figures import latency_rate_per_s, summarise
from deploy.bench.measure import measure
from deploy.bench.orders import Run, Volume
from deploy.bench.world import World

WARM_UP_ORDERS = 500
EMPTY_STOCK = 50
HOT_STOCK_SHARE = 0.6
FIXED_PER_S = 750.0
"""Half of the orders per second to be reached, whatever was measured: latencies that compare from run to run."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How often and how long."""

    runs: int
    volume: Volume
    read_s: float
    raw_s: int
    import_rows: int


@dataclass(frozen=True, slots=True)
class Yardstick:
    """Plain PostgreSQL, where it can be measured."""

    dsn: str
    remark: str
    seconds: int

    async def transactions_per_s(self, script: str) -> list[float]:
        """One measurement, none where there is no server to measure."""
        return [await raw.transactions_per_s(self.dsn, script, seconds=self.seconds)] if self.dsn else []

    async def copied_rows_per_s(self, rows: int) -> list[float]:
        """The same for COPY."""
        return [await raw.copied_rows_per_s(self.dsn, rows)] if self.dsn else []


@dataclass(slots=True)
class Rounds:
    """The runs so far, and what each of them needs."""

    world: World
    names: shop.Shop
    plan: Plan
    plain: Yardstick
    bare_url: str
    pages: Sequence[str]
    empty_sku: str
    runs: defaultdict[str, list[Run]] = field(default_factory=lambda: defaultdict(list))
    yardsticks: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    async def once(self, n: int) -> None:
        """Every part once, each followed by its yardstick."""
        world, names, volume, read_s = self.world, self.names, self.plan.volume, self.plan.read_s
        await self._part(
            n,
            "orders_spread",
            f"{volume.spread_orders:,} orders over {shop.SKUS:,} SKUs",
            orders.spread(world, names, f"spread{n}", volume, seed=orders.SEED + n),
        )
        self.yardsticks["orders_spread"] += await self.plain.transactions_per_s("raw_spread.pgbench")
        await self._part(
            n,
            "orders_hot",
            f"{volume.hot_orders:,} orders for {volume.hot_stock:,} units of one SKU",
            orders.hot(world, names, f"hot{n}", volume),
        )
        self.yardsticks["orders_hot"] += await self.plain.transactions_per_s("raw_hot.pgbench")
        await self._part(
            n,
            "sold_out",
            "orders for a SKU of which nothing is left",
            orders.sold_out(world, names, f"empty{n}", self.empty_sku, volume),
        )
        await self._part(
            n,
            "product_detail",
            "product detail",
            reads.detail(world, shop.spread_skus(), read_s, volume.concurrency),
        )
        bare_per_s, faults = await reads.bare(
            world, self.bare_url, shop.spread_skus(), read_s, volume.concurrency
        )
        self.yardsticks["product_detail"].append(bare_per_s)
        self.runs["product_detail"][-1]["faults"] += faults
        await self._part(
            n,
            "product_list",
            "product lists",
            reads.lists(world, self.pages, read_s, volume.concurrency),
        )
        per_s = latency_rate_per_s(self.runs["orders_spread"])
        await self._part(
            n,
            "latency",
            f"{per_s:,.0f} orders/s for {volume.latency_s:g} s",
            orders.latency(world, names, f"latency{n}", volume, per_s),
        )
        await self._part(
            n,
            "latency_fixed",
            f"{FIXED_PER_S:,.0f} orders/s for {volume.latency_s:g} s",
            orders.latency(world, names, f"fixed{n}", volume, FIXED_PER_S),
        )
        rows = self.plan.import_rows
        await self._part(
            n,
            "import_rows",
            f"import of {rows:,} new rows",
            imports.import_rows(world, imports.ids_of(names, f"import{n}", rows)),
        )
        self.yardsticks["import_rows"] += await self.plain.copied_rows_per_s(rows)

    async def _part(self, n: int, key: str, label: str, work: Coroutine[Any, Any, Run]) -> None:
        await self.world.settled()
        self.world.say(f"run {n + 1} of {self.plan.runs}: {label}")
        self.runs[key].append(await work)


async def run_suite(world: World, names: shop.Shop, plan: Plan) -> dict[str, Any]:
    """Measures everything; the result is what JSON=path writes."""
    volume = plan.volume
    hot_skus = {names.own_sku(f"hot{n}"): volume.hot_stock for n in range(plan.runs)}
    empty_sku = names.own_sku("empty")
    world.say("catalogue and stock")
    await shop.prepare(
        world.api,
        names,
        units_each=volume.spread_orders * (plan.runs + 2),
        units_of=hot_skus | {empty_sku: EMPTY_STOCK},
    )
    await warm_up(world, names, volume.concurrency)
    await empty(world, names, empty_sku)
    pages = await reads.page_paths(world.api, shop.CATEGORY)
    document = shop.must(await world.api.get(f"/v1/products/{shop.spread_sku(0)}")).body
    async with yardstick(world, plan.raw_s) as plain, bare.serving(document) as bare_url:
        rounds = Rounds(world, names, plan, plain, bare_url, pages, empty_sku)
        for n in range(plan.runs):
            await rounds.once(n)
    return figures_of(rounds)


def figures_of(rounds: Rounds) -> dict[str, Any]:
    """All parts by key, with what they were measured on and which goals they reach."""
    figures: dict[str, Any] = {
        "machine": machine.describe(),
        "concurrency": rounds.plan.volume.concurrency,
        "raw": rounds.plain.remark,
    }
    figures |= {key: summarise(found, rounds.yardsticks[key]) for key, found in rounds.runs.items()}
    spread, hot = figures["orders_spread"], figures["orders_hot"]
    hot["of_spread"] = round(hot["per_s"] / spread["per_s"], 3)
    shares = [run["others_cpu_share"] for run in spread["runs"]]
    figures["machine"]["others_cpu_share"] = round(max(shares), 3)
    figures["goals"] = goals.verdicts(figures)
    return figures


async def warm_up(world: World, names: shop.Shop, concurrency: int, *, part: str = "warm") -> None:
    """Lets plans, connections and compiled code settle before anything is measured."""
    requests = list(
        shop.spread_requests(world.base_url, world.api_key, names, part, WARM_UP_ORDERS, seed=orders.SEED - 1)
    )
    await measure(world, names.buyer_ref(part), requests, concurrency)


async def empty(world: World, names: shop.Shop, sku: str) -> None:
    """Sells all that there is of a SKU."""
    requests = shop.one_sku_requests(world.base_url, world.api_key, names, "sell", sku, EMPTY_STOCK)
    await measure(world, names.buyer_ref("sell"), list(requests), EMPTY_STOCK)


@asynccontextmanager
async def yardstick(world: World, seconds: int) -> AsyncIterator[Yardstick]:
    """A scratch database for the time of the block; a remark instead where there can be none."""
    if not seconds or not world.superuser_dsn:
        why = "not asked for" if not seconds else "set BENCH_POSTGRES_DSN"
        yield Yardstick("", f"not measured: {why}", seconds)
        return
    try:
        raw.find_pgbench()
    except raw.RawUnavailable as error:
        yield Yardstick("", f"not measured: {error}", seconds)
        return
    async with raw.scratch_database(world.superuser_dsn) as dsn:
        words = f"pgbench, {raw.CLIENTS} clients, prepared statements, one transaction per order"
        yield Yardstick(dsn, words, seconds)
