"""The plan of a chaos run: repeatable, complete, bounded."""

import itertools

import pytest

from tests.chaos.schedule import DURATION_AT_ONCE_S, OVERLAPS_MAX, Kind, Step, plan

KINDS = [
    Kind("process.kill", ("orders-1", "orders-2", "warehouse-1"), (0.0, 0.0)),
    Kind("network.refuse", ("a>b", "b>c"), (1.0, 6.0)),
    Kind("postgres.freeze", ("postgres",), (1.0, 4.0)),
    Kind("kafka.slow", ("kafka",), (3.0, 8.0)),
]


def until(step: Step) -> float:
    return step.at_s + max(step.duration_s, DURATION_AT_ONCE_S)


def test_the_same_seed_gives_the_same_plan() -> None:
    assert plan(KINDS, seed=7, length_s=300) == plan(KINDS, seed=7, length_s=300)


def test_another_seed_gives_another_plan() -> None:
    assert plan(KINDS, seed=7, length_s=300) != plan(KINDS, seed=8, length_s=300)


@pytest.mark.parametrize("seed", range(30))
def test_every_kind_comes_about_equally_often(seed: int) -> None:
    steps = plan(KINDS, seed=seed, length_s=600)
    counts = [sum(step.fault == kind.name for step in steps) for kind in KINDS]
    assert min(counts) >= 1
    assert max(counts) - min(counts) <= 1


@pytest.mark.parametrize("seed", range(30))
def test_overlaps_are_bounded_and_never_on_one_target(seed: int) -> None:
    steps = plan(KINDS, seed=seed, length_s=600)
    for step in steps:
        running = [other for other in steps if other.at_s <= step.at_s < until(other)]
        assert len(running) <= OVERLAPS_MAX
        assert len({other.target for other in running}) == len(running)


@pytest.mark.parametrize("seed", range(30))
def test_everything_is_healed_in_time_and_as_long_as_its_kind_allows(seed: int) -> None:
    by_name = {kind.name: kind for kind in KINDS}
    for step in plan(KINDS, seed=seed, length_s=120):
        shortest_s, longest_s = by_name[step.fault].duration_s
        assert shortest_s <= step.duration_s <= longest_s
        assert step.end_s <= 120
        assert step.target in by_name[step.fault].targets


def test_some_faults_overlap() -> None:
    steps = plan(KINDS, seed=3, length_s=600)
    assert any(later.at_s < until(step) for step, later in itertools.pairwise(steps))


def test_a_kind_without_targets_is_left_out() -> None:
    steps = plan([*KINDS, Kind("disk.full", (), (1.0, 2.0))], seed=1, length_s=300)
    assert all(step.fault != "disk.full" for step in steps)


def test_no_kinds_make_an_empty_plan() -> None:
    assert plan([], seed=1, length_s=300) == []
