"""How hard the laws are tried: generated tests are the same every time in CI, and differ and last longer in a deep run.

`make laws` runs all of them as CI does; `make laws PROFILE=deep` draws anew each time and tries twenty times as much.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

CI_EXAMPLES = 100
DEEP_FACTOR = 20
TIMEOUT_S_IN_CI = 900


def register_profiles() -> None:
    """Make the profiles known and `ci` the one in force until `--hypothesis-profile` names another."""
    # The time of an example says nothing on a machine that does other things as well.
    shared = settings(
        deadline=None,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    settings.register_profile("ci", shared, max_examples=CI_EXAMPLES, derandomize=True, database=None)
    settings.register_profile("deep", shared, max_examples=CI_EXAMPLES * DEEP_FACTOR, derandomize=False)
    settings.load_profile("ci")


def examples(in_ci: int) -> int:
    """How many examples to try where CI tries `in_ci`."""
    in_force = settings()
    return in_ci * in_force.max_examples // CI_EXAMPLES


def marks() -> list[pytest.MarkDecorator]:
    """Of tests whose examples use a database. One that fails is made as small as it gets, which takes long."""
    return [pytest.mark.hypothesis, pytest.mark.slow, pytest.mark.timeout(examples(TIMEOUT_S_IN_CI))]


def run_machine(make: Callable[[], RuleBasedStateMachine], *, examples_in_ci: int, steps: int) -> None:
    """Take a state machine through its rules."""
    run: Callable[..., None] = run_state_machine_as_test
    run(make, settings=settings(max_examples=examples(examples_in_ci), stateful_step_count=steps))
