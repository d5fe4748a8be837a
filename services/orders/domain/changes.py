"""What a batch of triggers does to a set of orders: decided here in memory, written by `store.changes` at once.

The orders must be locked by the caller's transaction: a decision holds only as long as nobody else makes one.
An order's payment_state mirrors its latest payment, which changes only under the order's lock.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from services.chassis import trace
from services.orders.domain import payment as payments
from services.orders.domain.order import Order, Parcel, ParcelState, Transition
from services.orders.domain.payment import Payment, PaymentState, PaymentTrigger
from services.orders.domain.placement import PaymentTerms
from services.orders.domain.pricing import PricedLine
from services.orders.domain.states import Decision, Effect, OrderState, Trigger, decide

EXTERNAL_PROVIDER = "external"
STOCK_LOST = "STOCK_LOST"
PAYMENT_DECLINED = "PAYMENT_DECLINED"


class EventName(StrEnum):
    """The messages of sampan.orders.v1 that a change can cause."""

    AWAITING_PAYMENT = "OrderAwaitingPayment"
    CONFIRMED = "OrderConfirmed"
    REJECTED = "OrderRejected"
    EXPIRED = "OrderExpired"
    CANCELLED = "OrderCancelled"
    CANCELLATION_REQUESTED = "OrderCancellationRequested"
    STALLED = "OrderStalled"
    PROGRESSED = "OrderProgressed"


_EVENT_OF_STATE = {
    OrderState.AWAITING_PAYMENT: EventName.AWAITING_PAYMENT,
    OrderState.CONFIRMED: EventName.CONFIRMED,
    OrderState.REJECTED: EventName.REJECTED,
    OrderState.EXPIRED: EventName.EXPIRED,
    OrderState.CANCELLED: EventName.CANCELLED,
    OrderState.CANCELLING: EventName.CANCELLATION_REQUESTED,
}


class Reminder(NamedTuple):
    """All that the warehouse needs to answer for an order that it may never have heard of."""

    region_code: str
    lines: Sequence[PricedLine]
    hold_expire_time: datetime


class OrderEvent(NamedTuple):
    """An event to be published; `detail` is the message's reason or cause, where it has one."""

    name: EventName
    order_id: UUID
    tenant_id: str
    merchant_id: str
    version: int
    state: OrderState
    detail: str
    traceparent: str | None
    reminder: Reminder | None = None


class TimerKind(StrEnum):
    """What is done when a timer is due."""

    PAYMENT_DEADLINE = "PAYMENT_DEADLINE"
    PAYMENT_CHECK = "PAYMENT_CHECK"
    CAPTURE = "CAPTURE"
    REFUND = "REFUND"


class Timer(NamedTuple):
    """Something to be done about an order or a payment at `due_time`, or `delay_s` from the database's now."""

    kind: TimerKind
    subject_id: UUID
    order_id: UUID
    due_time: datetime | None = None
    delay_s: float = 0.0


class PaymentMove(NamedTuple):
    """A payment's change of state, to be written only if it is still in `from_state`."""

    payment_id: UUID
    from_state: PaymentState
    to_state: PaymentState
    decline_code: str = ""


class Changes:
    """Collects what is decided, in the order of the decisions."""

    def __init__(self, new_id: Callable[[], UUID]) -> None:
        self._new_id = new_id
        self.orders: dict[UUID, Order] = {}
        self.versions_before: dict[UUID, int] = {}
        self.transitions: list[Transition] = []
        self.events: list[OrderEvent] = []
        self.parcels: dict[UUID, tuple[UUID, Parcel]] = {}
        self.new_payments: list[Payment] = []
        self.payment_moves: list[PaymentMove] = []
        self.timers: list[Timer] = []
        self.deadlines_over: set[UUID] = set()
        self.ignored: Counter[str] = Counter()
        self.moves: Counter[tuple[OrderState, str]] = Counter()
        self.captured_minor: Counter[str] = Counter()
        self.refund_owed_minor: Counter[str] = Counter()
        self.unpaid_goods = 0

    def apply(
        self, order: Order, trigger: Trigger, *, detail: str = "", traceparent: str | None = None
    ) -> Decision:
        """Takes one row of the table of `states`; raises `OrderStateWrong` and changes nothing where it is illegal."""
        from_state = order.state
        decision = decide(from_state, trigger)
        if decision.effect is Effect.IGNORE:
            self.ignored[trigger.cause] += 1
            return decision
        self.orders[order.order_id] = order
        self.versions_before.setdefault(order.order_id, order.version)
        order.version += 1
        order.state = decision.to_state
        if decision.effect is Effect.MOVE:
            self.moves[order.state, order.region_code] += 1
            if from_state is OrderState.AWAITING_PAYMENT:
                self.deadlines_over.add(order.order_id)
        self.transitions.append(
            Transition(order.order_id, order.version, from_state, order.state, trigger.cause, detail)
        )
        name = _event_name(decision, trigger)
        self.events.append(
            OrderEvent(
                name,
                order.order_id,
                order.tenant_id,
                order.merchant_id,
                order.version,
                order.state,
                trigger.cause if name is EventName.PROGRESSED else order.reason,
                trace.innermost(order.traceparent, traceparent),
            )
        )
        return decision

    # What the warehouse says.

    def stock_reserved(self, order: Order, sourcing: str, traceparent: str | None) -> None:
        """The whole order is held: a prepaid one is confirmed, another waits for its payment."""
        if order.payment_terms is PaymentTerms.PAY_LATER:
            decision = self.apply(
                order, Trigger.STOCK_RESERVED_PAY_LATER, detail=sourcing, traceparent=traceparent
            )
            if decision.effect is Effect.MOVE:
                order.sourcing = sourcing
                self.timers.append(
                    Timer(
                        TimerKind.PAYMENT_DEADLINE, order.order_id, order.order_id, order.payment_expire_time
                    )
                )
            return
        decision = self.apply(order, Trigger.STOCK_RESERVED_PREPAID, detail=sourcing, traceparent=traceparent)
        if decision.effect is Effect.MOVE:
            order.sourcing = sourcing
            self._open_payment(order, self._new_id(), EXTERNAL_PROVIDER, PaymentState.CAPTURED)

    def stock_rejected(self, order: Order, reason: str, detail: str, traceparent: str | None) -> None:
        """Nothing is held: the order is rejected, or cancelled and refunded where it was confirmed already."""
        reason_before = order.reason
        order.reason = reason if order.state is OrderState.PENDING else STOCK_LOST
        decision = self.apply(order, Trigger.STOCK_REJECTED, detail=detail or reason, traceparent=traceparent)
        if decision.effect is Effect.IGNORE:
            order.reason = reason_before
        elif order.state is OrderState.CANCELLED:
            self._owe_refund(order)

    def parcels_allocated(
        self, order: Order, parcels: Iterable[Parcel], sourcing: str, traceparent: str | None
    ) -> None:
        """The hold is posted and these parcels are open."""
        self.apply(order, Trigger.PARCELS_ALLOCATED, detail=sourcing, traceparent=traceparent)
        order.sourcing = sourcing or order.sourcing
        for parcel in parcels:
            self.parcels[parcel.parcel_id] = order.order_id, parcel

    def parcel_advanced(
        self, order: Order, parcels: Iterable[Parcel], moved: Parcel, traceparent: str | None
    ) -> None:
        """One of the order's `parcels` was moved on, to the state that `moved` now has."""
        self.apply(
            order,
            _ADVANCED[standing_of(parcels)],
            detail=f"{moved.parcel_id} {moved.state}",
            traceparent=traceparent,
        )
        self.parcels[moved.parcel_id] = order.order_id, moved

    def fulfilment_cancelled(self, order: Order, parcels: Iterable[Parcel], traceparent: str | None) -> None:
        """The order was intercepted: its goods are back in stock and the money goes back too."""
        decision = self.apply(order, Trigger.FULFILMENT_CANCELLED, traceparent=traceparent)
        if decision.effect is Effect.IGNORE:
            return
        self._owe_refund(order)
        for parcel in parcels:
            parcel.state = ParcelState.CANCELLED
            self.parcels[parcel.parcel_id] = order.order_id, parcel

    def cancellation_refused(self, order: Order, parcels: Iterable[Parcel], traceparent: str | None) -> None:
        """It was too late to intercept: the order stands again where its parcels say."""
        decision = self.apply(order, _REFUSED[standing_of(parcels)], traceparent=traceparent)
        if decision.effect is Effect.MOVE:
            order.reason = ""
            if order.payment_state is PaymentState.CAPTURE_FAILED:
                self.unpaid_goods += 1

    # What the buyer and the clock say.

    def stalled(self, order: Order, reminder: Reminder) -> None:
        """The warehouse has not answered in time and is asked again."""
        self.apply(order, Trigger.STALLED)
        self.events[-1] = self.events[-1]._replace(reminder=reminder)

    def cancel(self, order: Order, reason: str, traceparent: str | None) -> None:
        """Cancels at once before confirmation, asks the warehouse afterwards; `reason` is for people."""
        decide(order.state, Trigger.CANCEL)
        order.reason = "CANCELLED_BY_REQUEST"
        self.apply(order, Trigger.CANCEL, detail=reason, traceparent=traceparent)
        if order.state is OrderState.CANCELLED:
            self._owe_refund(order)

    def start_payment(
        self, order: Order, payment_id: UUID, provider: str, check_delay_s: float, traceparent: str | None
    ) -> None:
        """Notes that the provider is about to be asked; if its answer is lost, it is asked what came of it."""
        self.apply(order, Trigger.PAYMENT_STARTED, detail=str(payment_id), traceparent=traceparent)
        self._open_payment(order, payment_id, provider, PaymentState.PENDING)
        self.timers.append(Timer(TimerKind.PAYMENT_CHECK, payment_id, order.order_id, delay_s=check_delay_s))

    # What the provider says.

    def payment_authorised(self, order: Order, payment: Payment, traceparent: str | None) -> bool:
        """Confirms the order that waits for it; money that comes too late is owed back. False: nothing new."""
        in_time = order.state is OrderState.AWAITING_PAYMENT and payment.state is PaymentState.PENDING
        step = PaymentTrigger.AUTHORISED if in_time else PaymentTrigger.AUTHORISED_LATE
        trigger = Trigger.PAYMENT_AUTHORISED if in_time else Trigger.PAYMENT_AUTHORISED_LATE
        detail = "" if in_time else "too late, to be refunded"
        if not self._move_payment(order, payment, step, trigger, detail, traceparent):
            return False
        kind = TimerKind.CAPTURE if in_time else TimerKind.REFUND
        self.timers.append(Timer(kind, payment.payment_id, order.order_id))
        return True

    def payment_declined(
        self, order: Order, payment: Payment, decline_code: str, traceparent: str | None
    ) -> bool:
        """The order goes on waiting for another payment. False: nothing new."""
        return self._move_payment(
            order, payment, PaymentTrigger.DECLINED, Trigger.PAYMENT_DECLINED, decline_code, traceparent
        )

    def payment_captured(self, order: Order, payment: Payment, traceparent: str | None) -> bool:
        """The provider has collected the money. False: nothing new."""
        return self._move_payment(
            order, payment, PaymentTrigger.CAPTURED, Trigger.PAYMENT_CAPTURED, "", traceparent
        )

    def capture_declined(
        self, order: Order, payment: Payment, decline_code: str, traceparent: str | None
    ) -> bool:
        """The money will never come: the order is cancelled, unless its goods have left. False: nothing new."""
        before = order.state
        changed = self._move_payment(
            order,
            payment,
            PaymentTrigger.CAPTURE_DECLINED,
            Trigger.CAPTURE_DECLINED,
            decline_code,
            traceparent,
        )
        if changed and order.state is not before:
            order.reason = PAYMENT_DECLINED
        if changed and order.state in (OrderState.SHIPPED, OrderState.DELIVERED):
            self.unpaid_goods += 1
        return changed

    def payment_refunded(self, order: Order, payment: Payment, traceparent: str | None) -> bool:
        """The provider has given the money back or released it. False: nothing new."""
        return self._move_payment(
            order, payment, PaymentTrigger.REFUNDED, Trigger.PAYMENT_REFUNDED, "", traceparent
        )

    def _move_payment(
        self,
        order: Order,
        payment: Payment,
        step: PaymentTrigger,
        trigger: Trigger,
        detail: str,
        traceparent: str | None,
    ) -> bool:
        to_state = payments.move(payment.state, step)
        if to_state is payment.state:
            self.ignored[trigger.cause] += 1
            return False
        decline_code = detail if to_state in (PaymentState.DECLINED, PaymentState.CAPTURE_FAILED) else ""
        self.apply(order, trigger, detail=detail, traceparent=traceparent)
        self.payment_moves.append(PaymentMove(payment.payment_id, payment.state, to_state, decline_code))
        if to_state is PaymentState.CAPTURED:
            self.captured_minor[payment.currency_code] += payment.amount_minor
        if order.payment_id == payment.payment_id:
            order.payment_state = to_state
        return True

    def _open_payment(self, order: Order, payment_id: UUID, provider: str, state: PaymentState) -> None:
        order.payment_id, order.payment_state = payment_id, state
        if state is PaymentState.CAPTURED:
            self.captured_minor[order.currency_code] += order.total_minor
        self.new_payments.append(
            Payment(
                payment_id,
                order.order_id,
                order.tenant_id,
                provider,
                state,
                order.total_minor,
                order.currency_code,
                "",
            )
        )

    def _owe_refund(self, order: Order) -> None:
        """Marks the money that is held for an order to be given back. An answer still out will come too late."""
        before = order.payment_state
        if before is PaymentState.NONE or order.payment_id is None:
            return
        after = payments.move(before, PaymentTrigger.REFUND_OWED)
        if after is before:
            return
        order.payment_state = after
        if before is PaymentState.CAPTURED:
            # What was only authorised was never revenue: it is released.
            self.refund_owed_minor[order.currency_code] += order.total_minor
        self.payment_moves.append(PaymentMove(order.payment_id, before, after))
        self.timers.append(Timer(TimerKind.REFUND, order.payment_id, order.order_id))


class Standing(StrEnum):
    """How far an order's parcels are, taken together."""

    BEFORE_PACKING = "BEFORE_PACKING"
    PART_PACKED = "PART_PACKED"
    ALL_SHIPPED = "ALL_SHIPPED"
    ALL_DELIVERED = "ALL_DELIVERED"


_ADVANCED = {
    Standing.BEFORE_PACKING: Trigger.PARCELS_PART_PACKED,
    Standing.PART_PACKED: Trigger.PARCELS_PART_PACKED,
    Standing.ALL_SHIPPED: Trigger.PARCELS_ALL_SHIPPED,
    Standing.ALL_DELIVERED: Trigger.PARCELS_ALL_DELIVERED,
}
_REFUSED = {
    Standing.BEFORE_PACKING: Trigger.REFUSED_BEFORE_PACKING,
    Standing.PART_PACKED: Trigger.REFUSED_PART_PACKED,
    Standing.ALL_SHIPPED: Trigger.REFUSED_ALL_SHIPPED,
    Standing.ALL_DELIVERED: Trigger.REFUSED_ALL_DELIVERED,
}
_LEFT = frozenset({ParcelState.SHIPPED, ParcelState.DELIVERED})


def standing_of(parcels: Iterable[Parcel]) -> Standing:
    """How far the parcels are; cancelled ones do not count."""
    states = {parcel.state for parcel in parcels} - {ParcelState.CANCELLED}
    if not states or states == {ParcelState.ALLOCATED}:
        return Standing.BEFORE_PACKING
    if states == {ParcelState.DELIVERED}:
        return Standing.ALL_DELIVERED
    return Standing.ALL_SHIPPED if states <= _LEFT else Standing.PART_PACKED


def _event_name(decision: Decision, trigger: Trigger) -> EventName:
    """The message that tells of a decision. Back to CONFIRMED after a refused cancellation asks for nothing."""
    if trigger is Trigger.STALLED:
        return EventName.STALLED
    if decision.effect is not Effect.MOVE or trigger.cause == "CancellationRefused":
        return EventName.PROGRESSED
    return _EVENT_OF_STATE.get(decision.to_state, EventName.PROGRESSED)
