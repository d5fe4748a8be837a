"""From which warehouses an order is served: a pure function that can explain itself.

1. Ways: enabled warehouses that serve the destination; hazardous lines only from those that ship hazards.
2. In-country warehouses alone, if together they can; else all: two near parcels beat one that crosses a border.
3. One warehouse for everything, if any can: the best by transit days, cost, priority.
4. Else the fewest warehouses: the best pair, then the best triple, within a bounded number of probes.
5. Else warehouse after warehouse, each time the one that covers most of what is still missing.
All lines or none: nothing is allocated unless every unit is.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations
from typing import NamedTuple

from services.warehouse.domain.stock import Allocation, StockLevel
from services.warehouse.domain.warehouses import Route

PROBES_MAX = 20_000
"""How many (warehouse, line) pairs the search for pairs and triples may look at: some 5 ms."""

_NUMBER_WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


class Rejection(StrEnum):
    """Why stock was not reserved."""

    STOCK_INSUFFICIENT = "STOCK_INSUFFICIENT"
    DESTINATION_NOT_SERVED = "DESTINATION_NOT_SERVED"
    HAZARD_NOT_SHIPPABLE = "HAZARD_NOT_SHIPPABLE"
    VOIDED_BEFORE = "VOIDED_BEFORE"
    REQUEST_INVALID = "REQUEST_INVALID"


class Shortage(NamedTuple):
    """A SKU that did not suffice."""

    sku: str
    requested: int
    available: int


class Demand(NamedTuple):
    """Units of a SKU that an order asks for, each SKU once, and where the SKU lies."""

    sku: str
    quantity: int
    hazardous: bool
    levels: Mapping[str, StockLevel]


@dataclass(frozen=True, slots=True)
class Plan:
    """Where every unit comes from, and why, in words."""

    allocations: tuple[Allocation, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there is no plan."""

    reason: Rejection
    shortages: tuple[Shortage, ...] = ()


def source(
    demands: Sequence[Demand], routes: Sequence[Route], *, probes_max: int = PROBES_MAX
) -> Plan | Refusal:
    """Decides; `routes` are the ways to the destination, best first. The same input gives the same plan."""
    if not routes:
        return Refusal(Rejection.DESTINATION_NOT_SERVED)
    # In-country ways rank before all others, so they are the first ones.
    near = [route for route in routes if route.in_country]
    if near and len(near) < len(routes):
        plan = _single(demands, near) or _split(demands, near, probes_max)
        if plan is not None:
            return plan
    plan = _single(demands, routes) or _split(demands, routes, probes_max)
    return plan if plan is not None else _refuse(demands, routes)


def explain(routes: Iterable[Route]) -> str:
    """The choice in words: "in-country, one parcel, 2-4 days"."""
    chosen = tuple(routes)
    near = sum(route.in_country for route in chosen)
    place = "in-country" if near == len(chosen) else "partly in-country" if near else "cross-border"
    count = _NUMBER_WORDS[len(chosen)] if len(chosen) < len(_NUMBER_WORDS) else str(len(chosen))
    days_min = min(route.transit_days_min for route in chosen)
    days_max = max(route.transit_days_max for route in chosen)
    days = str(days_min) if days_min == days_max else f"{days_min}-{days_max}"
    return (
        f"{place}, {count} parcel{'s' if len(chosen) > 1 else ''}, {days} day{'s' if days_max != 1 else ''}"
    )


def _single(demands: Sequence[Demand], routes: Sequence[Route]) -> Plan | None:
    """Everything from the best warehouse that has all of it."""
    for route in routes:
        if _covers(route, demands):
            warehouse_id = route.warehouse_id
            allocations = tuple([Allocation(demand.sku, warehouse_id, demand.quantity) for demand in demands])
            return Plan(allocations, explain((route,)))
    return None


def _split(demands: Sequence[Demand], routes: Sequence[Route], probes_max: int) -> Plan | None:
    """Everything from as few warehouses as the search finds; None where together they have too little."""
    supplies = [_supply(demand, routes) for demand in demands]
    for demand, supply in zip(demands, supplies, strict=True):
        if sum(supply.values()) < demand.quantity:
            return None
    chosen = _fewest(demands, supplies, routes, probes_max) or _greedy(demands, supplies)
    return _take(demands, supplies, routes, chosen)


def _refuse(demands: Sequence[Demand], routes: Sequence[Route]) -> Refusal:
    """Why there is no plan over all ways."""
    if any(demand.hazardous for demand in demands) and not any(route.ships_hazards for route in routes):
        return Refusal(Rejection.HAZARD_NOT_SHIPPABLE)
    totals = [(demand, sum(_supply(demand, routes).values())) for demand in demands]
    return Refusal(
        Rejection.STOCK_INSUFFICIENT,
        tuple(
            Shortage(demand.sku, demand.quantity, total)
            for demand, total in totals
            if total < demand.quantity
        ),
    )


def _covers(route: Route, demands: Sequence[Demand]) -> bool:
    warehouse_id = route.warehouse_id
    for _, quantity, hazardous, levels in demands:
        level = levels.get(warehouse_id)
        if (
            level is None
            or level.on_hand - level.reserved < quantity
            or (hazardous and not route.ships_hazards)
        ):
            return False
    return True


def _supply(demand: Demand, routes: Sequence[Route]) -> dict[int, int]:
    """What each way (by its rank) could give for a line; those that could give nothing are left out."""
    supply = {}
    for rank, route in enumerate(routes):
        level = demand.levels.get(route.warehouse_id)
        if level is not None and level.available > 0 and (route.ships_hazards or not demand.hazardous):
            supply[rank] = level.available
    return supply


def _fewest(
    demands: Sequence[Demand],
    supplies: Sequence[Mapping[int, int]],
    routes: Sequence[Route],
    probes_max: int,
) -> tuple[int, ...] | None:
    """The best pair, else the best triple of ranks that covers everything; None where the search found none."""
    usable = sorted(set().union(*supplies))
    # The lines with the fewest sources first: they refuse most combinations at the first probe.
    scarcest = sorted(zip(demands, supplies, strict=True), key=lambda pair: len(pair[1]))
    probes = 0
    for size in (2, 3):
        best: tuple[tuple[int, int, int, int], tuple[int, ...]] | None = None
        for ranks in combinations(usable, size):
            for demand, supply in scarcest:
                probes += 1
                if sum([supply.get(rank, 0) for rank in ranks]) < demand.quantity:
                    break
            else:
                weighed = _weight([routes[rank] for rank in ranks]), ranks
                best = weighed if best is None else min(best, weighed)
            if probes >= probes_max:
                return best[1] if best is not None else None
        if best is not None:
            return best[1]
    return None


def _weight(routes: Sequence[Route]) -> tuple[int, int, int, int]:
    """The lower the better, in the same order as a single way's rank."""
    return (
        sum(not route.in_country for route in routes),
        max(route.transit_days_max for route in routes),
        sum(route.cost_minor for route in routes),
        sum(route.priority for route in routes),
    )


def _greedy(demands: Sequence[Demand], supplies: Sequence[Mapping[int, int]]) -> tuple[int, ...]:
    """Ranks that together cover everything, each the one that covers most of what was still missing."""
    missing = [demand.quantity for demand in demands]
    chosen: list[int] = []
    while any(missing):
        covered: dict[int, int] = {}
        for units, supply in zip(missing, supplies, strict=True):
            for rank, available in supply.items() if units else ():
                if rank not in chosen:
                    covered[rank] = covered.get(rank, 0) + min(units, available)
        best = min(covered, key=lambda rank: (-covered[rank], rank))
        chosen.append(best)
        missing = [
            max(0, units - supply.get(best, 0)) for units, supply in zip(missing, supplies, strict=True)
        ]
    return tuple(sorted(chosen))


def _take(
    demands: Sequence[Demand],
    supplies: Sequence[Mapping[int, int]],
    routes: Sequence[Route],
    ranks: Sequence[int],
) -> Plan:
    """Takes each line from the best chosen warehouse that has all of it, else from one after another."""
    allocations: list[Allocation] = []
    for demand, supply in zip(demands, supplies, strict=True):
        whole = next((rank for rank in ranks if supply.get(rank, 0) >= demand.quantity), None)
        missing = demand.quantity
        for rank in ranks if whole is None else (whole,):
            units = min(missing, supply.get(rank, 0))
            if units:
                allocations.append(Allocation(demand.sku, routes[rank].warehouse_id, units))
                missing -= units
    used = {allocation.warehouse_id for allocation in allocations}
    return Plan(tuple(allocations), explain(route for route in routes if route.warehouse_id in used))
