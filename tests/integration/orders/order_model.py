"""An order in memory: the pure table of states beside a plain account of its payments and parcels.

The table is the production one; what decides which of its rows is taken, and where the money is, is not.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

from services.orders.domain.states import TRANSITIONS, Effect, OrderState, Trigger

HELD = frozenset({"AUTHORISED", "CAPTURED"})
CONFIRMED = frozenset({"CONFIRMED", "FULFILLING", "SHIPPED", "DELIVERED", "CANCELLING"})
EVENT_OF_STATE = {
    "AWAITING_PAYMENT": "OrderAwaitingPayment",
    "CONFIRMED": "OrderConfirmed",
    "REJECTED": "OrderRejected",
    "EXPIRED": "OrderExpired",
    "CANCELLED": "OrderCancelled",
    "CANCELLING": "OrderCancellationRequested",
}
TIMER_OF_PAYMENT = {"PENDING": "PAYMENT_CHECK", "AUTHORISED": "CAPTURE", "REFUND_PENDING": "REFUND"}
STAGES = ("ALLOCATED", "PACKED", "SHIPPED", "DELIVERED")
NEXT = dict(itertools.pairwise(STAGES))
AT_ONCE = {
    "card_authorised": "AUTHORISED",
    "card_declined": "DECLINED",
    "card_capture_declined": "AUTHORISED",
}
CARDS = (
    "card_authorised",
    "card_authorised",
    "card_declined",
    "card_capture_declined",
    "card_late_1",
    "card_late_declined_1",
    "card_duplicated",
)
HOLDS = ("PENDING", "POSTED", "POSTED", "VOIDED", "EXPIRED", "REJECTED")
BOOKED = {"CAPTURE_FAILED": "CAPTURE_DECLINED"}
"""What the provider calls it, where that is another word."""
IN_STEP = {
    ("PENDING", "AUTHORISED"): "AUTHORISED",
    ("PENDING", "DECLINED"): "DECLINED",
    ("DECLINED", "DECLINED"): "DECLINED",
    ("DECLINED", "AUTHORISED"): "REFUND_PENDING",
    ("AUTHORISED", "AUTHORISED"): "AUTHORISED",
    ("AUTHORISED", "CAPTURED"): "CAPTURED",
    ("AUTHORISED", "CAPTURE_DECLINED"): "CAPTURE_FAILED",
    ("CAPTURED", "AUTHORISED"): "CAPTURED",
    ("CAPTURED", "CAPTURED"): "CAPTURED",
    ("REFUND_PENDING", "AUTHORISED"): "REFUND_PENDING",
    ("REFUND_PENDING", "CAPTURED"): "REFUND_PENDING",
    ("REFUND_PENDING", "CAPTURE_DECLINED"): "REFUND_PENDING",
    ("REFUND_PENDING", "REFUNDED"): "REFUNDED",
    ("REFUNDED", "AUTHORISED"): "REFUNDED",
    ("REFUNDED", "CAPTURED"): "REFUNDED",
    ("REFUNDED", "CAPTURE_DECLINED"): "REFUNDED",
    ("REFUNDED", "REFUNDED"): "REFUNDED",
    ("CAPTURE_FAILED", "AUTHORISED"): "CAPTURE_FAILED",
    ("CAPTURE_FAILED", "CAPTURE_DECLINED"): "CAPTURE_FAILED",
}
"""What an answer of the provider makes of a payment whose order still waits for it; else it is a contradiction."""


class Impossible(Exception):
    """What happened cannot have happened: nothing may change."""


@dataclass
class OrderModel:
    """What the tables should say of one order. `payments` are in the order of their beginning."""

    prepaid: bool
    state: str = "PENDING"
    history: list[tuple[str, str]] = field(default_factory=lambda: [("PENDING", "PlaceOrder")])
    events: list[str] = field(default_factory=lambda: ["OrderPlaced"])
    payments: dict[str, str] = field(default_factory=dict)
    parcels: dict[str, str] = field(default_factory=dict)
    deadline_passed: bool = False
    worthless: set[str] = field(default_factory=set)
    """Payments whose money the provider guarantees and will never collect."""

    @property
    def version(self) -> int:
        """One per line of history."""
        return len(self.history)

    @property
    def payment_state(self) -> str:
        """That of the latest payment."""
        return list(self.payments.values())[-1] if self.payments else "NONE"

    @property
    def uncollected(self) -> bool:
        """A confirmed order whose money will never come: it is held back, or somebody is called."""
        return self.state in CONFIRMED and self.payment_state == "CAPTURE_FAILED"

    def take(self, trigger: Trigger) -> bool:
        """One row of the table; False where there is nothing to do."""
        decision = TRANSITIONS[OrderState(self.state), trigger]
        if decision is None:
            raise Impossible
        if decision.effect is Effect.IGNORE:
            return False
        self.state = str(decision.to_state)
        self.history.append((self.state, trigger.cause))
        moved = decision.effect is Effect.MOVE and trigger.cause != "CancellationRefused"
        self.events.append(EVENT_OF_STATE.get(self.state, "OrderProgressed") if moved else "OrderProgressed")
        return True

    def reserved(self) -> bool:
        """Every line is held; True where a prepaid order's payment begins by it."""
        trigger = Trigger.STOCK_RESERVED_PREPAID if self.prepaid else Trigger.STOCK_RESERVED_PAY_LATER
        return self.take(trigger) and self.prepaid

    def ended_by(self, trigger: Trigger) -> None:
        """Something after which, where it moves the order to CANCELLED, the money goes back."""
        if self.take(trigger) and self.state == "CANCELLED":
            self.payments = {
                payment_id: "REFUND_PENDING" if state in HELD else state
                for payment_id, state in self.payments.items()
            }
            if trigger is Trigger.FULFILMENT_CANCELLED:
                self.parcels = dict.fromkeys(self.parcels, "CANCELLED")

    def opened(self, parcel_ids: list[str]) -> None:
        """The hold is posted."""
        self.take(Trigger.PARCELS_ALLOCATED)
        self.parcels |= dict.fromkeys(parcel_ids, "ALLOCATED")

    def advanced(self, parcel_id: str, state: str) -> None:
        """A parcel moves on."""
        parcels = self.parcels | {parcel_id: state}
        triggers = {
            "none": Trigger.PARCELS_PART_PACKED,
            "some": Trigger.PARCELS_PART_PACKED,
            "left": Trigger.PARCELS_ALL_SHIPPED,
            "there": Trigger.PARCELS_ALL_DELIVERED,
        }
        self.take(triggers[progress(parcels)])
        self.parcels = parcels

    def refused(self) -> None:
        """It was too late to intercept."""
        triggers = {
            "none": Trigger.REFUSED_BEFORE_PACKING,
            "some": Trigger.REFUSED_PART_PACKED,
            "left": Trigger.REFUSED_ALL_SHIPPED,
            "there": Trigger.REFUSED_ALL_DELIVERED,
        }
        self.take(triggers[progress(self.parcels)])

    def reported(self, hold: str, parcels: dict[str, str]) -> None:
        """The warehouse says how it stands: what of that is news comes to pass as if it had been told in time."""
        if self.state == "PENDING":
            if hold in ("PENDING", "POSTED"):
                self.reserved()
            else:
                self.ended_by(Trigger.HOLD_EXPIRED if hold == "EXPIRED" else Trigger.STOCK_REJECTED)
        elif self.state not in ("CONFIRMED", "CANCELLING"):
            return
        elif hold in ("VOIDED", "REJECTED"):
            confirmed = self.state == "CONFIRMED"
            self.ended_by(Trigger.STOCK_REJECTED if confirmed else Trigger.FULFILMENT_CANCELLED)
        elif hold == "POSTED":
            self.catch_up(parcels)

    def catch_up(self, parcels: dict[str, str]) -> None:
        """The parcels are further than the order knows."""
        if not self.parcels:
            self.opened(list(parcels))
        for number, stage in enumerate(STAGES[1:], 1):
            for parcel_id, state in parcels.items():
                if state in STAGES[number:] and self.parcels[parcel_id] not in STAGES[number:]:
                    self.advanced(parcel_id, stage)
        if self.state == "CANCELLING":
            if set(parcels.values()) == {"CANCELLED"}:
                self.ended_by(Trigger.FULFILMENT_CANCELLED)
            elif set(parcels.values()) & set(STAGES[1:]):
                self.refused()

    def begin_payment(self) -> bool:
        """The buyer pays; False where the order does not take money (any more)."""
        if self.state != "AWAITING_PAYMENT":
            return False
        if self.deadline_passed:
            self.take(Trigger.PAYMENT_DEADLINE)
            return False
        if self.payment_state in HELD | {"PENDING"}:
            return False
        self.take(Trigger.PAYMENT_STARTED)
        return True

    def answered(self, payment_id: str, outcome: str) -> None:
        """The provider says what became of a payment, for the first time or again."""
        before = self.payments[payment_id]
        after = IN_STEP.get((before, outcome))
        if after is None:
            raise Impossible
        late = before == "PENDING" and outcome == "AUTHORISED" and self.state != "AWAITING_PAYMENT"
        if late:
            after = "REFUND_PENDING"
        if after == before:
            return
        self.take(
            {
                "AUTHORISED": Trigger.PAYMENT_AUTHORISED,
                "DECLINED": Trigger.PAYMENT_DECLINED,
                "CAPTURED": Trigger.PAYMENT_CAPTURED,
                "CAPTURE_FAILED": Trigger.CAPTURE_DECLINED,
                "REFUND_PENDING": Trigger.PAYMENT_AUTHORISED_LATE,
                "REFUNDED": Trigger.PAYMENT_REFUNDED,
            }[after]
        )
        self.payments[payment_id] = after

    def timers(self, order_id: str) -> set[tuple[str, str]]:
        """What must be due one day: nothing waits for something that nobody sees to."""
        due = {("PAYMENT_DEADLINE", order_id)} if self.state == "AWAITING_PAYMENT" else set()
        return due | {
            (TIMER_OF_PAYMENT[state], payment_id)
            for payment_id, state in self.payments.items()
            if state in TIMER_OF_PAYMENT
        }

    def overtaken(self) -> set[tuple[str, str]]:
        """What may still be due although the money goes back instead: it is forgotten when its time comes."""
        back = ("REFUND_PENDING", "REFUNDED")
        return {("CAPTURE", payment_id) for payment_id, state in self.payments.items() if state in back}


def progress(parcels: dict[str, str]) -> str:
    """How far the parcels are that are still to be sent."""
    states = set(parcels.values()) - {"CANCELLED"}
    if states <= {"ALLOCATED"}:
        return "none"
    if states == {"DELIVERED"}:
        return "there"
    return "left" if states <= {"SHIPPED", "DELIVERED"} else "some"
