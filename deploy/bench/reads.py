"""The reading parts of the bench: a product's detail, and lists of 20 products."""

import asyncio
import contextlib
import itertools
import random
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager

import msgspec

from deploy.bench import shop
from deploy.bench.load import Load, get_request, send_all
from deploy.bench.machine import Meter
from deploy.bench.measure import p50_ms
from deploy.bench.orders import Run, cost_figures
from deploy.bench.world import World
from deploy.replay.client import Api
from deploy.replay.report import percentile

PAGE = 20
PAGES_MAX = 500
EDIT_EVERY_S = 1.0
WARM_UP_S = 0.5


class _Page(msgspec.Struct):
    next_page_token: str = ""


async def detail(world: World, skus: Sequence[str], seconds: float, concurrency: int) -> Run:
    """Products evenly at random; all of them are in the gateway's memory after a while, as in production."""
    requests = [get_request(world.base_url, f"/v1/products/{sku}", world.api_key) for sku in skus]
    random.Random(len(skus)).shuffle(requests)
    await send_all(world.base_urls, requests, concurrency)
    return await timed(world, itertools.cycle(requests), seconds, concurrency)


async def bare(
    world: World, base_url: str, skus: Sequence[str], seconds: float, concurrency: int
) -> tuple[float, list[str]]:
    """The same requests to the bare server, per second, and what it did not answer."""
    requests = [get_request(base_url, f"/v1/products/{sku}", world.api_key) for sku in skus]
    await send_all(base_url, itertools.cycle(requests), concurrency, s_max=WARM_UP_S)
    load = await send_all(base_url, itertools.cycle(requests), concurrency, s_max=seconds)
    return load.accepted / (load.ended - load.started), unanswered(load, "the bare server")


async def lists(world: World, pages: Sequence[str], seconds: float, concurrency: int) -> Run:
    """Pages of 20, three ways: the mix that the goal is about, one page over and over, and none twice.

    The mix is a shop's traffic: the n-th page is asked for 1/n as often as the first (people look at the first
    pages), while once a second a product is edited, after which no page in memory may be used any more.
    """
    requests = [get_request(world.base_url, path, world.api_key) for path in pages]
    choice = random.Random(len(pages))
    weights = list(itertools.accumulate(1 / (n + 1) for n in range(len(requests))))
    mixed = choice.choices(requests, cum_weights=weights, k=200_000)
    async with _edited(world, EDIT_EVERY_S):
        mix = await timed(world, itertools.cycle(mixed), seconds, concurrency)
    await world.settled()
    cached = await timed(world, itertools.repeat(requests[0]), seconds, concurrency)
    distinct, unread = await _distinct(world, requests, seconds, concurrency)
    return mix | {
        "cached_per_s": cached["per_s"],
        "cached_p99_ms": cached["p99_ms"],
        "distinct_per_s": distinct,
        "pages": len(pages),
        "faults": mix["faults"] + cached["faults"] + unread,
    }


async def _distinct(
    world: World, requests: Sequence[bytes], seconds: float, concurrency: int
) -> tuple[float, list[str]]:
    """Every page once after an edit, so that each comes from the catalog's database; again until time is up."""
    spent_s, answered = 0.0, 0
    faults: list[str] = []
    while spent_s < seconds:
        await _edit(world.api)
        await world.settled()
        load = await send_all(world.base_urls, requests, concurrency)
        spent_s += load.ended - load.started
        answered += load.accepted
        faults += unanswered(load, "pages that were none twice")
    return round(answered / spent_s, 1), faults


async def timed(world: World, requests: Iterable[bytes], seconds: float, concurrency: int) -> Run:
    """Reads for some seconds. Anything but 2xx is a fault."""
    meter = Meter(world.pids)
    load = await send_all(world.base_urls, requests, concurrency, s_max=seconds)
    elapsed_s = load.ended - load.started
    cost = cost_figures(meter.read(load.accepted, elapsed_s))
    return {
        "per_s": round(load.accepted / elapsed_s, 1),
        "p50_ms": round(p50_ms(load), 2),
        "p99_ms": round(percentile(load.latencies_s, 99) * 1000, 2),
        "accepted": load.accepted,
        "statuses": {str(status): count for status, count in sorted(load.statuses.items())},
        "cpu_ms_per_request": cost["cpu_ms_per_order"],
        "client_cpu_share": cost["client_cpu_share"],
        "others_cpu_share": cost["others_cpu_share"],
        "faults": unanswered(load),
    }


def unanswered(load: Load, whose: str = "") -> list[str]:
    """The fault of a reading part: answers that are no 2xx, which nobody may count as read."""
    wrong = sum(load.statuses.values()) - load.accepted
    return [f"{whose}{': ' if whose else ''}{wrong} answers were no 2xx"] if wrong else []


async def page_paths(api: Api, category: str) -> list[str]:
    """The paths of the category's pages of 20, found by walking through them."""
    decode = msgspec.json.Decoder(_Page).decode
    paths = [f"/v1/products?category={category}&page_size={PAGE}"]
    while len(paths) < PAGES_MAX:
        token = decode(shop.must(await api.get(paths[-1])).body).next_page_token
        if not token:
            break
        paths.append(f"{paths[0]}&page_token={token}")
    return paths


@asynccontextmanager
async def _edited(world: World, every_s: float) -> AsyncIterator[None]:
    """Edits a product at intervals for the time of the block."""

    async def edit_on() -> None:
        while True:
            await asyncio.sleep(every_s)
            await _edit(world.api)

    editing = asyncio.create_task(edit_on())
    try:
        yield
    finally:
        editing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await editing


async def _edit(api: Api) -> None:
    """Changes one product that nobody orders; the tenant's lists are anew afterwards."""
    row = shop.product_row("bench.edited", f"bench-edited-{time.time_ns()}")
    shop.must(await api.post("/v1/imports/products", row, content_type="application/x-ndjson"))
