"""Rate limits, by laws over any arrivals at several replicas, and by what a caller sees of them."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Coroutine
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sampan.access.v1 import rate_limit_service_pb2 as pb

from services.chassis.errors import Unavailable
from services.gateway import limits as limits_module
from services.gateway.auth import Caller
from services.gateway.errors import Problem
from services.gateway.limits import WINDOW_S, RateLimits
from services.gateway.limits_exchange import USES_MAX, LimitsExchange

KEY_ID = "019ab3c0-5e1f-7c3e-8f65-0d6c2f3f5b11"
KEY = Caller("acme", frozenset(("storefront",)), f"key:{KEY_ID}")
OTHER_KEY = Caller("acme", frozenset(("storefront",)), "key:2")
TOKEN = Caller("acme", frozenset(("storefront",)), "token:somebody")
FILE_KEY = Caller("acme", frozenset(("administrator",)), "administrator")


class Clock:
    """A time that is set by hand."""

    def __init__(self, now_s: float = 1_790_000_000.0) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s


class Access:
    """What access does with what it is told; the real one is in tests/integration/access/test_rate_limits.py."""

    def __init__(self) -> None:
        self.told: dict[tuple[str, int], dict[str, int]] = defaultdict(dict)
        self.is_away = False
        self.calls = 0

    async def exchange(self, request: pb.ExchangeUseRequest) -> pb.ExchangeUseResponse:
        """Keeps what one replica tells, and tells what all others have told."""
        if self.is_away:
            raise Unavailable("DEPENDENCY_UNAVAILABLE", "access is away")
        self.calls += 1
        others = []
        for use in request.uses:
            by_replica = self.told[use.limit, use.window_start]
            by_replica[request.replica_id] = use.requests
            others.append(sum(by_replica.values()) - use.requests)
        return pb.ExchangeUseResponse(others=others)


class Replica:
    """One of several gateways."""

    def __init__(self, clock: Clock, access: Access, defaults: dict[Any, int] | None = None) -> None:
        self.limits = RateLimits(defaults or {}, now_s=clock)
        self._exchange = LimitsExchange(self.limits, access.exchange, period_s=1)

    def lets_in(self, caller: Caller = KEY) -> bool:
        """Whether a placement comes in."""
        return self.limits.admit(caller, "orders")[1] is None

    @property
    def window_ends_s(self) -> int:
        """When the window ends of the only limit that is in use."""
        (meter,) = self.limits.open_meters()
        return meter.ends_s

    def exchange(self) -> None:
        """Tells and hears once."""
        at_once(self._exchange.exchange())


def at_once(work: Coroutine[Any, Any, None]) -> None:
    """Runs what waits for nothing."""
    with pytest.raises(StopIteration):
        work.send(None)


def sent(headers: tuple[tuple[bytes, bytes], ...]) -> dict[str, str]:
    """Headers as text."""
    return {name.decode(): value.decode() for name, value in headers}


STEPS = 40
ARRIVALS = st.lists(st.lists(st.integers(0, 3), min_size=3, max_size=3), min_size=STEPS, max_size=STEPS)
"""By step and replica."""


@given(
    arrivals=ARRIVALS,
    limit=st.integers(1, 40),
    period=st.integers(1, 3),
    step_s=st.sampled_from((0.5, 1.0, 5.0)),
    of_tenant=st.booleans(),
)
def test_nobody_is_refused_too_early_and_beyond_a_limit_comes_what_two_exchanges_miss(
    arrivals: list[list[int]], limit: int, period: int, step_s: float, of_tenant: bool
) -> None:
    clock, access = Clock(), Access()
    replicas = [Replica(clock, access) for _ in range(3)]
    for replica in replicas:
        if of_tenant:
            replica.limits.limit_tenant("acme", {"orders": limit})
        else:
            replica.limits.limit_key(f"acme/{KEY_ID}", {"orders": limit})
    # What each replica has let in, by window and step.
    admitted: dict[int, list[list[int]]] = defaultdict(lambda: [[0] * STEPS for _ in replicas])
    begun_s = clock.now_s
    for step, by_replica in enumerate(arrivals):
        clock.now_s = begun_s + step * step_s
        for number, (replica, count) in enumerate(zip(replicas, by_replica, strict=True)):
            for _ in range(count):
                is_in = replica.lets_in()
                let_in = admitted[replica.window_ends_s]
                if is_in:
                    let_in[number][step] += 1
                else:
                    assert sum(map(sum, let_in)) >= limit
        for number, replica in enumerate(replicas):
            if step % period == number % period:
                replica.exchange()
    span = 2 * period + 1
    for counts in admitted.values():
        unheard = sum(max(sum(one[begin : begin + span]) for begin in range(STEPS)) for one in counts)
        assert sum(map(sum, counts)) <= min(limit - 1 + unheard, limit * len(replicas))


@given(asked=st.lists(st.integers(0, 2), max_size=30), limit=st.integers(1, 20))
def test_replicas_that_have_heard_of_each_other_let_in_exactly_the_limit(
    asked: list[int], limit: int
) -> None:
    clock, access = Clock(), Access()
    replicas = [Replica(clock, access) for _ in range(3)]
    for replica in replicas:
        replica.limits.limit_key(f"acme/{KEY_ID}", {"orders": limit})
    came_in = [replica.lets_in() for replica in replicas].count(True)
    for number in asked:
        # All tell, then all hear.
        for replica in replicas * 2:
            replica.exchange()
        came_in += replicas[number].lets_in()
    assert came_in == max(3, min(limit, 3 + len(asked)))


@given(arrivals=st.lists(st.integers(0, 9), max_size=130), limit=st.integers(1, 50))
def test_one_replica_lets_in_exactly_the_limit_per_window(arrivals: list[int], limit: int) -> None:
    clock = Clock()
    replica = Replica(clock, Access())
    replica.limits.limit_key(f"acme/{KEY_ID}", {"orders": limit})
    came: dict[int, int] = defaultdict(int)
    came_in: dict[int, int] = defaultdict(int)
    for count in arrivals:
        for _ in range(count):
            is_in = replica.lets_in()
            came[replica.window_ends_s] += 1
            came_in[replica.window_ends_s] += is_in
        clock.now_s += 1
    assert came_in == {ends_s: min(limit, count) for ends_s, count in came.items()}
    assert all(later - earlier >= WINDOW_S for earlier, later in zip(came, list(came)[1:], strict=False))


def test_the_headers_say_what_holds_what_is_left_and_when_there_is_more() -> None:
    clock = Clock()
    replica = Replica(clock, Access())
    replica.limits.limit_key(f"acme/{KEY_ID}", {"orders": 2})
    replica.limits.limit_tenant("acme", {"orders": 5, "reads": 9})
    headers, refused = replica.limits.admit(KEY, "orders")
    key_ends_s, tenant_ends_s = (meter.ends_s for meter in replica.limits.open_meters())
    assert refused is None
    key_s, tenant_s = (round(ends_s - clock.now_s) for ends_s in (key_ends_s, tenant_ends_s))
    assert 1 <= key_s <= WINDOW_S
    assert sent(headers) == {
        "ratelimit-policy": '"orders";q=2;w=60, "tenant-orders";q=5;w=60',
        "ratelimit": f'"orders";r=1;t={key_s}, "tenant-orders";r=4;t={tenant_s}',
    }
    replica.lets_in()
    headers, refused = replica.limits.admit(KEY, "orders")
    assert isinstance(refused, Problem)
    assert (refused.reason, refused.status, refused.retry_after_s) == ("RATE_LIMITED", 429, key_s)
    assert refused.metadata == {"policy": "orders", "requests_per_minute": "2"}
    # Who was refused has used nothing up of the tenant's.
    assert sent(headers)["ratelimit"] == f'"orders";r=0;t={key_s}, "tenant-orders";r=3;t={tenant_s}'
    clock.now_s = key_ends_s
    assert replica.lets_in()


def test_a_tenants_limit_is_shared_by_its_keys_and_a_keys_is_its_own() -> None:
    replica = Replica(Clock(), Access())
    replica.limits.limit_tenant("acme", {"orders": 3})
    replica.limits.limit_key(f"acme/{KEY_ID}", {"orders": 1})
    assert [replica.lets_in(caller) for caller in (KEY, KEY, OTHER_KEY, TOKEN, FILE_KEY)] == [
        True,
        False,
        True,
        True,
        False,
    ]
    stranger = Caller("other", frozenset(("storefront",)), f"key:{KEY_ID}")
    assert replica.limits.admit(stranger, "orders") == ((), None)
    assert replica.limits.admit(KEY, "reads") == ((), None)


def test_defaults_hold_for_keys_and_tokens_that_have_no_limit_and_not_for_the_files_keys() -> None:
    replica = Replica(Clock(), Access(), {"orders": 1})
    replica.limits.limit_key(f"acme/{KEY_ID}", {"orders": 2, "reads": 1})
    assert [replica.lets_in(KEY) for _ in range(3)] == [True, True, False]
    for caller in (OTHER_KEY, TOKEN):
        assert [replica.lets_in(caller) for _ in range(2)] == [True, False]
    assert all(replica.lets_in(FILE_KEY) for _ in range(10))


def test_a_changed_limit_holds_at_once_and_keeps_the_count() -> None:
    replica = Replica(Clock(), Access())
    replica.limits.limit_key(f"acme/{KEY_ID}", {"orders": 2})
    assert [replica.lets_in() for _ in range(3)] == [True, True, False]
    replica.limits.limit_key(f"acme/{KEY_ID}", {"orders": 3})
    assert [replica.lets_in() for _ in range(2)] == [True, False]
    replica.limits.limit_key(f"acme/{KEY_ID}", {})
    assert replica.limits.admit(KEY, "orders") == ((), None)


def test_while_access_is_away_each_replica_counts_by_itself_and_afterwards_they_agree() -> None:
    clock, access = Clock(), Access()
    first, second = Replica(clock, access), Replica(clock, access)
    for replica in (first, second):
        replica.limits.limit_key(f"acme/{KEY_ID}", {"orders": 4})
    access.is_away = True
    assert [first.lets_in() for _ in range(3)] == [True] * 3
    first.exchange()
    assert second.lets_in()
    second.exchange()
    assert second.lets_in()
    access.is_away = False
    first.exchange()
    second.exchange()
    assert not second.lets_in()
    # It has let in one less than is left of it alone.
    first.exchange()
    assert not first.lets_in()


def test_many_limits_are_told_in_several_calls() -> None:
    clock, access = Clock(), Access()
    replica = Replica(clock, access, {"orders": 1})
    for number in range(USES_MAX + 1):
        replica.lets_in(Caller("acme", frozenset(), f"key:{number}"))
    replica.exchange()
    assert access.calls == 2
    assert len(access.told) == USES_MAX + 1


def test_limits_that_find_no_room_hold_once_others_are_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits_module, "METERS_MAX", 2)
    clock = Clock()
    replica = Replica(clock, Access(), {"orders": 1})
    callers = [Caller("acme", frozenset(), f"key:{number}") for number in range(3)]
    assert [replica.lets_in(caller) for caller in callers * 2] == [True, True, True, False, False, True]
    clock.now_s += 2 * WINDOW_S
    replica.exchange()
    assert [replica.lets_in(caller) for caller in reversed(callers)] == [True, True, True]
    assert [replica.lets_in(caller) for caller in reversed(callers)] == [False, False, True]


async def test_a_replica_that_stops_tells_a_last_time_what_it_has_let_in() -> None:
    clock, access = Clock(), Access()
    limits = RateLimits({"orders": 5}, now_s=clock)
    exchange = LimitsExchange(limits, access.exchange, period_s=3600)
    running = asyncio.create_task(exchange.run())
    limits.admit(KEY, "orders")
    exchange.stop()
    await running
    (told,) = access.told.values()
    assert list(told.values()) == [1]
