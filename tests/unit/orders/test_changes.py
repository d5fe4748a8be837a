"""What triggers do to orders in memory: whatever happens, versions, history and events stay in step."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from services.chassis.errors import DomainError
from services.chassis.ids import uuid7
from services.orders.domain.changes import Changes, EventName, Standing, TimerKind, standing_of
from services.orders.domain.order import Order, Parcel, ParcelState
from services.orders.domain.payment import Payment, PaymentState
from services.orders.domain.placement import PaymentTerms
from services.orders.domain.states import FINAL, OrderState, Trigger

HOLDS_MONEY = {PaymentState.AUTHORISED, PaymentState.CAPTURED}
ANSWERS = (
    "payment_authorised",
    "payment_declined",
    "payment_captured",
    "capture_declined",
    "payment_refunded",
)
PAID_STATES = {
    OrderState.CONFIRMED,
    OrderState.FULFILLING,
    OrderState.SHIPPED,
    OrderState.DELIVERED,
    OrderState.CANCELLING,
}


def order_of(terms: PaymentTerms = PaymentTerms.PAY_LATER) -> Order:
    """A placed order."""
    deadline = datetime(2026, 1, 1, tzinfo=UTC) if terms is PaymentTerms.PAY_LATER else None
    return Order(uuid7(), "fair", "m", OrderState.PENDING, 1, "EUR", 100, terms, deadline)


class AnOrder(RuleBasedStateMachine):
    """Everybody says anything at any time; what the table refuses changes nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.changes = Changes(uuid7)
        self.order = order_of()
        self.parcels = [Parcel(uuid7(), "mad"), Parcel(uuid7(), "xuc")]
        self.payments: dict[UUID, Payment] = {}

    def attempt(self, step: object) -> None:
        """Runs a step that may be refused, and follows the payments."""
        before = (self.order.state, self.order.version, len(self.changes.transitions))
        try:
            step()  # type: ignore[operator]
        except DomainError:
            assert before == (self.order.state, self.order.version, len(self.changes.transitions))
        for payment in self.changes.new_payments:
            self.payments.setdefault(payment.payment_id, payment)
        for move in self.changes.payment_moves:
            payment = self.payments[move.payment_id]
            self.payments[move.payment_id] = payment._replace(state=move.to_state)

    @rule()
    def reserved(self) -> None:
        self.attempt(lambda: self.changes.stock_reserved(self.order, "in-country", None))

    @rule()
    def rejected(self) -> None:
        self.attempt(lambda: self.changes.stock_rejected(self.order, "STOCK_INSUFFICIENT", "", None))

    @rule(trigger=st.sampled_from([Trigger.HOLD_EXPIRED, Trigger.HOLD_VOIDED, Trigger.PAYMENT_DEADLINE]))
    def ended(self, trigger: Trigger) -> None:
        self.attempt(lambda: self.changes.apply(self.order, trigger))

    @rule()
    def opened(self) -> None:
        self.attempt(lambda: self.changes.parcels_allocated(self.order, self.parcels, "", None))

    @rule(index=st.integers(0, 1), state=st.sampled_from(ParcelState))
    def advanced(self, index: int, state: ParcelState) -> None:
        parcel, before = self.parcels[index], self.parcels[index].state
        parcel.state = state
        try:
            self.changes.parcel_advanced(self.order, self.parcels, parcel, None)
        except DomainError:
            parcel.state = before

    @rule()
    def cancelled(self) -> None:
        self.attempt(lambda: self.changes.cancel(self.order, "why not", None))

    @rule()
    def intercepted(self) -> None:
        self.attempt(lambda: self.changes.fulfilment_cancelled(self.order, self.parcels, None))

    @rule()
    def refused(self) -> None:
        self.attempt(lambda: self.changes.cancellation_refused(self.order, self.parcels, None))

    @rule()
    def paying(self) -> None:
        if self.order.payment_state not in HOLDS_MONEY | {PaymentState.PENDING}:
            self.attempt(lambda: self.changes.start_payment(self.order, uuid7(), "sandbox", 1, None))

    @rule(data=st.data(), answer=st.sampled_from(ANSWERS))
    def answered(self, data: st.DataObject, answer: str) -> None:
        if self.payments:
            payment = self.payments[data.draw(st.sampled_from(sorted(self.payments)))]
            more = ("do_not_honour",) if answer.endswith("declined") else ()
            step = getattr(self.changes, answer)
            self.attempt(lambda: step(self.order, payment, *more, None))

    @invariant()
    def each_version_is_one_line_of_history_and_one_event(self) -> None:
        versions = list(range(2, self.order.version + 1))
        assert [transition.version for transition in self.changes.transitions] == versions
        assert [event.version for event in self.changes.events] == versions
        states = [OrderState.PENDING, *(transition.to_state for transition in self.changes.transitions)]
        assert [transition.from_state for transition in self.changes.transitions] == states[:-1]

    @invariant()
    def the_order_mirrors_its_latest_payment(self) -> None:
        if self.order.payment_id is None:
            assert self.order.payment_state is PaymentState.NONE
        else:
            assert self.payments[self.order.payment_id].state is self.order.payment_state

    @invariant()
    def money_is_held_only_for_orders_that_go_on(self) -> None:
        for payment in self.payments.values():
            if payment.state in HOLDS_MONEY:
                assert self.order.state in PAID_STATES
        if self.order.state in PAID_STATES and self.order.payment_state is not PaymentState.CAPTURE_FAILED:
            assert self.order.payment_state in HOLDS_MONEY

    @invariant()
    def goods_without_money_are_held_back_or_alarmed(self) -> None:
        failed = self.order.payment_state is PaymentState.CAPTURE_FAILED
        if failed and self.order.state in PAID_STATES - {OrderState.CANCELLING}:
            assert self.changes.unpaid_goods >= 1

    @invariant()
    def money_to_be_given_back_has_a_timer(self) -> None:
        timers = {timer.subject_id for timer in self.changes.timers if timer.kind is TimerKind.REFUND}
        for payment in self.payments.values():
            if payment.state is PaymentState.REFUND_PENDING:
                assert payment.payment_id in timers

    @invariant()
    def it_is_confirmed_at_most_once(self) -> None:
        names = [event.name for event in self.changes.events]
        assert names.count(EventName.CONFIRMED) <= 1
        final = [t for t in self.changes.transitions if t.to_state in FINAL and t.from_state not in FINAL]
        assert len(final) <= 1


TestAnOrder = AnOrder.TestCase


def test_a_prepaid_order_is_confirmed_with_its_money() -> None:
    changes, order = Changes(uuid7), order_of(PaymentTerms.PREPAID)
    changes.stock_reserved(order, "in-country", None)
    assert (order.state, order.payment_state) == (OrderState.CONFIRMED, PaymentState.CAPTURED)
    assert changes.new_payments[0].provider == "external"
    assert not changes.timers


def test_a_deadline_is_set_with_the_reservation_and_is_over_with_the_payment() -> None:
    changes, order = Changes(uuid7), order_of()
    changes.stock_reserved(order, "", None)
    (timer,) = changes.timers
    assert (timer.kind, timer.due_time) == (TimerKind.PAYMENT_DEADLINE, order.payment_expire_time)
    changes.apply(order, Trigger.PAYMENT_AUTHORISED)
    assert changes.deadlines_over == {order.order_id}


def test_events_carry_the_trace_of_the_placement_else_that_of_their_cause() -> None:
    changes, order = Changes(uuid7), order_of()
    changes.stock_reserved(order, "", "cause")
    order.traceparent = "placement"
    changes.cancel(order, "", "cancel")
    assert [event.traceparent for event in changes.events] == ["cause", "placement"]


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ([], Standing.BEFORE_PACKING),
        (["ALLOCATED", "ALLOCATED"], Standing.BEFORE_PACKING),
        (["ALLOCATED", "PACKED"], Standing.PART_PACKED),
        (["ALLOCATED", "DELIVERED"], Standing.PART_PACKED),
        (["PACKED", "SHIPPED"], Standing.PART_PACKED),
        (["SHIPPED", "DELIVERED"], Standing.ALL_SHIPPED),
        (["SHIPPED", "CANCELLED"], Standing.ALL_SHIPPED),
        (["DELIVERED", "DELIVERED"], Standing.ALL_DELIVERED),
    ],
)
def test_standing(states: list[str], expected: Standing) -> None:
    assert standing_of(Parcel(uuid7(), "w", ParcelState(state)) for state in states) is expected


@given(st.permutations([ParcelState.SHIPPED, ParcelState.PACKED, ParcelState.ALLOCATED]))
def test_standing_does_not_depend_on_the_order_of_parcels(states: list[ParcelState]) -> None:
    assert standing_of([Parcel(uuid7(), "w", state) for state in states]) is Standing.PART_PACKED
