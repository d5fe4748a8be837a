"""The door narrows while answers are late, opens again when they are not, and never shuts for good."""

from __future__ import annotations

from services.gateway.admission import RETRY_AFTER_S, WINDOW_S, Admission


class Clock:
    """A time that moves when told."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def make(clock: Clock) -> Admission:
    """A door of 4 to 64 whose target is 0.1 s."""
    return Admission(under_way_min=4, under_way_max=64, target_s=0.1, now_s=clock)


def answer(admission: Admission, clock: Clock, seconds: float) -> None:
    """As many as may come in do, at once, and are answered after so long; further ones are turned away."""
    inside = []
    while admission.is_open():
        inside.append(admission.enter())
    clock.now_s += seconds
    for entered_s in inside:
        admission.leave(entered_s)
    clock.now_s += WINDOW_S


def test_no_more_than_the_limit_come_in_and_each_that_leaves_makes_room() -> None:
    clock = Clock()
    admission = make(clock)
    inside = [admission.enter() for _ in range(64)]
    assert not admission.is_open()
    admission.leave(inside.pop())
    assert admission.is_open()


def test_late_answers_narrow_the_door_to_its_floor_and_timely_ones_open_it_fully_again() -> None:
    clock = Clock()
    admission = make(clock)
    seen = []
    for _ in range(40):
        answer(admission, clock, 0.5)
        seen.append(admission.limit)
    assert seen == sorted(seen, reverse=True)
    assert seen[-1] == 4
    # Full width within five seconds of windows, as after a flood.
    for _ in range(int(5 / WINDOW_S)):
        answer(admission, clock, 0.0)
    assert admission.limit == 64


def test_one_slow_answer_among_many_does_not_narrow_the_door() -> None:
    clock = Clock()
    admission = make(clock)
    first = admission.enter()
    rest = [admission.enter() for _ in range(30)]
    clock.now_s += 0.01
    for entered_s in rest:
        admission.leave(entered_s)
    clock.now_s += 0.5
    admission.leave(first)
    assert admission.limit >= 64 * 0.8


def test_a_pause_ends_by_itself_and_is_never_long() -> None:
    clock = Clock()
    admission = make(clock)
    admission.pause(60.0)
    assert not admission.is_open()
    clock.now_s += RETRY_AFTER_S
    assert admission.is_open()
