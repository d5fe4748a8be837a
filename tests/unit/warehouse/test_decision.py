"""The decision of batches: each move of a hold by example, and the laws of stock under any sequence."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.chassis.errors import DomainError
from services.warehouse.domain import holds
from services.warehouse.domain.decision import Changes, Outcome, WorkingSet, decide
from services.warehouse.domain.holds import (
    Command,
    Expire,
    Fulfilment,
    HoldState,
    Intercept,
    Post,
    Reserve,
    Void,
    merge_lines,
)
from services.warehouse.domain.parcels import ParcelState
from services.warehouse.domain.sourcing import Rejection
from services.warehouse.domain.stock import Allocation, SkuStock, StockBook, StockInvariantBroken, StockLevel
from services.warehouse.domain.warehouses import Network, ServedCountry, WarehouseContent, WarehouseKind
from tests import laws

NOW = datetime(2026, 3, 1, tzinfo=UTC)
SERVED = (ServedCountry("ES", 2, 4, 500, "EUR"),)


@dataclass
class World:
    """The rows of the database, as decisions leave them."""

    units: dict[str, dict[str, int]]
    now: datetime = NOW
    fulfilments: dict[str, Fulfilment] = field(default_factory=dict)
    ends: Counter[str] = field(default_factory=Counter)
    parcels: int = 0

    def __post_init__(self) -> None:
        self.stock = [
            SkuStock("t", sku, "m", {name: StockLevel(name, units, 0, 1) for name, units in levels.items()})
            for sku, levels in self.units.items()
        ]
        self.network = Network(
            WarehouseContent(name, name, "ES", "EU", WarehouseKind.OVERSEAS, SERVED, 0, True, False)
            for name in ("w1", "w2")
        )
        self.picked: Counter[tuple[str, str]] = Counter()

    def run(self, *commands: Command) -> Changes:
        """Decides a batch and keeps what it left, checking every law on the way."""
        versions = {order_id: fulfilment.version for order_id, fulfilment in self.fulfilments.items()}
        working_set = WorkingSet(self.now, self.fulfilments, StockBook(self.stock), {"t": self.network})
        changes = decide(commands, working_set, self._new_id)
        assert len(changes.outcomes) == len(commands)
        for entry in changes.stock.ledger:
            self.picked[entry.sku, entry.warehouse_id] -= entry.delta
        for fact in changes.facts:
            versions[fact.order_id] = versions.get(fact.order_id, 0) + 1
            assert fact.version == versions[fact.order_id], "a version per fact, without gaps"
            self.ends[fact.order_id] += isinstance(fact, holds.ParcelsAllocated)
        self._assert_sound(changes)
        return changes

    def level(self, sku: str, name: str = "w1") -> tuple[int, int]:
        """on_hand and reserved."""
        level = next(stock for stock in self.stock if stock.sku == sku).levels[name]
        return level.on_hand, level.reserved

    def _new_id(self) -> str:
        self.parcels += 1
        return f"parcel-{self.parcels}"

    def _assert_sound(self, changes: Changes) -> None:
        pending: Counter[tuple[str, str]] = Counter()
        for fulfilment in self.fulfilments.values():
            if fulfilment.state is HoldState.PENDING:
                for sku, name, quantity in fulfilment.allocations:
                    pending[sku, name] += quantity
        for stock in self.stock:
            for name, level in stock.levels.items():
                assert 0 <= level.reserved <= level.on_hand
                assert level.reserved == pending[stock.sku, name], "reserved is what pending holds keep"
                received = self.units[stock.sku][name]
                assert level.on_hand == received - self.picked[stock.sku, name], "on hand is the ledger's sum"
                level.changed = False
        assert max(self.ends.values(), default=0) <= 1, "posted at most once"
        assert set(changes.created) | set(changes.updated) == {fact.order_id for fact in changes.facts}


def reserve(order: str, /, minutes: int = 60, **units: int) -> Reserve:
    lines, is_valid = merge_lines([(sku, quantity, False) for sku, quantity in units.items()])
    return Reserve(
        order_id=order,
        tenant_id="t",
        merchant_id="m",
        region_code="ES",
        lines=lines,
        expire_time=NOW + timedelta(minutes=minutes),
        is_valid=is_valid,
    )


def post(order: str, *, by_event: bool = False) -> Post:
    return Post(order_id=order, tenant_id="t", by_event=by_event)


def void(order: str, *, by_event: bool = False) -> Void:
    return Void(order_id=order, tenant_id="t", by_event=by_event)


def intercept(order: str) -> Intercept:
    return Intercept(order_id=order, tenant_id="t", by_event=True)


def expire(order: str) -> Expire:
    return Expire(order_id=order, tenant_id="t")


def words(changes: Changes) -> Iterator[str]:
    return (type(fact).__name__ for fact in changes.facts)


@pytest.fixture
def world() -> World:
    return World({"A": {"w1": 10, "w2": 5}, "B": {"w1": 3}})


def test_reserve_then_post_takes_goods_and_opens_a_parcel(world: World) -> None:
    reserved = world.run(reserve("o", A=4))
    assert world.level("A") == (10, 4)
    assert list(words(reserved)) == ["StockReserved"]
    assert world.fulfilments["o"].sourcing == "in-country, one parcel, 2-4 days"
    posted = world.run(post("o"))
    assert world.level("A") == (6, 0)
    assert list(words(posted)) == ["ParcelsAllocated"]
    assert [parcel.warehouse_id for parcel in posted.opened] == ["w1"]
    assert [(entry.delta, entry.reason, entry.document) for entry in posted.stock.ledger] == [
        (-4, "PICK", "o")
    ]


def test_split_orders_get_a_parcel_per_warehouse(world: World) -> None:
    changes = world.run(reserve("o", A=12), post("o"))
    assert [parcel.warehouse_id for parcel in changes.opened] == ["w1", "w2"]
    assert [outcome.hold.state for outcome in changes.outcomes if outcome.hold] == ["PENDING", "POSTED"]


def test_repetition_changes_nothing(world: World) -> None:
    world.run(reserve("o", A=1), reserve("o", A=1))
    assert world.level("A") == (10, 1)
    world.run(post("o"), post("o"))
    again = world.run(reserve("o", A=1), post("o"))
    assert not again.facts
    assert [outcome.result for outcome in again.outcomes] == ["repeated", "repeated"]


def test_all_or_nothing(world: World) -> None:
    changes = world.run(reserve("o", A=1, B=4))
    hold = changes.outcomes[0].hold
    assert hold is not None
    assert (hold.state, hold.rejection) == (HoldState.REJECTED, Rejection.STOCK_INSUFFICIENT)
    assert hold.shortages == (("B", 4, 3),)
    assert world.level("A") == (10, 0)


def test_the_last_unit_is_sold_once_within_a_batch(world: World) -> None:
    changes = world.run(*[reserve(f"o{number}", B=1) for number in range(9)])
    assert [outcome.result for outcome in changes.outcomes] == ["reserved"] * 3 + ["rejected"] * 6


def test_a_rejected_order_leaves_room_for_the_next(world: World) -> None:
    changes = world.run(reserve("o1", B=4), reserve("o2", B=3))
    assert [outcome.result for outcome in changes.outcomes] == ["rejected", "reserved"]


def test_another_merchants_goods_are_no_stock(world: World) -> None:
    command = reserve("o", A=1)
    command.merchant_id = "other"
    assert world.run(command).outcomes[0].result == "rejected"


def test_another_tenants_order_is_not_found(world: World) -> None:
    world.run(reserve("o", A=1))
    command = post("o")
    command.tenant_id = "other"
    assert _reason(world.run(command).outcomes[0]) == "HOLD_NOT_FOUND"


@pytest.mark.parametrize("quantity", [0, -1, 1_000_001])
def test_impossible_quantities_reject_the_order(world: World, quantity: int) -> None:
    world.run(reserve("o", A=1, B=quantity))
    assert world.fulfilments["o"].rejection is Rejection.REQUEST_INVALID


def test_void_gives_back_and_is_final(world: World) -> None:
    changes = world.run(reserve("o", A=4), void("o"), void("o"))
    assert list(words(changes)) == ["StockReserved", "HoldVoided"]
    assert world.level("A") == (10, 0)
    assert _reason(world.run(post("o")).outcomes[0]) == "HOLD_STATE_WRONG"


def test_an_order_confirmed_after_its_void_is_told_so(world: World) -> None:
    changes = world.run(reserve("o", A=4), void("o"), post("o", by_event=True))
    assert list(words(changes)) == ["StockReserved", "HoldVoided", "StockRejected"]
    assert world.fulfilments["o"].state is HoldState.VOIDED


def test_a_void_that_comes_first_refuses_the_late_reservation(world: World) -> None:
    changes = world.run(void("o"), reserve("o", A=1), reserve("o", A=1))
    assert list(words(changes)) == ["HoldVoided", "StockRejected"]
    assert world.fulfilments["o"].state is HoldState.VOIDED
    assert world.fulfilments["o"].rejection is Rejection.VOIDED_BEFORE
    assert world.level("A") == (10, 0)


def test_posting_the_unknown_is_refused(world: World) -> None:
    assert _reason(world.run(post("o", by_event=True)).outcomes[0]) == "HOLD_NOT_FOUND"


def test_expiry_only_after_the_deadline(world: World) -> None:
    world.run(reserve("o", A=4, minutes=1))
    assert world.run(expire("o")).outcomes[0].result == "unchanged"
    world.now += timedelta(minutes=1, microseconds=1)
    assert list(words(world.run(expire("o")))) == ["HoldExpired"]
    assert world.level("A") == (10, 0)


def test_an_overdue_hold_that_is_confirmed_is_reserved_anew(world: World) -> None:
    world.run(reserve("o", A=4, minutes=1))
    world.now += timedelta(minutes=2)
    changes = world.run(post("o"))
    assert list(words(changes)) == ["HoldExpired", "ParcelsAllocated"]
    assert world.level("A") == (6, 0)
    assert "o" in changes.reallocated


def test_an_expired_order_whose_stock_is_gone_is_rejected(world: World) -> None:
    world.run(reserve("o", B=3, minutes=1))
    world.now += timedelta(minutes=2)
    changes = world.run(expire("o"), reserve("other", B=1, minutes=9), post("o", by_event=True))
    assert list(words(changes)) == ["HoldExpired", "StockReserved", "StockRejected"]
    assert world.fulfilments["o"].state is HoldState.REJECTED


def test_interception_puts_goods_back(world: World) -> None:
    world.run(reserve("o", A=12), post("o"))
    changes = world.run(intercept("o"))
    assert list(words(changes)) == ["FulfilmentCancelled"]
    assert world.level("A") == (10, 0)
    assert {entry.reason for entry in changes.stock.ledger} == {"CANCEL_RESTOCK"}
    assert changes.intercepted == ["o"]
    after = world.run(void("o", by_event=True), intercept("o"))
    assert world.level("A") == (10, 0), "once"
    assert list(words(after)) == ["FulfilmentCancelled"], "each request gets its answer"


def test_interception_is_refused_once_a_parcel_is_packed(world: World) -> None:
    world.run(reserve("o", A=12), post("o"))
    fulfilment = world.fulfilments["o"]
    packed = fulfilment.parcels[0]._replace(state=ParcelState.PACKED)
    fulfilment.parcels = (packed, *fulfilment.parcels[1:])
    assert list(words(world.run(intercept("o")))) == ["CancellationRefused"]
    assert world.level("A") == (0, 0)


def test_interception_before_posting_voids(world: World) -> None:
    changes = world.run(reserve("o", A=1), intercept("o"), intercept("unknown"))
    assert list(words(changes)) == ["StockReserved", "FulfilmentCancelled", "FulfilmentCancelled"]
    assert {fulfilment.state for fulfilment in world.fulfilments.values()} == {HoldState.VOIDED}


def test_moves_that_the_table_does_not_know_raise() -> None:
    for state in HoldState:
        for to in HoldState:
            fulfilment = Fulfilment("o", "t", "m", state)
            if to in holds.MOVES[state]:
                fulfilment.move(to)
            else:
                with pytest.raises(holds.IllegalMove):
                    fulfilment.move(to)


def test_a_step_that_would_break_stock_raises() -> None:
    book = StockBook([SkuStock("t", "A", "m", {"w": StockLevel("w", 1, 0, 1)})])
    with pytest.raises(StockInvariantBroken):
        book.reserve("t", [Allocation("A", "w", 2)])


def test_lines_of_one_sku_add_up() -> None:
    lines, is_valid = merge_lines([("B", 1, False), ("A", 2, False), ("B", 3, True)])
    assert is_valid
    assert lines == (("A", 2, False), ("B", 4, True))
    assert merge_lines([]) == ((), False)
    assert not merge_lines([("A", 1, False)] * 2_001)[1]


ORDERS = st.sampled_from(["o1", "o2", "o3", "o4"])
UNITS = st.dictionaries(st.sampled_from("AB"), st.integers(-1, 9), min_size=1)
COMMANDS = st.one_of(
    st.builds(
        lambda order, minutes, units: reserve(order, minutes, **units), ORDERS, st.integers(0, 30), UNITS
    ),
    st.builds(lambda order, by_event: post(order, by_event=by_event), ORDERS, st.booleans()),
    st.builds(lambda order, by_event: void(order, by_event=by_event), ORDERS, st.booleans()),
    ORDERS.map(intercept),
    ORDERS.map(expire),
)


@settings(max_examples=laws.examples(300))
@given(st.lists(st.tuples(st.lists(COMMANDS, min_size=1, max_size=6), st.integers(0, 20)), max_size=12))
def test_any_sequence_keeps_the_laws(batches: list[tuple[list[Command], int]]) -> None:
    world = World({"A": {"w1": 10, "w2": 5}, "B": {"w1": 3, "w2": 0}})
    final: dict[str, HoldState] = {}
    for commands, minutes in batches:
        world.run(*commands)
        world.now += timedelta(minutes=minutes)
        for order_id, fulfilment in world.fulfilments.items():
            if order_id in final:
                assert fulfilment.state is final[order_id], "an end is final"
            if not holds.MOVES[fulfilment.state]:
                final[order_id] = fulfilment.state


@settings(max_examples=laws.examples(200))
@given(st.lists(COMMANDS, max_size=12))
def test_a_batch_is_worth_its_commands_one_by_one(commands: list[Command]) -> None:
    units = {"A": {"w1": 10, "w2": 5}, "B": {"w1": 3, "w2": 0}}
    together, one_by_one = World(units), World(units)
    together.run(*commands)
    for command in commands:
        one_by_one.run(command)
    assert together.fulfilments == one_by_one.fulfilments
    assert [together.level(sku) for sku in "AB"] == [one_by_one.level(sku) for sku in "AB"]


def _reason(outcome: Outcome) -> str:
    assert isinstance(outcome.error, DomainError)
    return outcome.error.reason
