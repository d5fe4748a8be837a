"""The order's state machine: every state and trigger is decided, and no path goes where it must not."""

import itertools

import pytest

from services.orders.domain.states import FINAL, TRANSITIONS, Decision, Effect, OrderState, Trigger, decide
from services.orders.errors import OrderStateWrong

S, T = OrderState, Trigger

MOVES = {
    (S.PENDING, T.STOCK_RESERVED_PAY_LATER): S.AWAITING_PAYMENT,
    (S.PENDING, T.STOCK_RESERVED_PREPAID): S.CONFIRMED,
    (S.PENDING, T.STOCK_REJECTED): S.REJECTED,
    (S.PENDING, T.CANCEL): S.CANCELLED,
    (S.PENDING, T.HOLD_EXPIRED): S.EXPIRED,
    (S.AWAITING_PAYMENT, T.PAYMENT_AUTHORISED): S.CONFIRMED,
    (S.AWAITING_PAYMENT, T.PAYMENT_DEADLINE): S.EXPIRED,
    (S.AWAITING_PAYMENT, T.HOLD_EXPIRED): S.EXPIRED,
    (S.AWAITING_PAYMENT, T.CANCEL): S.CANCELLED,
    (S.CONFIRMED, T.STOCK_REJECTED): S.CANCELLED,
    (S.CONFIRMED, T.PARCELS_PART_PACKED): S.FULFILLING,
    (S.CONFIRMED, T.CANCEL): S.CANCELLING,
    (S.CONFIRMED, T.CAPTURE_DECLINED): S.CANCELLING,
    (S.FULFILLING, T.PARCELS_ALL_SHIPPED): S.SHIPPED,
    (S.FULFILLING, T.CANCEL): S.CANCELLING,
    (S.FULFILLING, T.CAPTURE_DECLINED): S.CANCELLING,
    (S.SHIPPED, T.PARCELS_ALL_DELIVERED): S.DELIVERED,
    (S.CANCELLING, T.STOCK_REJECTED): S.CANCELLED,
    (S.CANCELLING, T.FULFILMENT_CANCELLED): S.CANCELLED,
    (S.CANCELLING, T.REFUSED_BEFORE_PACKING): S.CONFIRMED,
    (S.CANCELLING, T.REFUSED_PART_PACKED): S.FULFILLING,
    (S.CANCELLING, T.REFUSED_ALL_SHIPPED): S.SHIPPED,
    (S.CANCELLING, T.REFUSED_ALL_DELIVERED): S.DELIVERED,
}
"""Every move there is: a change of the table must be a change here as well."""


def test_every_pair_is_decided_and_nothing_else() -> None:
    assert set(TRANSITIONS) == set(itertools.product(OrderState, Trigger))


def test_the_moves_are_exactly_these() -> None:
    found = {
        pair: decision.to_state
        for pair, decision in TRANSITIONS.items()
        if decision is not None and decision.effect is Effect.MOVE
    }
    assert found == MOVES


@pytest.mark.parametrize(("state", "trigger"), list(itertools.product(OrderState, Trigger)))
def test_each_pair(state: OrderState, trigger: Trigger) -> None:
    expected = TRANSITIONS[state, trigger]
    if expected is None:
        with pytest.raises(OrderStateWrong) as caught:
            decide(state, trigger)
        assert caught.value.metadata == {"state": state, "cause": trigger.cause}
        return
    decision = decide(state, trigger)
    assert isinstance(decision, Decision)
    if decision.effect is Effect.MOVE:
        assert decision.to_state is not state
    else:
        assert decision.to_state is state


def test_final_states_are_never_left() -> None:
    for (state, trigger), decision in TRANSITIONS.items():
        if state in FINAL and decision is not None:
            assert decision.to_state is state, (state, trigger)


def test_every_state_that_is_not_final_can_reach_a_final_one() -> None:
    for start in OrderState:
        reached = {start}
        while True:
            further = {to for (state, _), to in MOVES.items() if state in reached} - reached
            if not further:
                break
            reached |= further
        assert reached & FINAL, start


def test_every_state_is_reached() -> None:
    assert set(MOVES.values()) | {S.PENDING} == set(OrderState)


def test_only_a_payment_or_a_prepaid_reservation_confirms() -> None:
    assert {trigger for (_, trigger), to in MOVES.items() if to is S.CONFIRMED} == {
        T.PAYMENT_AUTHORISED,
        T.STOCK_RESERVED_PREPAID,
        T.REFUSED_BEFORE_PACKING,
    }
