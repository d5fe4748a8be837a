"""An order that has waited too long gets what it waits for, or learns how things stand; nothing twice."""

from datetime import timedelta

import pytest

from services.warehouse.domain import holds
from services.warehouse.domain.decision import Changes
from services.warehouse.domain.holds import HoldState, Remind, Wanted
from services.warehouse.domain.parcels import ParcelState
from services.warehouse.domain.sourcing import Rejection
from tests.unit.warehouse.test_decision import World, post, reserve, void


def remind(order: str, wanted: Wanted, units: dict[str, int] | None = None, *, minutes: int = 60) -> Remind:
    asked = reserve(order, minutes, **(units or {"A": 2}))
    return Remind(
        order_id=order,
        tenant_id="t",
        merchant_id="m",
        by_event=True,
        region_code=asked.region_code,
        lines=asked.lines,
        expire_time=asked.expire_time,
        wanted=wanted,
    )


def facts_of(changes: Changes) -> list[str]:
    return [type(fact).__name__ for fact in changes.facts]


@pytest.mark.parametrize(
    ("wanted", "facts", "state"),
    [
        (Wanted.DECISION, ["StockReserved"], HoldState.PENDING),
        (Wanted.PARCELS, ["StockReserved", "ParcelsAllocated"], HoldState.POSTED),
        (Wanted.INTERCEPTION, ["FulfilmentCancelled"], HoldState.VOIDED),
    ],
)
def test_an_order_never_heard_of(wanted: Wanted, facts: list[str], state: HoldState) -> None:
    world = World({"A": {"w1": 10}})
    assert facts_of(world.run(remind("o", wanted))) == facts
    assert world.fulfilments["o"].state is state
    # The late original changes nothing, and neither does the next question.
    assert facts_of(world.run(reserve("o", A=2))) == []
    assert facts_of(world.run(remind("o", wanted))) == ["FulfilmentReported"]
    assert world.fulfilments["o"].state is state


@pytest.mark.parametrize("wanted", [Wanted.DECISION, Wanted.PARCELS])
def test_goods_that_are_not_there(wanted: Wanted) -> None:
    world = World({"A": {"w1": 1}})
    assert facts_of(world.run(remind("o", wanted))) == ["StockRejected"]
    report = world.run(remind("o", wanted)).facts[0]
    assert isinstance(report, holds.FulfilmentReported)
    assert (report.state, report.reason) == (HoldState.REJECTED, Rejection.STOCK_INSUFFICIENT)


def test_a_hold_whose_reservation_was_not_heard_of() -> None:
    world = World({"A": {"w1": 10}})
    world.run(reserve("o", A=2))
    assert facts_of(world.run(remind("o", Wanted.DECISION))) == ["FulfilmentReported"]
    assert facts_of(world.run(remind("o", Wanted.PARCELS))) == ["ParcelsAllocated"]


def test_parcels_that_were_not_heard_of() -> None:
    world = World({"A": {"w1": 10}})
    world.run(reserve("o", A=2), post("o"))
    report = world.run(remind("o", Wanted.PARCELS)).facts[0]
    assert isinstance(report, holds.FulfilmentReported)
    assert report.parcels == world.fulfilments["o"].parcels
    assert len(report.parcels) == 1


def test_a_hold_that_has_expired_is_revived_for_a_confirmed_order_only() -> None:
    world = World({"A": {"w1": 10}})
    world.run(reserve("o", 1, A=2))
    world.now += timedelta(minutes=2)
    told = facts_of(world.run(remind("o", Wanted.DECISION)))
    assert told == ["HoldExpired", "FulfilmentReported"]
    assert facts_of(world.run(remind("o", Wanted.PARCELS))) == ["ParcelsAllocated"]


@pytest.mark.parametrize("packed", [False, True])
def test_an_answer_to_a_cancellation_that_was_not_heard_of(packed: bool) -> None:
    world = World({"A": {"w1": 10}})
    world.run(reserve("o", A=2), post("o"))
    if packed:
        fulfilment = world.fulfilments["o"]
        fulfilment.parcels = tuple(parcel._replace(state=ParcelState.PACKED) for parcel in fulfilment.parcels)
        assert facts_of(world.run(remind("o", Wanted.INTERCEPTION))) == ["FulfilmentReported"]
        return
    assert facts_of(world.run(remind("o", Wanted.INTERCEPTION))) == ["FulfilmentCancelled"]
    assert facts_of(world.run(remind("o", Wanted.INTERCEPTION))) == ["FulfilmentReported"]


def test_an_expired_hold_of_an_order_that_is_to_be_cancelled() -> None:
    world = World({"A": {"w1": 10}})
    world.run(reserve("o", 1, A=2))
    world.now += timedelta(minutes=2)
    assert facts_of(world.run(remind("o", Wanted.INTERCEPTION))) == ["HoldExpired", "FulfilmentCancelled"]


def test_a_void_before_the_order_was_heard_of_is_told_as_a_refusal() -> None:
    world = World({"A": {"w1": 10}})
    world.run(void("o"))
    assert facts_of(world.run(remind("o", Wanted.DECISION))) == ["StockRejected"]
    pending = World({"A": {"w1": 10}})
    pending.run(reserve("o", A=2), void("o"))
    report = pending.run(remind("o", Wanted.DECISION)).facts[0]
    assert isinstance(report, holds.FulfilmentReported)
    assert (report.state, report.reason) == (HoldState.VOIDED, Rejection.VOIDED_BEFORE)
