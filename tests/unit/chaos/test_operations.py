"""What was told of bookings and cancellations against what was carried out."""

from collections import Counter
from pathlib import Path

import pytest

from tests.chaos.client import Request
from tests.chaos.history import History, Outcome
from tests.chaos.operations import Lines, judge_booking, judge_times, lines_of, operations

ASKED = lines_of({"warehouse_id": "w", "lines": [{"sku": "S", "quantity": 3}, {"sku": "T", "quantity": -1}]})
NONE: Lines = Counter()
TWICE = ASKED + ASKED
PART: Lines = Counter({("w", "S", 3): 1})
ELSEWHERE: Lines = Counter({("v", "S", 3): 1, ("w", "T", -1): 1})


@pytest.mark.parametrize(
    ("outcome", "booked", "is_sound"),
    [
        ("ok", ASKED, True),
        ("ok", NONE, False),
        ("ok", TWICE, False),
        ("ok", PART, False),
        ("ok", ELSEWHERE, False),
        ("refused", NONE, True),
        ("refused", ASKED, False),
        ("refused", PART, False),
        ("unknown", NONE, True),
        ("unknown", ASKED, True),
        ("unknown", TWICE, False),
        ("unknown", PART, False),
    ],
)
def test_a_booking_is_carried_out_once_or_not_at_all_as_told(
    outcome: Outcome, booked: Lines, is_sound: bool
) -> None:
    assert (judge_booking(outcome, ASKED, booked) is None) == is_sound


@pytest.mark.parametrize(
    ("outcomes", "stored", "is_sound"),
    [
        (["ok"], 1, True),
        (["ok"], 0, False),
        (["ok"], 2, False),
        (["refused"], 0, True),
        (["refused"], 1, False),
        (["unknown"], 0, True),
        (["unknown"], 1, True),
        (["unknown"], 2, False),
        (["ok", "refused", "unknown"], 2, True),
    ],
)
def test_something_is_done_as_often_as_was_told(outcomes: list[Outcome], stored: int, is_sound: bool) -> None:
    assert (judge_times(outcomes, stored) is None) == is_sound


def test_the_last_that_was_told_counts_and_an_acknowledgement_always(tmp_path: Path) -> None:
    with History(tmp_path) as history:
        told: list[tuple[str, Outcome]] = [
            ("a", "unknown"),
            ("a", "refused"),
            ("b", "ok"),
            ("b", "unknown"),
            ("c", "unknown"),
            ("c", "ok"),
        ]
        for key, outcome in told:
            history.operation("cancel", outcome, key=key, order_id=f"order-{key}")
        history.operation("read", "ok")
        history.note("something")
        found = operations(history.path)
    assert {key: one.outcome for key, one in found.items()} == {"a": "refused", "b": "ok", "c": "ok"}
    assert found["a"].order_id == "order-a"


@pytest.mark.parametrize(
    ("path", "order_id"),
    [("/v1/orders/x:pay", "x"), ("/v1/orders/x/history", "x"), ("/v1/orders", ""), ("/v1/quotes", "")],
)
def test_the_record_names_the_order_of_an_operation(path: str, order_id: str) -> None:
    assert Request("pay", "storefront", "POST", path).order_id == order_id
