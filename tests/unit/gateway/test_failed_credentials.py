"""Failures by address: laws over any arrivals, and what is forgotten."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway import failed_credentials
from services.gateway.client_addresses import ClientAddresses
from services.gateway.failed_credentials import WINDOW_S, FailedCredentials


class Clock:
    """A time that is set by hand."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


class Knock(NamedTuple):
    """A failure, so many seconds after the one before."""

    pause_s: float
    address: str


ADDRESSES = ("192.0.2.1", "192.0.2.2", "2001:db8::1")
knocks = st.lists(
    st.builds(Knock, st.sampled_from((0.0, 0.0, 0.25, 1.0, 7.5, 61.0)), st.sampled_from(ADDRESSES)),
    max_size=200,
)


def failures(clock: Clock, per_minute: int) -> FailedCredentials:
    """What counts failures by the clock."""
    return FailedCredentials(ClientAddresses(), per_minute=per_minute, now_s=clock)


@given(st.integers(1, 30), knocks)
def test_in_any_time_an_address_fails_at_most_a_bucketful_and_what_flowed_in_since(
    per_minute: int, arrivals: list[Knock]
) -> None:
    clock = Clock()
    failed = failures(clock, per_minute)
    told: dict[str, list[float]] = {address: [] for address in ADDRESSES}
    for pause_s, address in arrivals:
        clock.now_s += pause_s
        was_limited = failed.limited(address, {})
        problem = failed.note(address, {})
        assert problem is was_limited
        if problem is None:
            told[address].append(clock.now_s)
        else:
            assert failed.is_any_limited
            assert problem.retry_after_s is not None
            assert 1 <= problem.retry_after_s <= WINDOW_S
    for moments in told.values():
        for first, begin_s in enumerate(moments):
            for count, end_s in enumerate(moments[first:], start=1):
                assert count <= per_minute + (end_s - begin_s) * per_minute / WINDOW_S + 1e-6


@given(st.integers(1, 30), knocks)
def test_each_address_is_told_what_it_would_be_told_alone(per_minute: int, arrivals: list[Knock]) -> None:
    clock = Clock()
    together = failures(clock, per_minute)
    alone = {address: failures(clock, per_minute) for address in ADDRESSES}
    for pause_s, address in arrivals:
        clock.now_s += pause_s
        assert together.note(address, {}) is alone[address].note(address, {})


@given(st.integers(1, 30), knocks)
def test_who_waits_as_long_as_it_is_told_is_heard_again(per_minute: int, arrivals: list[Knock]) -> None:
    clock = Clock()
    failed = failures(clock, per_minute)
    for pause_s, address in arrivals:
        clock.now_s += pause_s
        if (problem := failed.note(address, {})) is not None:
            clock.now_s += problem.retry_after_s or 0
            assert failed.limited(address, {}) is None
            assert failed.note(address, {}) is None


def test_as_many_as_the_limit_may_come_at_once_and_their_problem_says_what_holds() -> None:
    clock = Clock()
    failed = failures(clock, 3)
    assert [failed.note("192.0.2.1", {}) for _ in range(3)] == [None] * 3
    problem = failed.note("192.0.2.1", {})
    assert problem is not None
    assert (problem.reason, problem.status, problem.retry_after_s) == ("TOO_MANY_FAILURES", 429, 20)
    assert problem.headers == {"ratelimit-policy": '"failures";q=3;w=60', "ratelimit": '"failures";r=0;t=20'}
    assert problem.metadata == {"policy": "failures", "failures_per_minute": "3"}


def test_neighbours_of_a_site_share_its_bucket() -> None:
    failed = failures(Clock(), 1)
    assert failed.note("2001:db8:1:2::1", {}) is None
    assert failed.note("2001:db8:1:2:ffff::9", {}) is not None
    assert failed.note("2001:db8:1:3::1", {}) is None


def test_without_a_limit_nothing_is_remembered() -> None:
    failed = failures(Clock(), 0)
    for _ in range(1_000):
        assert failed.note("192.0.2.1", {}) is None
    assert len(failed) == 0
    assert not failed.is_any_limited


def test_when_every_bucket_has_something_in_it_nobody_is_limited() -> None:
    clock = Clock()
    failed = failures(clock, 60)
    for _ in range(61):
        failed.note("192.0.2.1", {})
    assert failed.is_any_limited
    clock.now_s += 1
    assert not failed.is_any_limited


def test_addresses_whose_bucket_is_full_again_are_forgotten_as_others_fail() -> None:
    clock = Clock()
    failed = failures(clock, 60)
    for number in range(100):
        failed.note(f"192.0.2.{number}", {})
    clock.now_s += WINDOW_S
    for number in range(50):
        failed.note(f"198.51.100.{number}", {})
    assert len(failed) == 50


def test_beyond_what_is_remembered_the_one_that_was_quiet_for_longest_is_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(failed_credentials, "ADDRESSES_MAX", 3)
    failed = failures(Clock(), 1)
    for number in range(3):
        assert failed.note(f"192.0.2.{number}", {}) is None
    # A refused one is heard, too: who goes on stays known.
    assert failed.note("192.0.2.0", {}) is not None
    assert failed.note("192.0.2.9", {}) is None
    assert len(failed) == 3
    assert failed.limited("192.0.2.0", {}) is not None
    assert failed.limited("192.0.2.1", {}) is None
