"""Merging two sorted streams, and what the judges say of every pair of states."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.audit.cross_checks import HOLDS_ALLOWED, judge_quantities, judge_states, merge


async def stream(ids: Sequence[int]) -> AsyncIterator[Mapping[str, Any]]:
    for one in ids:
        yield {"order_id": one}


@given(st.sets(st.integers(0, 30)), st.sets(st.integers(0, 30)))
async def test_a_merge_pairs_equals_and_loses_nothing(ours: set[int], theirs: set[int]) -> None:
    pairs = [pair async for pair in merge(stream(sorted(ours)), stream(sorted(theirs)))]
    assert [left["order_id"] for left, _ in pairs if left] == sorted(ours)
    assert [right["order_id"] for _, right in pairs if right] == sorted(theirs)
    assert sum(left is not None and right is not None for left, right in pairs) == len(ours & theirs)
    assert all(left["order_id"] == right["order_id"] for left, right in pairs if left and right)


def order(state: str) -> dict[str, Any]:
    return {"order_id": 1, "tenant_id": "t", "state": state, "lines": "x", "parcels": None}


def hold(state: str, *, all_cancelled: bool = False) -> dict[str, Any]:
    return {
        "order_id": 1,
        "tenant_id": "t",
        "hold_state": state,
        "rejection": None,
        "lines": "x",
        "parcels": None,
        "all_cancelled": all_cancelled,
    }


@pytest.mark.parametrize("state", sorted(HOLDS_ALLOWED))
@pytest.mark.parametrize("held", ["PENDING", "POSTED", "VOIDED", "EXPIRED", "REJECTED"])
def test_only_the_allowed_pairs_pass(state: str, held: str) -> None:
    fault = judge_states(order(state), hold(held, all_cancelled=True))
    assert (fault is None) == (held in HOLDS_ALLOWED[state])


def test_every_order_state_of_the_contract_is_judged() -> None:
    from services.orders.domain.states import OrderState

    assert HOLDS_ALLOWED.keys() == {state.value for state in OrderState}


def test_a_hold_without_an_order_is_a_fault_only_while_it_is_live() -> None:
    assert judge_states(None, hold("PENDING")) is not None
    assert judge_states(None, hold("POSTED")) is not None
    assert judge_states(None, hold("VOIDED")) is None


def test_a_hold_of_another_tenant_is_a_fault() -> None:
    assert "of tenant t" in (judge_states(order("CONFIRMED"), hold("POSTED") | {"tenant_id": "u"}) or "")


def test_quantities_matter_only_while_goods_are_held_or_taken() -> None:
    assert judge_quantities(order("CONFIRMED"), hold("POSTED") | {"lines": "y"}) is not None
    assert judge_quantities(order("CANCELLED"), hold("VOIDED") | {"lines": "y"}) is None
