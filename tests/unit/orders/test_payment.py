"""The payment's state machine."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.orders.domain.payment import LIVE, MOVES, PaymentState, PaymentTrigger, move
from services.orders.errors import PaymentMoveIllegal

S, T = PaymentState, PaymentTrigger
STATES = [state for state in PaymentState if state is not S.NONE]


def test_every_pair_is_decided() -> None:
    assert set(MOVES) == set(itertools.product(STATES, PaymentTrigger))


@pytest.mark.parametrize("trigger", PaymentTrigger)
def test_each_trigger_is_idempotent(trigger: PaymentTrigger) -> None:
    for state in STATES:
        once = MOVES[state, trigger]
        if once is not None and once is not state:
            assert MOVES[once, trigger] is once, (state, trigger)


@given(st.lists(st.sampled_from(list(PaymentTrigger)), max_size=12))
def test_money_is_held_refunded_or_was_never_taken(triggers: list[PaymentTrigger]) -> None:
    state, authorised = S.PENDING, False
    for trigger in triggers:
        try:
            after = move(state, trigger)
        except PaymentMoveIllegal:
            continue
        authorised |= after is not state and trigger in (T.AUTHORISED, T.AUTHORISED_LATE)
        # What holds money is never simply forgotten, and what is given back never held again.
        if state in (S.AUTHORISED, S.CAPTURED, S.REFUND_PENDING):
            assert after is not S.DECLINED
            assert after is not S.PENDING
        if state in (S.REFUND_PENDING, S.REFUNDED):
            assert after not in LIVE
        state = after
    if state in (S.AUTHORISED, S.CAPTURED, S.REFUND_PENDING, S.REFUNDED):
        assert authorised


def test_an_answer_after_a_loss_is_refunded() -> None:
    assert move(S.DECLINED, T.AUTHORISED_LATE) is S.REFUND_PENDING
    assert move(S.PENDING, T.AUTHORISED_LATE) is S.REFUND_PENDING


def test_a_contradiction_raises() -> None:
    with pytest.raises(PaymentMoveIllegal):
        move(S.CAPTURED, T.DECLINED)
