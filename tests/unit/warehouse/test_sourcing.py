"""Sourcing by example and by law."""

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.warehouse.domain.sourcing import Demand, Plan, Refusal, Rejection, Shortage, source
from services.warehouse.domain.stock import Allocation, StockLevel
from services.warehouse.domain.warehouses import (
    Network,
    Route,
    ServedCountry,
    WarehouseContent,
    WarehouseKind,
)

NAMES = ("w1", "w2", "w3", "w4", "w5")


def route(
    name: str, *, near: bool = False, days: tuple[int, int] = (2, 4), cost: int = 500, hazards: bool = True
) -> Route:
    return Route(name, near, *days, cost, 0, hazards)


def demand(sku: str, quantity: int, stock: Mapping[str, int], *, hazardous: bool = False) -> Demand:
    levels = {name: StockLevel(name, units, 0, 1) for name, units in stock.items()}
    return Demand(sku, quantity, hazardous, levels)


def plan(demands: Sequence[Demand], *routes: Route, **bounds: int) -> Plan:
    found = source(demands, sorted(routes, key=Route.rank), **bounds)
    assert isinstance(found, Plan), found
    return found


def refusal(demands: Sequence[Demand], *routes: Route) -> Refusal:
    found = source(demands, sorted(routes, key=Route.rank))
    assert isinstance(found, Refusal), found
    return found


def test_in_country_comes_before_quicker_and_cheaper() -> None:
    near, far = route("w1", near=True, days=(3, 9), cost=900), route("w2", days=(1, 2), cost=100)
    found = plan([demand("A", 1, {"w1": 1, "w2": 1})], far, near)
    assert found == Plan((Allocation("A", "w1", 1),), "in-country, one parcel, 3-9 days")


@pytest.mark.parametrize(
    ("worse", "better"),
    [
        (route("w1", days=(2, 5)), route("w2", days=(2, 4))),
        (route("w1", cost=600), route("w2", cost=500)),
        (Route("w1", False, 2, 4, 500, 7, True), Route("w2", False, 2, 4, 500, 3, True)),
        (route("w2"), route("w1")),
    ],
    ids=["transit days", "cost", "priority", "id"],
)
def test_equal_ways_are_told_apart_by(worse: Route, better: Route) -> None:
    found = plan([demand("A", 1, {"w1": 1, "w2": 1})], worse, better)
    assert found.allocations[0].warehouse_id == better.warehouse_id


def test_two_near_parcels_are_better_than_one_that_crosses_a_border() -> None:
    near, other = route("w1", near=True), route("w2", near=True)
    found = plan(
        [demand("A", 1, {"w1": 1, "w3": 1}), demand("B", 1, {"w2": 1, "w3": 1})], near, other, route("w3")
    )
    assert [allocation.warehouse_id for allocation in found.allocations] == ["w1", "w2"]
    assert found.reason == "in-country, two parcels, 2-4 days"


def test_one_foreign_parcel_is_better_than_a_near_and_a_foreign_one() -> None:
    near, far = route("w1", near=True), route("w2", days=(8, 15))
    found = plan([demand("A", 1, {"w1": 1, "w2": 1}), demand("B", 1, {"w2": 1})], near, far)
    assert {allocation.warehouse_id for allocation in found.allocations} == {"w2"}
    assert found.reason == "cross-border, one parcel, 8-15 days"


def test_a_line_is_split_only_where_no_warehouse_has_all_of_it() -> None:
    found = plan(
        [demand("A", 5, {"w1": 3, "w2": 4}), demand("B", 2, {"w1": 1, "w2": 2})],
        route("w1", near=True),
        route("w2", days=(5, 9)),
    )
    assert found.allocations == (Allocation("A", "w1", 3), Allocation("A", "w2", 2), Allocation("B", "w2", 2))
    assert found.reason == "partly in-country, two parcels, 2-9 days"


def test_the_best_pair_is_chosen_among_all() -> None:
    found = plan(
        [demand("A", 1, {"w1": 1}), demand("B", 1, {"w2": 1, "w3": 1, "w4": 1})],
        route("w1"),
        route("w2", days=(9, 20)),
        route("w3", near=True, days=(1, 3)),
        route("w4"),
    )
    assert [allocation.warehouse_id for allocation in found.allocations] == ["w1", "w3"]


def test_beyond_triples_the_search_goes_on_greedily() -> None:
    demands = [demand(sku, 1, {name: 1}) for sku, name in zip("ABCDE", NAMES, strict=True)]
    found = plan(demands, *map(route, NAMES))
    assert len({allocation.warehouse_id for allocation in found.allocations}) == 5
    assert found.reason == "cross-border, five parcels, 2-4 days"


def test_an_exhausted_search_still_covers_everything() -> None:
    demands = [demand(sku, 1, {name: 1}) for sku, name in zip("AB", NAMES, strict=False)]
    assert len(plan(demands, *map(route, NAMES), probes_max=1).allocations) == 2


def test_hazards_leave_only_from_where_they_may() -> None:
    found = plan(
        [demand("A", 1, {"w1": 1, "w2": 1}, hazardous=True)],
        route("w1", near=True, hazards=False),
        route("w2"),
    )
    assert found.allocations == (Allocation("A", "w2", 1),)


def test_refusals_say_why() -> None:
    wanted = demand("A", 3, {"w1": 2})
    assert refusal([wanted]) == Refusal(Rejection.DESTINATION_NOT_SERVED)
    assert refusal([wanted], route("w1")) == Refusal(Rejection.STOCK_INSUFFICIENT, (Shortage("A", 3, 2),))
    assert refusal([wanted._replace(hazardous=True)], route("w1", hazards=False)) == Refusal(
        Rejection.HAZARD_NOT_SHIPPABLE
    )


def test_reserved_units_are_no_stock() -> None:
    taken = Demand("A", 1, False, {"w1": StockLevel("w1", 5, 5, 1)})
    assert refusal([taken], route("w1")).shortages == (Shortage("A", 1, 0),)


def test_a_network_offers_only_enabled_warehouses_that_serve_the_country() -> None:
    def warehouse(name: str, country: str, *, disabled: bool = False) -> WarehouseContent:
        served = (ServedCountry(country, 1, 2, 100, "EUR"),)
        return WarehouseContent(name, name, "ES", "EU", WarehouseKind.OVERSEAS, served, 0, True, disabled)

    network = Network([warehouse("w1", "ES"), warehouse("w2", "ES", disabled=True), warehouse("w3", "FR")])
    assert [way.warehouse_id for way in network.routes_to("ES")] == ["w1"]
    assert network.routes_to("ES")[0].in_country
    assert not network.routes_to("FR")[0].in_country
    assert network.enabled_ids() == ["w1", "w3"]


ROUTES = st.lists(
    st.builds(
        Route,
        st.sampled_from(NAMES),
        st.booleans(),
        st.integers(0, 3),
        st.integers(3, 6),
        st.integers(0, 2),
        st.integers(0, 2),
        st.booleans(),
    ),
    unique_by=lambda way: way.warehouse_id,
    max_size=5,
).map(lambda ways: sorted(ways, key=Route.rank))

DEMANDS = st.dictionaries(
    st.sampled_from("ABCD"),
    st.tuples(
        st.integers(1, 6),
        st.booleans(),
        st.dictionaries(st.sampled_from(NAMES), st.tuples(st.integers(0, 5), st.integers(0, 3))),
    ),
    min_size=1,
).map(
    lambda lines: [
        Demand(
            sku,
            quantity,
            hazardous,
            {name: StockLevel(name, units + kept, kept, 1) for name, (units, kept) in stock.items()},
        )
        for sku, (quantity, hazardous, stock) in lines.items()
    ]
)


@given(DEMANDS, ROUTES, st.sampled_from([1, 5, 20_000]))
def test_laws(demands: list[Demand], routes: list[Route], probes_max: int) -> None:
    found = source(demands, routes, probes_max=probes_max)
    assert source(demands, routes, probes_max=probes_max) == found, "deterministic"
    by_name = {way.warehouse_id: way for way in routes}
    able = [way for way in routes if all(_gives(way, line) >= line.quantity for line in demands)]
    if isinstance(found, Refusal):
        assert not able
        assert any(sum(_gives(way, line) for way in routes) < line.quantity for line in demands)
        return
    for line in demands:
        taken = [allocation for allocation in found.allocations if allocation.sku == line.sku]
        assert sum(allocation.quantity for allocation in taken) == line.quantity, "all or nothing"
        assert len({allocation.warehouse_id for allocation in taken}) == len(taken)
        for allocation in taken:
            way = by_name[allocation.warehouse_id]
            assert 0 < allocation.quantity <= _gives(way, line), "no more than there is, and where it may"
    used = {allocation.warehouse_id for allocation in found.allocations}
    near = [way for way in routes if way.in_country]
    if all(sum(_gives(way, line) for way in near) >= line.quantity for line in demands):
        assert all(by_name[name].in_country for name in used), "nothing crosses a border that need not"
        able = [way for way in able if way.in_country]
    if able:
        assert used == {able[0].warehouse_id}, "no split where one suffices, and then the best one"
    else:
        assert len(used) > 1


def _gives(way: Route, line: Demand) -> int:
    level = line.levels.get(way.warehouse_id)
    return 0 if level is None or (line.hazardous and not way.ships_hazards) else level.available
