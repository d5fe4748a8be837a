"""The order parts of the bench: spread, one hot SKU, an empty SKU, and latency at a fixed rate."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from deploy.bench import shop
from deploy.bench.books import Proof, prove
from deploy.bench.load import RETRIED
from deploy.bench.machine import Cost
from deploy.bench.measure import Part, await_decided, count_orders, measure, oversold_units
from deploy.bench.open_loop import Arrival, send_at_rate
from deploy.bench.world import World
from deploy.local.settings import MEASURED_SERVICES
from deploy.replay.report import percentile

SEED = 20_101_201
STATUS_SOLD_OUT = 409
SOLD_OUT = {STATUS_SOLD_OUT: b"SOLD_OUT"}
"""The refusal at the door, and the reason that it has to name."""
WAIT_EVERY = 8
"""Of the orders at a fixed rate, every n-th asks for its decision: enough for a p99, too few to weigh."""

CROWD = 2
"""Times as many requests in flight before an empty shelf: a refusal costs little, so it takes more of them to keep the
cores busy."""

Run = dict[str, Any]
"""The figures of one run of a part, as they go into the JSON."""


@dataclass(frozen=True, slots=True)
class Volume:
    """How much each part sends."""

    spread_orders: int
    hot_orders: int
    hot_stock: int
    sold_out_s: float
    sold_out_orders_max: int
    latency_s: float
    concurrency: int


async def spread(world: World, names: shop.Shop, part: str, volume: Volume, *, seed: int = SEED) -> Run:
    """Orders of 1 to 3 lines over 10,000 SKUs."""
    requests = list(
        shop.spread_requests(world.base_url, world.api_key, names, part, volume.spread_orders, seed=seed)
    )
    measured = await measure(world, names.buyer_ref(part), requests, volume.concurrency)
    proof = await proven(world, names.buyer_ref(part), shop.spread_skus(), measured.accepted)
    return figures_of(measured) | proof_figures(proof, short=measured.sent - measured.accepted)


async def hot(world: World, names: shop.Shop, part: str, volume: Volume) -> Run:
    """More orders for one SKU than it has units: it must be sold to the last one, and not one more."""
    sku = names.own_sku(part)
    requests = list(shop.one_sku_requests(world.base_url, world.api_key, names, part, sku, volume.hot_orders))
    measured = await measure(world, names.buyer_ref(part), requests, volume.concurrency, reasons=SOLD_OUT)
    refused_early = measured.statuses.get(STATUS_SOLD_OUT, 0)
    proof = await proven(
        world, names.buyer_ref(part), [sku], measured.accepted, expected_reserved=volume.hot_stock
    )
    answered = measured.accepted + refused_early
    return figures_of(measured) | {
        # An order refused at the door is as decided as one refused by the warehouse.
        "per_s": round(answered / measured.elapsed_s, 1),
        "refused_early": refused_early,
        "stock": volume.hot_stock,
        "exact": proof.reserved == volume.hot_stock and not proof.faults(),
        **proof_figures(proof, short=measured.sent - answered, unreasoned=measured.unreasoned),
    }


async def sold_out(world: World, names: shop.Shop, part: str, sku: str, volume: Volume) -> Run:
    """Orders for a SKU of which nothing is left: refused at the door with 409, or placed and then REJECTED."""
    requests = list(
        shop.one_sku_requests(world.base_url, world.api_key, names, part, sku, volume.sold_out_orders_max)
    )
    crowd = CROWD * volume.concurrency
    measured = await measure(
        world, names.buyer_ref(part), requests, crowd, s_max=volume.sold_out_s, reasons=SOLD_OUT
    )
    proof = await proven(world, names.buyer_ref(part), [sku], measured.accepted, expected_reserved=0)
    early = measured.statuses.get(STATUS_SOLD_OUT, 0)
    answered = early + proof.rejected
    return figures_of(measured) | {
        "per_s": round(answered / measured.elapsed_s, 1),
        "concurrency": crowd,
        "refused_early": early,
        "rejected": proof.rejected,
        **proof_figures(proof, short=measured.sent - answered, unreasoned=measured.unreasoned),
    }


async def latency(world: World, names: shop.Shop, part: str, volume: Volume, per_s: float) -> Run:
    """Spread orders at a fixed rate. Every eighth waits for its decision (`Prefer: wait`), which is what a client
    can see of it and includes all that the gateway needs to learn of it; the others show the placement alone."""
    requests = list(
        shop.spread_requests(
            world.base_url,
            world.api_key,
            names,
            part,
            int(per_s * volume.latency_s),
            seed=SEED + 2,
            wait_every=WAIT_EVERY,
        )
    )
    arrivals = await send_at_rate(world.base_url, requests, per_s)
    await await_decided(world.api, names.buyer_ref(part))
    accepted = sum(1 for arrival in arrivals if 200 <= arrival.status < 300)
    proof = await proven(world, names.buyer_ref(part), shop.spread_skus(), accepted)
    shed = sum(1 for arrival in arrivals if arrival.status in RETRIED)
    placed_ms = _milliseconds([one for n, one in enumerate(arrivals) if n % WAIT_EVERY])
    # The gateway answers with the order still pending where it could not wait: that is no time of a decision.
    decided_ms = _milliseconds([one for one in arrivals[::WAIT_EVERY] if one.is_decided])
    undecided = count_undecided(arrivals)
    return {
        "per_s": round(per_s, 1),
        "p50_ms": round(percentile(placed_ms, 50), 2),
        "p99_ms": round(percentile(placed_ms, 99), 2),
        "reserved_p50_ms": round(percentile(decided_ms, 50), 2),
        "reserved_p99_ms": round(percentile(decided_ms, 99), 2),
        "max_ms": round(max(placed_ms + decided_ms, default=0.0), 2),
        "sent": len(arrivals),
        "accepted": accepted,
        # Turned away as too much: no wrong answer, but none that a latency may be shown without.
        "shed": shed,
        "undecided": undecided,
        **proof_figures(proof, short=len(arrivals) - accepted - shed),
    }


async def proven(
    world: World, buyer_ref: str, skus: Sequence[str], accepted: int, *, expected_reserved: int | None = None
) -> Proof:
    """The books of a part, the API's included; by default there was stock for every order accepted."""
    return await prove(
        world,
        buyer_ref,
        list(skus),
        accepted=accepted,
        expected_reserved=accepted if expected_reserved is None else expected_reserved,
        reserved_api=await count_orders(world.api, buyer_ref, "awaiting_payment"),
        oversold_api=await oversold_units(world.api, warehouse_id=shop.WAREHOUSE_ID),
    )


def figures_of(part: Part) -> Run:
    """A measured part as figures."""
    return {
        "per_s": round(part.per_s, 1),
        "posted_per_s": round(part.posted_per_s, 1),
        "p50_ms": round(part.p50_ms, 2),
        "p99_ms": round(part.p99_ms, 2),
        "sent": part.sent,
        "accepted": part.accepted,
        "statuses": {str(status): count for status, count in sorted(part.statuses.items())},
        "repeated": part.repeated,
        "elapsed_s": round(part.elapsed_s, 3),
        "wal_bytes_per_order": round(part.wal_bytes_each),
        "kafka_bytes_per_order": round(part.kafka_bytes_each),
        **cost_figures(part.cost),
    }


def cost_figures(cost: Cost) -> Run:
    """What a unit of work took."""
    cpu = {name: round(ms, 4) for name, ms in cost.cpu_ms_each.items()}
    return {
        "cpu_ms_per_order": cpu,
        "cpu_ms_per_order_services": round(sum(cpu.get(name, 0.0) for name in MEASURED_SERVICES), 4),
        "cpu_ms_per_order_databases": {
            name: round(ms, 4)
            for name, ms in sorted(cost.databases_cpu_ms_each.items())
            if name in MEASURED_SERVICES
        },
        "network_bytes_per_order": round(cost.network_bytes_each),
        "memory_mb": dict(cost.memory_mb),
        "memory_mb_services": round(sum(cost.memory_mb.get(name, 0.0) for name in MEASURED_SERVICES), 1),
        "client_cpu_share": round(cost.client_cpu_share, 4),
        "others_cpu_share": round(cost.others_cpu_share, 4),
    }


def proof_figures(proof: Proof, *, short: int, unreasoned: Sequence[bytes] = ()) -> Run:
    """The proof as figures; `short` counts requests that got neither of the answers they may get, `unreasoned` are
    the ends of refusals that do not say why."""
    faults = proof.faults() + ([f"{short} requests were not answered as they should"] if short else [])
    if unreasoned:
        faults.append(f"{len(unreasoned)} refusals do not say sold out, the first: {unreasoned[0][-200:]!r}")
    return {
        "oversold": proof.oversold,
        "unsold": proof.expected_reserved - proof.reserved,
        "proof": proof.as_json(),
        "faults": faults,
    }


def count_undecided(arrivals: Sequence[Arrival]) -> int:
    """Orders that were accepted, asked for their decision and were answered without one."""
    waited = arrivals[::WAIT_EVERY]
    return sum(1 for one in waited if 200 <= one.status < 300 and not one.is_decided)


def _milliseconds(arrivals: Sequence[Arrival]) -> list[float]:
    return [arrival.latency_s * 1000 for arrival in arrivals if 200 <= arrival.status < 300]
