"""A run counts as one in which everything holds only when it was looked at while something was done to it."""

from collections import Counter
from collections.abc import Callable

import pytest

from tests.chaos.outcome import Healing, Outcome
from tests.chaos.schedule import Step
from tests.chaos.verify import INVARIANTS, Verdict
from tests.unit.chaos.test_verify import result

CHECK = "1 ledger"
Spoil = Callable[[Outcome], object]


def outcome(*, minutes: float = 5.0) -> Outcome:
    return Outcome(
        seed=1,
        minutes=minutes,
        converge_s_max=10.0,
        injected=Counter({"process.kill": 2, "events.poison": 1}),
        always=Counter({CHECK: 3}),
        converge_s=4.0,
        verdict=Verdict([result(number) for number in INVARIANTS]),
    )


def test_a_run_in_which_nothing_is_wrong_holds() -> None:
    assert outcome().holds


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda one: one.injected.clear(), id="no fault"),
        pytest.param(lambda one: one.came_to_nothing.update(one.injected), id="no fault that did anything"),
        pytest.param(lambda one: one.always.clear(), id="no look at what is always true"),
        pytest.param(lambda one: one.always.update({"3 bounds": 0}), id="a check never made"),
        pytest.param(lambda one: one.violations.append("a client saw something"), id="a violation"),
        pytest.param(lambda one: one.failed_injections.append("it raised"), id="a fault that failed"),
        pytest.param(lambda one: setattr(one, "converge_s", None), id="never at rest"),
        pytest.param(lambda one: setattr(one, "converge_s", 10.1), id="late at rest"),
        pytest.param(lambda one: setattr(one, "verdict", None), id="no verdict"),
        pytest.param(lambda one: setattr(one, "verdict", Verdict([])), id="an empty verdict"),
        pytest.param(
            lambda one: one.healings.append(
                Healing(Step(1.0, "process.kill", "orders-1", 0.0, 1), is_late=True)
            ),
            id="not well in time after a fault",
        ),
    ],
)
def test_each_thing_that_is_wrong_or_was_not_looked_at_breaks_a_run(spoil: Spoil) -> None:
    spoiled = outcome()
    spoil(spoiled)
    assert not spoiled.holds


def test_some_faults_may_come_to_nothing() -> None:
    some = outcome()
    some.came_to_nothing["events.poison"] = 1
    assert some.holds
    assert some.effective == {"process.kill": 2, "events.poison": 0}


def test_a_run_too_short_for_every_check_does_not_have_to_have_made_it() -> None:
    short = outcome(minutes=0.2)
    short.always["3 bounds"] = 0
    assert short.holds
    assert short.unlooked == []
