"""The work whose cost is compared: the spread benchmark, and the ways of reading orders and products."""

import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import overload

from deploy.bench import reads, shop
from deploy.bench.books import prove
from deploy.bench.load import get_request
from deploy.bench.measure import ORDERS_PAGE, count_orders, fetch_orders, measure, oversold_units
from deploy.bench.orders import SEED, Run, figures_of, proof_figures
from deploy.bench.world import World
from deploy.replay.client import Api

SKUS_OF_THE_BENCH = 10_000
BUYER_ORDERS = 10
DETAIL_PRODUCTS = 300
API_SAMPLE = 20


class Skus(Sequence[str]):
    """Evenly spaced SKUs of a filled stack, made when they are asked for: ten million names need no memory."""

    def __init__(self, length: int, step: int) -> None:
        self._length = length
        self._step = step

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[one] for one in range(*index.indices(self._length))]
        if not 0 <= index < self._length:
            raise IndexError(index)
        return f"sku.{index * self._step:08d}"


def bench_skus(skus: int) -> Skus:
    """The 10,000 that the benchmark orders, from all over the tables."""
    return Skus(min(SKUS_OF_THE_BENCH, skus), max(1, skus // SKUS_OF_THE_BENCH))


@dataclass(frozen=True, slots=True)
class Size:
    """How a stack was filled."""

    name: str
    skus: int
    past_orders: int


async def spread(
    world: World,
    names: shop.Shop,
    part: str,
    skus: Sequence[str],
    orders: int,
    concurrency: int,
    *,
    seed: int,
) -> Run:
    """The spread benchmark over the given SKUs, with its proof."""
    requests = list(
        shop.spread_requests(world.base_url, world.api_key, names, part, orders, seed=SEED + seed, skus=skus)
    )
    await world.settled()
    measured = await measure(world, names.buyer_ref(part), requests, concurrency)
    proof = await prove(
        world,
        names.buyer_ref(part),
        [],
        accepted=measured.accepted,
        expected_reserved=measured.accepted,
        reserved_api=await count_orders(world.api, names.buyer_ref(part), "awaiting_payment"),
        oversold_api=await _oversold_of_some(world.api, skus),
    )
    return figures_of(measured) | proof_figures(proof, short=measured.sent - measured.accepted)


async def readings(
    world: World, names: shop.Shop, size: Size, *, run: int, part: str, seconds: float, concurrency: int
) -> dict[str, Run]:
    """An order by its id, the newest ten orders of a buyer, and products read for the first time."""
    choice = random.Random(SEED + run)
    if size.past_orders:
        ids = [past_order_id(choice.randrange(size.past_orders)) for _ in range(5_000)]
        buyers = [f"past/{choice.randrange(size.past_orders // BUYER_ORDERS)}" for _ in range(5_000)]
    else:
        ids = await _some_order_ids(world.api, names.buyer_ref(part))
        buyers = [names.buyer_ref(part)]
    products = [
        f"/v1/products/product.{number:07d}"
        for number in choice.sample(range(size.skus // 10), min(DETAIL_PRODUCTS, size.skus // 10))
    ]
    kinds = {
        "order by id": [f"/v1/orders/{one}" for one in ids],
        "orders of a buyer": [f"/v1/orders?buyer_ref={one}&page_size={BUYER_ORDERS}" for one in buyers],
    }
    found = {}
    for kind, paths in kinds.items():
        await world.settled()
        requests = itertools.cycle([get_request(world.base_url, path, world.api_key) for path in paths])
        found[kind] = await reads.timed(world, requests, seconds, concurrency)
    requests_once = [get_request(world.base_url, path, world.api_key) for path in products]
    found["product detail, first reading"] = await reads.timed(world, requests_once, seconds, concurrency)
    return found


def past_order_id(number: int) -> str:
    """The id of a past order, as fill.sql makes it."""
    return f"01900000-0000-7000-8000-{number:012x}"


def watched(world: World, name: str) -> World:
    """The same world, its name before all that it says."""
    return replace(world, say=lambda text: world.say(f"{name}: {text}"))


async def _some_order_ids(api: Api, buyer_ref: str) -> list[str]:
    page = await fetch_orders(api, {"buyer_ref": buyer_ref, "page_size": ORDERS_PAGE})
    return [one.order_id for one in page.orders]


async def _oversold_of_some(api: Api, skus: Sequence[str]) -> int:
    """Units promised beyond what is there, of some SKUs: listing all of them takes an hour."""
    sample = range(0, len(skus), max(1, len(skus) // API_SAMPLE))
    return sum([await oversold_units(api, sku=skus[index]) for index in sample])
