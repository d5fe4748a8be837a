"""What is parked against what was poisoned, positions that go back, and when a verdict holds."""

import pytest

from deploy.audit.checks import Result, Status
from tests.chaos.engine import _may_be_late
from tests.chaos.history import Poisoned
from tests.chaos.verify import INVARIANTS, Verdict, judge_parked
from tests.chaos.watch import Positions

TOPIC = "sampan.orders.orders.v1"
POISON = Poisoned(TOPIC, 1, 42, "a", ("warehouse.orders",))


def row(**changes: object) -> dict[str, object]:
    base: dict[str, object] = {
        "grp": "warehouse.orders",
        "topic": TOPIC,
        "part": 1,
        "offset": 42,
        "aggregate_id": "a",
        "cause": "FAILED",
    }
    return base | changes


def test_parked_poison_is_well() -> None:
    assert judge_parked([row()], [POISON]).failed == 0


def test_what_poison_blocks_is_well() -> None:
    assert judge_parked([row(), row(offset=43, cause="BLOCKED")], [POISON]).failed == 0


@pytest.mark.parametrize(
    "parked",
    [
        row(offset=43),
        row(part=2),
        row(offset=43, cause="BLOCKED", aggregate_id="b"),
        row(topic="sampan.warehouse.fulfilments.v1"),
    ],
)
def test_anything_else_parked_is_a_fault(parked: dict[str, object]) -> None:
    findings = judge_parked([row(), parked], [POISON])
    assert findings.failed == 1
    assert "parked" in findings.offenders[0]


def test_poison_that_was_applied_is_a_fault() -> None:
    assert judge_parked([], [POISON]).offenders == [
        "warehouse.orders did not park the poison at ('sampan.orders.orders.v1', 1, 42)"
    ]


def test_parking_what_has_to_be_passed_over_is_a_fault() -> None:
    harmless = Poisoned(TOPIC, 1, 42, "a", ())
    assert judge_parked([row()], [harmless]).failed == 1
    assert judge_parked([], [harmless]).failed == 0


def test_a_position_that_goes_back_is_noticed_once() -> None:
    positions = Positions()
    place = ("warehouse.orders", TOPIC, 0)
    for next_ in (3, 7, 7, 5, 8):
        positions.take({place: next_})
    assert positions.samples == 5
    assert positions.went_back == [f"warehouse.orders in {TOPIC}/0: from 7 to 5"]


def result(number: int, *, status: Status = "ok", examined: int = 1) -> Result:
    return Result(f"{number} word", "Something is true.", status, examined, 0, (), "", 0.0)


ALL = [result(number) for number in INVARIANTS]


def test_a_verdict_holds_when_every_invariant_was_examined_and_none_is_broken() -> None:
    assert Verdict(ALL).holds
    assert Verdict(ALL).missing == []


@pytest.mark.parametrize("status", ["failed", "could not run"])
def test_one_check_that_is_not_ok_breaks_a_verdict(status: Status) -> None:
    assert not Verdict([*ALL, result(7, status=status)]).holds


@pytest.mark.parametrize("number", INVARIANTS)
def test_an_invariant_for_which_nothing_was_examined_is_missing(number: int) -> None:
    without = [one for one in ALL if one.id != f"{number} word"]
    for verdict in (Verdict(without), Verdict([*without, result(number, examined=0)])):
        assert verdict.missing == [number]
        assert not verdict.holds


def test_only_what_is_about_time_may_be_late_during_faults() -> None:
    assert _may_be_late("9 stuck")
    assert not any(_may_be_late(f"{number} word") for number in INVARIANTS if number != 9)
