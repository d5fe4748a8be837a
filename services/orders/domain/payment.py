"""The state machine of a payment, as one table, and the outcomes that a provider can report.

A payment covers the whole of its order. It is *live* while it may still lead to, or holds, the buyer's money:
an order has at most one live payment.
"""

from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from services.orders.errors import PaymentMoveIllegal


class PaymentState(StrEnum):
    """Where a payment stands; NONE is for an order without one."""

    NONE = "NONE"
    PENDING = "PENDING"
    AUTHORISED = "AUTHORISED"
    CAPTURED = "CAPTURED"
    DECLINED = "DECLINED"
    REFUND_PENDING = "REFUND_PENDING"
    REFUNDED = "REFUNDED"
    CAPTURE_FAILED = "CAPTURE_FAILED"


LIVE = frozenset({PaymentState.PENDING, PaymentState.AUTHORISED, PaymentState.CAPTURED})


class PaymentTrigger(StrEnum):
    """What can happen to a payment."""

    AUTHORISED = "AUTHORISED"
    AUTHORISED_LATE = "AUTHORISED_LATE"
    DECLINED = "DECLINED"
    CAPTURED = "CAPTURED"
    CAPTURE_DECLINED = "CAPTURE_DECLINED"
    REFUND_OWED = "REFUND_OWED"
    REFUNDED = "REFUNDED"


class Payment(NamedTuple):
    """A payment as stored; the amount is in minor units."""

    payment_id: UUID
    order_id: UUID
    tenant_id: str
    provider: str
    state: PaymentState
    amount_minor: int
    currency_code: str
    decline_code: str


# "-" leaves the payment as it is (a repeated answer, or money that is already on its way back), "!" is a
# contradiction. REFUND_OWED leaves PENDING alone: whether there is anything to give back is known only when
# the provider answers, and that answer then comes too late. AUTHORISED_LATE after DECLINED is a provider that
# had first lost the payment: the money goes back. After CAPTURE_FAILED there is nothing to give back: the provider
# has released what it had guaranteed.
_TABLE = """
trigger          PENDING        AUTHORISED     CAPTURED       DECLINED       REFUND_PENDING REFUNDED CAPTURE_FAILED
AUTHORISED       AUTHORISED     -              -              !              -              -        -
AUTHORISED_LATE  REFUND_PENDING -              -              REFUND_PENDING -              -        -
DECLINED         DECLINED       !              !              -              !              !        !
CAPTURED         !              CAPTURED       -              !              -              -        !
CAPTURE_DECLINED !              CAPTURE_FAILED !              !              -              -        -
REFUND_OWED      -              REFUND_PENDING REFUND_PENDING -              -              -        -
REFUNDED         !              !              !              !              REFUNDED       -        !
"""


def _parse(table: str) -> dict[tuple[PaymentState, PaymentTrigger], PaymentState | None]:
    header, *rows = table.strip().splitlines()
    states = [PaymentState(name) for name in header.split()[1:]]
    cells: dict[tuple[PaymentState, PaymentTrigger], PaymentState | None] = {}
    for row in rows:
        name, *entries = row.split()
        for state, entry in zip(states, entries, strict=True):
            cells[state, PaymentTrigger(name)] = _to_state(state, entry)
    return cells


def _to_state(state: PaymentState, entry: str) -> PaymentState | None:
    if entry == "!":
        return None
    return state if entry == "-" else PaymentState(entry)


MOVES = _parse(_TABLE)
"""Every state x trigger: the state after it, None where it is illegal."""


def move(state: PaymentState, trigger: PaymentTrigger) -> PaymentState:
    """The state after the trigger, possibly the same; raises `PaymentMoveIllegal`."""
    to_state = MOVES[state, trigger]
    if to_state is None:
        raise PaymentMoveIllegal(state, trigger)
    return to_state
