"""A report of the warehouse makes good whatever was lost before it, and changes nothing where nothing was."""

from dataclasses import replace

import pytest

from services.chassis.ids import uuid7
from services.orders.domain.changes import Changes
from services.orders.domain.facts import HoldStanding, Reported
from services.orders.domain.order import Order, Parcel, ParcelState
from services.orders.domain.payment import PaymentState
from services.orders.domain.placement import PaymentTerms
from services.orders.domain.reports import apply_report
from services.orders.domain.states import OrderState

S, H, P = OrderState, HoldStanding, ParcelState


def order_in(state: OrderState) -> Order:
    return Order(
        uuid7(),
        "fair",
        "m",
        state,
        7,
        "EUR",
        100,
        PaymentTerms.PREPAID,
        None,
        PaymentState.CAPTURED,
        uuid7(),
    )


def report_of(order: Order, hold: HoldStanding, *parcels: Parcel, reason: str = "") -> Reported:
    return Reported(order.order_id, None, hold, "in-country", reason, "", parcels)


def parcel(state: ParcelState = P.ALLOCATED) -> Parcel:
    return Parcel(uuid7(), "mad", state, "correos" if state in (P.SHIPPED, P.DELIVERED) else "")


@pytest.mark.parametrize(
    ("before", "hold", "after"),
    [
        (S.PENDING, H.PENDING, S.CONFIRMED),
        (S.PENDING, H.POSTED, S.CONFIRMED),
        (S.PENDING, H.EXPIRED, S.EXPIRED),
        (S.PENDING, H.VOIDED, S.REJECTED),
        (S.PENDING, H.REJECTED, S.REJECTED),
        (S.AWAITING_PAYMENT, H.PENDING, S.AWAITING_PAYMENT),
        (S.CONFIRMED, H.PENDING, S.CONFIRMED),
        (S.CONFIRMED, H.EXPIRED, S.CONFIRMED),
        (S.CONFIRMED, H.REJECTED, S.CANCELLED),
        (S.CONFIRMED, H.VOIDED, S.CANCELLED),
        (S.CANCELLING, H.PENDING, S.CANCELLING),
        (S.CANCELLING, H.VOIDED, S.CANCELLED),
        (S.CANCELLING, H.REJECTED, S.CANCELLED),
        (S.CANCELLED, H.POSTED, S.CANCELLED),
        (S.EXPIRED, H.PENDING, S.EXPIRED),
        (S.REJECTED, H.REJECTED, S.REJECTED),
        (S.SHIPPED, H.POSTED, S.SHIPPED),
    ],
)
def test_the_hold_decides_where_the_order_goes(
    before: OrderState, hold: HoldStanding, after: OrderState
) -> None:
    changes, order = Changes(uuid7), order_in(before)
    if before is S.PENDING:
        order.payment_state, order.payment_id = PaymentState.NONE, None
    apply_report(changes, order, [], report_of(order, hold, reason="VOIDED_BEFORE"))
    assert order.state is after
    assert (order.version == 7) == (before is after)
    assert bool(changes.ignored["FulfilmentReported"]) == (before is after)


@pytest.mark.parametrize(
    ("parcels", "after"),
    [
        ([P.ALLOCATED], S.CONFIRMED),
        ([P.PACKED, P.ALLOCATED], S.FULFILLING),
        ([P.SHIPPED, P.PACKED], S.FULFILLING),
        ([P.SHIPPED, P.DELIVERED], S.SHIPPED),
        ([P.DELIVERED, P.DELIVERED], S.DELIVERED),
    ],
)
def test_parcels_that_the_order_never_heard_of_are_taken_over_as_they_stand(
    parcels: list[ParcelState], after: OrderState
) -> None:
    changes, order = Changes(uuid7), order_in(S.CONFIRMED)
    told = [parcel(state) for state in parcels]
    ours: list[Parcel] = []
    apply_report(changes, order, ours, report_of(order, H.POSTED, *told))
    assert ours == told
    assert order.state is after
    version = order.version
    apply_report(changes, order, ours, report_of(order, H.POSTED, *told))
    assert order.version == version, "the second report has nothing to tell"


@pytest.mark.parametrize(
    ("parcels", "after", "money"),
    [
        ([P.CANCELLED, P.CANCELLED], S.CANCELLED, PaymentState.REFUND_PENDING),
        ([P.PACKED, P.ALLOCATED], S.FULFILLING, PaymentState.CAPTURED),
        ([P.DELIVERED], S.DELIVERED, PaymentState.CAPTURED),
        ([P.ALLOCATED], S.CANCELLING, PaymentState.CAPTURED),
    ],
)
@pytest.mark.parametrize("known", [True, False])
def test_an_order_that_waits_to_be_cancelled_learns_the_answer(
    parcels: list[ParcelState], after: OrderState, money: PaymentState, known: bool
) -> None:
    changes, order = Changes(uuid7), order_in(S.CANCELLING)
    told = [parcel(state) for state in parcels]
    ours = [replace(one, state=P.ALLOCATED) for one in told] if known else []
    apply_report(changes, order, ours, report_of(order, H.POSTED, *told))
    assert (order.state, order.payment_state) == (after, money)
    assert [one.state for one in ours] == parcels
    # The answer itself, behind the report: no effect, and no fault.
    if after in (S.FULFILLING, S.DELIVERED):
        version = order.version
        changes.cancellation_refused(order, ours, None)
        assert order.version == version
