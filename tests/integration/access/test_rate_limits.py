"""Limits of keys and tenants, and what replicas of the gateway tell of their use, over a real PostgreSQL."""

from __future__ import annotations

import asyncio
import time
from typing import Any
from uuid import uuid4

import pytest
from sampan.access.v1 import api_key_service_pb2 as key_pb
from sampan.access.v1 import rate_limit_service_pb2 as pb
from sampan.access.v1 import tenant_service_pb2 as tenant_pb

from services.access.domain.limits import REQUESTS_PER_MINUTE_MAX, USES_MAX
from services.access.workers import USE_AGE_S
from tests.conftest import DatabaseFactory
from tests.integration.access.running import ACTOR, TENANT, Client, refused, running

pytestmark = pytest.mark.postgres

LIMITS = pb.RateLimits(reads=6_000, orders=600)
NOW_S = 1_790_000_000


async def limit(client: Client, api_key_id: str, limits: pb.RateLimits) -> key_pb.ApiKey:
    """Sets a key's limits."""
    answer: key_pb.ApiKey = await client.keys.LimitApiKey(
        key_pb.LimitApiKeyRequest(tenant_id=TENANT, api_key_id=api_key_id, limits=limits, actor=ACTOR)
    )
    return answer


async def exchange(client: Client, replica_id: str, *uses: tuple[str, int, int]) -> list[int]:
    """What the others have let in, of (limit, window, requests) that a replica tells."""
    request = pb.ExchangeUseRequest(replica_id=replica_id)
    for name, window_start, requests in uses:
        request.uses.add(limit=name, window_start=window_start, requests=requests)
    answer: pb.ExchangeUseResponse = await client.limits.ExchangeUse(request)
    return list(answer.others)


async def test_a_keys_limits_are_kept_told_and_recorded(database_factory: DatabaseFactory) -> None:
    async with running(database_factory("access")) as client:
        issued = await client.create(limits=LIMITS)
        assert issued.api_key.limits == LIMITS
        key_id = issued.api_key.api_key_id
        other = pb.RateLimits(streams=1)
        limited = await limit(client, key_id, other)
        assert (limited.limits, limited.version) == (other, 2)
        assert await limit(client, key_id, other) == limited
        rotated = await client.rotate(key_id, "r2")
        assert rotated.api_key.limits == other
        assert [one.limits for one in await client.snapshots()] == [LIMITS, other, other]
        rows = await client.rows("SELECT action FROM audit WHERE api_key_id IS NOT NULL ORDER BY id")
        assert [row["action"] for row in rows] == ["KEY_CREATED", "KEY_LIMITED", "KEY_ROTATED"]
        await client.revoke(key_id)
        with refused("FAILED_PRECONDITION", "API_KEY_REVOKED"):
            await limit(client, key_id, LIMITS)
        with refused("NOT_FOUND", "API_KEY_NOT_FOUND"):
            await limit(client, str(uuid4()), LIMITS)


async def test_a_repeated_creation_with_other_limits_is_another_creation(
    database_factory: DatabaseFactory,
) -> None:
    async with running(database_factory("access")) as client:
        await client.create("same", limits=LIMITS)
        assert (await client.create("same", limits=LIMITS)).replayed
        with refused("FAILED_PRECONDITION", "REQUEST_ID_REUSED"):
            await client.create("same")


async def test_a_tenants_limits_are_kept_told_and_recorded(database_factory: DatabaseFactory) -> None:
    async with running(database_factory("access")) as client:

        async def limit_tenant(tenant_id: str, limits: pb.RateLimits) -> tenant_pb.Tenant:
            answer: tenant_pb.Tenant = await client.tenants.LimitTenant(
                tenant_pb.LimitTenantRequest(tenant_id=tenant_id, limits=limits, actor=ACTOR)
            )
            return answer

        limited = await limit_tenant(TENANT, LIMITS)
        assert (limited.limits, limited.version) == (LIMITS, 2)
        assert await limit_tenant(TENANT, LIMITS) == limited
        assert await client.tenants.GetTenant(tenant_pb.GetTenantRequest(tenant_id=TENANT)) == limited
        (row,) = await client.rows("SELECT actor FROM audit WHERE action = 'TENANT_LIMITED'")
        assert row["actor"] == ACTOR
        with refused("NOT_FOUND", "TENANT_NOT_FOUND"):
            await limit_tenant("nobody", LIMITS)
        with refused("FAILED_PRECONDITION", "TENANT_RESERVED"):
            await limit_tenant("platform", LIMITS)


@pytest.mark.parametrize("wrong", [-1, REQUESTS_PER_MINUTE_MAX + 1])
async def test_a_limit_out_of_range_is_refused(database_factory: DatabaseFactory, wrong: int) -> None:
    async with running(database_factory("access")) as client:
        with refused("INVALID_ARGUMENT", "FIELD_INVALID"):
            await client.create(limits=pb.RateLimits(orders=wrong))
        assert await client.snapshots() == []


async def test_each_replica_hears_what_all_others_have_told_through_any_access(
    database_factory: DatabaseFactory,
) -> None:
    dsn = database_factory("access")
    first, second, third = (str(uuid4()) for _ in range(3))
    async with running(dsn) as client, running(dsn) as other_client:
        assert await exchange(client, first, ("a", NOW_S, 5), ("b", NOW_S, 1)) == [0, 0]
        assert await exchange(other_client, second, ("b", NOW_S, 10), ("a", NOW_S, 7)) == [1, 5]
        assert await exchange(client, third, ("a", NOW_S, 0)) == [12]
        # Another window and another limit are counted apart.
        assert await exchange(client, third, ("a", NOW_S + 60, 1), ("c", NOW_S, 1)) == [0, 0]
        # Told twice, or late: what was told before counts on.
        assert await exchange(client, second, ("a", NOW_S, 7)) == [5]
        assert await exchange(client, second, ("a", NOW_S, 3)) == [5]
        assert await exchange(client, first, ("a", NOW_S, 6)) == [7]
        assert await exchange(client, first) == []


async def test_replicas_that_tell_at_once_all_count(database_factory: DatabaseFactory) -> None:
    async with running(database_factory("access")) as client:
        replicas = [str(uuid4()) for _ in range(8)]
        names = [f"limit-{number}" for number in range(50)]
        for requests in (1, 2, 3):
            await asyncio.gather(
                *(exchange(client, one, *((name, NOW_S, requests) for name in names)) for one in replicas)
            )
        heard = await exchange(client, replicas[0], *((name, NOW_S, 3) for name in names))
        assert heard == [3 * 7] * 50


async def test_counts_that_a_crash_has_emptied_are_full_after_the_next_exchange(
    database_factory: DatabaseFactory,
) -> None:
    first, second = str(uuid4()), str(uuid4())
    async with running(database_factory("access")) as client:
        await exchange(client, first, ("a", NOW_S, 5))
        await client.rows("TRUNCATE rate_limit_use")
        assert await exchange(client, second, ("a", NOW_S, 2)) == [0]
        assert await exchange(client, first, ("a", NOW_S, 6)) == [2]
        assert await exchange(client, second, ("a", NOW_S, 2)) == [6]


async def test_windows_that_are_over_are_forgotten(database_factory: DatabaseFactory) -> None:
    now_s = int(time.time())
    async with running(database_factory("access")) as client:
        old = [(f"old-{number}", now_s - USE_AGE_S - 61, 1) for number in range(5)]
        await exchange(client, str(uuid4()), *old, ("new", now_s, 1))
        assert await client.access.forget_use(before=now_s - USE_AGE_S, limit=3) == 3
        assert await client.access.forget_use(before=now_s - USE_AGE_S, limit=3) == 2
        (row,) = await client.rows("SELECT name FROM rate_limit_use")
        assert row["name"] == "new"


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"replica_id": ""}, "FIELD_REQUIRED"),
    ({"replica_id": "one"}, "FIELD_INVALID"),
    ({"uses": [pb.Use(limit="", window_start=NOW_S)]}, "FIELD_INVALID"),
    ({"uses": [pb.Use(limit="x" * 401, window_start=NOW_S)]}, "FIELD_INVALID"),
    ({"uses": [pb.Use(limit="a", window_start=-1)]}, "FIELD_INVALID"),
    ({"uses": [pb.Use(limit="a", window_start=NOW_S, requests=-1)]}, "FIELD_INVALID"),
    ({"uses": [pb.Use(limit="a", window_start=NOW_S)] * 2}, "FIELD_INVALID"),
    ({"uses": [pb.Use(limit=f"{n}", window_start=1) for n in range(USES_MAX + 1)]}, "TOO_MANY_ITEMS"),
]


async def test_a_wrong_tale_is_refused(database_factory: DatabaseFactory, subtests: pytest.Subtests) -> None:
    async with running(database_factory("access")) as client:
        for wrong, reason in WRONG:
            stated = {"replica_id": str(uuid4())} | wrong
            with subtests.test(str(wrong)[:80]), refused("INVALID_ARGUMENT", reason):
                await client.limits.ExchangeUse(pb.ExchangeUseRequest(**stated))
        assert await client.rows("SELECT * FROM rate_limit_use") == []
