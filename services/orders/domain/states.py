"""The state machine of an order, as one table.

A row is something that can happen to an order (a trigger), a column the state that the order is in. A cell says

    a state's short name   the order moves there: version + 1, a line in its history, an event
    =                      it stays, but this is recorded: version + 1, a line in its history, an event
    -                      nothing to do, and that is right: counted by a metric, nothing else changes
    !                      impossible or forbidden: `OrderStateWrong` (a refusal for a command, poison for an event)

A trigger is a cause (the event's or the command's name) plus what decides between two outcomes of that cause.
"""

from enum import Enum, StrEnum
from typing import NamedTuple

from services.orders.errors import OrderStateWrong


class OrderState(StrEnum):
    """Where an order stands; the names are those of sampan.orders.v1.OrderState."""

    PENDING = "PENDING"
    AWAITING_PAYMENT = "AWAITING_PAYMENT"
    CONFIRMED = "CONFIRMED"
    FULFILLING = "FULFILLING"
    SHIPPED = "SHIPPED"
    DELIVERED = "DELIVERED"
    CANCELLING = "CANCELLING"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"
    REJECTED = "REJECTED"


FINAL = frozenset({OrderState.DELIVERED, OrderState.CANCELLED, OrderState.EXPIRED, OrderState.REJECTED})
"""States that no trigger leaves."""


class Trigger(Enum):
    """What can happen to an order. The value is (cause, what decides)."""

    # From the warehouse.
    STOCK_RESERVED_PAY_LATER = ("StockReserved", "pay later")
    STOCK_RESERVED_PREPAID = ("StockReserved", "prepaid")
    STOCK_REJECTED = ("StockRejected", "")
    HOLD_EXPIRED = ("HoldExpired", "")
    HOLD_VOIDED = ("HoldVoided", "")
    PARCELS_ALLOCATED = ("ParcelsAllocated", "")
    PARCELS_PART_PACKED = ("ParcelAdvanced", "not every parcel has left")
    PARCELS_ALL_SHIPPED = ("ParcelAdvanced", "every parcel has left")
    PARCELS_ALL_DELIVERED = ("ParcelAdvanced", "every parcel has arrived")
    FULFILMENT_CANCELLED = ("FulfilmentCancelled", "")
    REFUSED_BEFORE_PACKING = ("CancellationRefused", "no parcel is packed")
    REFUSED_PART_PACKED = ("CancellationRefused", "not every parcel has left")
    REFUSED_ALL_SHIPPED = ("CancellationRefused", "every parcel has left")
    REFUSED_ALL_DELIVERED = ("CancellationRefused", "every parcel has arrived")
    # From the buyer and the clock.
    CANCEL = ("CancelOrder", "")
    PAYMENT_DEADLINE = ("PaymentDeadlinePassed", "")
    STALLED = ("OrderStalled", "")
    # From the payment provider.
    PAYMENT_STARTED = ("PaymentStarted", "")
    PAYMENT_AUTHORISED = ("PaymentAuthorised", "")
    PAYMENT_AUTHORISED_LATE = ("PaymentAuthorised", "too late")
    PAYMENT_DECLINED = ("PaymentDeclined", "")
    PAYMENT_CAPTURED = ("PaymentCaptured", "")
    CAPTURE_DECLINED = ("CaptureDeclined", "")
    PAYMENT_REFUNDED = ("PaymentRefunded", "")

    @property
    def cause(self) -> str:
        """The name that history and events carry."""
        return self.value[0]


class Effect(Enum):
    """What a trigger does to an order."""

    MOVE = "MOVE"
    RECORD = "RECORD"
    IGNORE = "IGNORE"


class Decision(NamedTuple):
    """An effect and the state after it."""

    effect: Effect
    to_state: OrderState


_SHORT = {
    "PEND": OrderState.PENDING,
    "AWAIT": OrderState.AWAITING_PAYMENT,
    "CONF": OrderState.CONFIRMED,
    "FULF": OrderState.FULFILLING,
    "SHIP": OrderState.SHIPPED,
    "DELIV": OrderState.DELIVERED,
    "CCING": OrderState.CANCELLING,
    "CANC": OrderState.CANCELLED,
    "EXP": OrderState.EXPIRED,
    "REJ": OrderState.REJECTED,
}

# Why some cells are as they are:
# - StockReserved in CONF, CCING: the hold had expired before the order was confirmed and was made anew.
# - StockRejected in CONF, CCING: the hold had expired and the stock was gone; the money goes back.
# - StockRejected, StockReserved, HoldVoided in CANC, EXP: the warehouse learns of the end and answers it.
# - HoldExpired in CONF, CCING: the confirmation, on its way, makes the warehouse reserve again.
# - HoldExpired in PEND: StockReserved was lost, and by now the goods are free again.
# - ParcelAdvanced in CCING: a parcel was packed before the request to cancel came; CancellationRefused follows.
# - FulfilmentCancelled, CancellationRefused in CANC: answers to a request that StockRejected had overtaken.
# - CancellationRefused in CONF to DELIV: the answer to a request that a report of the warehouse had overtaken.
# - OrderStalled: only a state that waits for the warehouse can wait for it too long.
# - CaptureDeclined in CONF, FULF: goods that are still there are not sent without money; in SHIP, DELIV it is too late.
# - PAYMENT_AUTHORISED_LATE: money that arrives when the order no longer waits for it is always recorded and
#   given back, whatever the state.
_TABLE = """
trigger                   PEND   AWAIT  CONF   FULF   SHIP   DELIV  CCING  CANC   EXP    REJ
STOCK_RESERVED_PAY_LATER  AWAIT  !      -      !      !      !      -      -      -      !
STOCK_RESERVED_PREPAID    CONF   !      -      !      !      !      -      -      -      !
STOCK_REJECTED            REJ    !      CANC   !      !      !      CANC   -      -      !
HOLD_EXPIRED              EXP    EXP    -      !      !      !      -      -      -      !
HOLD_VOIDED               -      -      -      !      !      !      -      -      -      -
PARCELS_ALLOCATED         !      !      =      !      !      !      =      !      !      !
PARCELS_PART_PACKED       !      !      FULF   =      !      !      =      !      !      !
PARCELS_ALL_SHIPPED       !      !      !      SHIP   =      !      =      !      !      !
PARCELS_ALL_DELIVERED     !      !      !      !      DELIV  !      =      !      !      !
FULFILMENT_CANCELLED      !      !      !      !      !      !      CANC   -      !      !
REFUSED_BEFORE_PACKING    !      !      -      -      -      -      CONF   -      !      !
REFUSED_PART_PACKED       !      !      -      -      -      -      FULF   -      !      !
REFUSED_ALL_SHIPPED       !      !      -      -      -      -      SHIP   -      !      !
REFUSED_ALL_DELIVERED     !      !      -      -      -      -      DELIV  -      !      !
CANCEL                    CANC   CANC   CCING  CCING  !      !      !      !      !      !
PAYMENT_DEADLINE          !      EXP    -      -      -      -      -      -      -      -
STALLED                   =      !      =      !      !      !      =      !      !      !
PAYMENT_STARTED           !      =      !      !      !      !      !      !      !      !
PAYMENT_AUTHORISED        !      CONF   !      !      !      !      !      !      !      !
PAYMENT_AUTHORISED_LATE   !      =      =      =      =      =      =      =      =      !
PAYMENT_DECLINED          !      =      =      =      =      =      =      =      =      !
PAYMENT_CAPTURED          !      !      =      =      =      =      =      !      !      !
CAPTURE_DECLINED          !      !      CCING  CCING  =      =      =      !      !      !
PAYMENT_REFUNDED          !      =      =      =      =      =      =      =      =      !
"""


def _parse(table: str) -> dict[tuple[OrderState, Trigger], Decision | None]:
    header, *rows = table.strip().splitlines()
    states = [_SHORT[short] for short in header.split()[1:]]
    cells: dict[tuple[OrderState, Trigger], Decision | None] = {}
    for row in rows:
        name, *entries = row.split()
        for state, entry in zip(states, entries, strict=True):
            cells[state, Trigger[name]] = _decision(state, entry)
    return cells


def _decision(state: OrderState, entry: str) -> Decision | None:
    if entry == "!":
        return None
    if entry == "=":
        return Decision(Effect.RECORD, state)
    if entry == "-":
        return Decision(Effect.IGNORE, state)
    return Decision(Effect.MOVE, _SHORT[entry])


TRANSITIONS = _parse(_TABLE)
"""Every state x trigger; None where it is illegal."""


def decide(state: OrderState, trigger: Trigger) -> Decision:
    """What the trigger does to an order in this state; raises `OrderStateWrong` where that is illegal."""
    decision = TRANSITIONS[state, trigger]
    if decision is None:
        raise OrderStateWrong(state, trigger.cause)
    return decision
