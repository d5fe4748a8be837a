"""Keys by gRPC over a real PostgreSQL: what is kept of them, what is told, and who has done what."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import asyncpg
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from sampan.access.v1 import api_key_service_pb2 as pb

from services.access.domain import keys
from tests.conftest import DatabaseFactory
from tests.integration.access.running import ACTOR, TENANT, refused, running

pytestmark = pytest.mark.postgres

NOBODY = "00000000-0000-7000-8000-000000000000"


async def test_only_the_hash_of_a_secret_is_kept_and_told(database_factory: DatabaseFactory) -> None:
    dsn = database_factory("access")
    async with running(dsn) as client:
        issued = await client.create(roles=[pb.ROLE_MERCHANT], merchant_ids=["b", "a"])
        digest = sha256(issued.secret.encode()).digest()
        (row,) = await client.rows("SELECT * FROM secrets")
        assert row["digest"] == digest
        (snapshot,) = await client.snapshots()
        assert [one.sha256 for one in snapshot.secrets] == [digest]
        assert (list(snapshot.roles), list(snapshot.merchant_ids)) == ([pb.ROLE_MERCHANT], ["a", "b"])
        # Not in any column of any table, nor in what is published, as text or as bytes.
        named = await client.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        tables = [row["tablename"] for row in named]
        assert {"api_keys", "audit", "outbox", "request_key", "secrets"} <= set(tables)
        random_part = issued.secret.rpartition(f"{issued.api_key.secrets[0].secret_id}_")[2]
        for table in tables:
            for row in await client.rows(f"SELECT * FROM {table}"):
                for value in row.values():
                    assert random_part not in str(value)
                    assert not isinstance(value, bytes) or random_part.encode() not in value
        listed = await client.keys.ListApiKeys(pb.ListApiKeysRequest(tenant_id=TENANT))
        assert list(listed.api_keys) == [issued.api_key]
        got = await client.keys.GetApiKey(
            pb.GetApiKeyRequest(tenant_id=TENANT, api_key_id=issued.api_key.api_key_id)
        )
        assert got == issued.api_key
        assert random_part not in str(listed)


async def test_a_repeated_creation_makes_no_second_secret(database_factory: DatabaseFactory) -> None:
    async with running(database_factory("access")) as client:
        answers = await asyncio.gather(*(client.create("same") for _ in range(8)))
        (first,) = [one for one in answers if not one.replayed]
        assert first.secret
        assert all(one.secret == "" for one in answers if one.replayed)
        assert {one.api_key.api_key_id for one in answers} == {first.api_key.api_key_id}
        assert len(await client.rows("SELECT 1 FROM secrets")) == 1
        with refused("FAILED_PRECONDITION", "REQUEST_ID_REUSED"):
            await client.create("same", display_name="Another")


async def test_rotation_keeps_two_and_a_repetition_adds_none(database_factory: DatabaseFactory) -> None:
    async with running(database_factory("access")) as client:
        issued = await client.create()
        key_id, old = issued.api_key.api_key_id, issued.api_key.secrets[0].secret_id
        rotated = await client.rotate(key_id, "r2")
        assert rotated.secret not in ("", issued.secret)
        again = await client.rotate(key_id, "r2")
        assert (again.replayed, again.secret, again.api_key) == (True, "", rotated.api_key)
        snapshot = (await client.snapshots())[-1]
        assert {one.sha256 for one in snapshot.secrets} == {
            sha256(secret.encode()).digest() for secret in (issued.secret, rotated.secret)
        }
        with refused("FAILED_PRECONDITION", "SECRETS_AT_MAX"):
            await client.rotate(key_id, "r3")
        await client.revoke(key_id, old)
        (left,) = (await client.snapshots())[-1].secrets
        assert left.sha256 == sha256(rotated.secret.encode()).digest()
        # What failed is no answer: the same request may be tried again.
        third = await client.rotate(key_id, "r3", grace_period=Duration(seconds=3_600))
        ends = {one.secret_id: one.HasField("expire_time") for one in third.api_key.secrets}
        assert ends == {third.secret[7:17]: False, rotated.secret[7:17]: True, old: False}


async def test_concurrent_rotations_never_make_a_third_good_secret(database_factory: DatabaseFactory) -> None:
    async with running(database_factory("access")) as client:
        key_id = (await client.create()).api_key.api_key_id
        outcomes = await asyncio.gather(
            *(client.rotate(key_id, f"c{n}") for n in range(8)), return_exceptions=True
        )
        assert sum(isinstance(one, pb.IssuedApiKey) for one in outcomes) == 1
        assert len(await client.rows("SELECT 1 FROM secrets")) == 2


async def test_a_revoked_key_is_published_without_secrets_and_stays_revoked(
    database_factory: DatabaseFactory,
) -> None:
    async with running(database_factory("access")) as client:
        key_id = (await client.create()).api_key.api_key_id
        ended = await client.revoke(key_id)
        assert ended.state == pb.API_KEY_STATE_REVOKED
        snapshot = (await client.snapshots())[-1]
        assert (snapshot.state, list(snapshot.secrets)) == (pb.API_KEY_STATE_REVOKED, [])
        assert await client.revoke(key_id) == ended
        assert len(await client.snapshots()) == 2
        with refused("FAILED_PRECONDITION", "API_KEY_REVOKED"):
            await client.rotate(key_id, "r2")
        with refused("NOT_FOUND", "SECRET_NOT_FOUND"):
            await client.revoke(key_id, "nothing000")


async def test_every_change_is_recorded_with_its_actor(database_factory: DatabaseFactory) -> None:
    async with running(database_factory("access")) as client:
        key_id = (await client.create()).api_key.api_key_id
        rotated = await client.rotate(key_id, "r2")
        await client.revoke(key_id, rotated.api_key.secrets[0].secret_id)
        await client.revoke(key_id)
        await client.revoke(key_id)
        rows = await client.rows("SELECT * FROM audit WHERE api_key_id = $1::text::uuid ORDER BY id", key_id)
        assert [(row["action"], row["version"]) for row in rows] == [
            ("KEY_CREATED", 1),
            ("KEY_ROTATED", 2),
            ("SECRET_REVOKED", 3),
            ("KEY_REVOKED", 4),
        ]
        assert {(row["actor"], row["tenant_id"]) for row in rows} == {(ACTOR, TENANT)}
        with refused("INVALID_ARGUMENT", "FIELD_REQUIRED"):
            await client.create("r9", actor="")


async def test_another_tenants_key_is_not_there(database_factory: DatabaseFactory) -> None:
    async with running(database_factory("access")) as client:
        key_id = (await client.create()).api_key.api_key_id
        for asked in (key_id, NOBODY, "nonsense", ""):
            with refused("NOT_FOUND", "API_KEY_NOT_FOUND"):
                await client.revoke(asked, tenant_id="other")
        assert (await client.keys.ListApiKeys(pb.ListApiKeysRequest(tenant_id="other"))).api_keys == []
        with refused("NOT_FOUND", "TENANT_NOT_FOUND"):
            await client.create("r2", tenant_id="other")


async def test_keys_come_in_pages(database_factory: DatabaseFactory) -> None:
    async with running(database_factory("access")) as client:
        made = [(await client.create(f"r{n}")).api_key.api_key_id for n in range(5)]
        seen: list[str] = []
        token = ""
        while True:
            page = await client.keys.ListApiKeys(
                pb.ListApiKeysRequest(tenant_id=TENANT, page_size=2, page_token=token)
            )
            seen += [key.api_key_id for key in page.api_keys]
            token = page.next_page_token
            if not token:
                break
        assert seen == made == sorted(made)


async def test_a_tenant_has_so_many_keys_at_most(
    database_factory: DatabaseFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "KEYS_MAX", 2)
    async with running(database_factory("access")) as client:
        first = await client.create("r1")
        await client.create("r2")
        with refused("FAILED_PRECONDITION", "API_KEYS_AT_MAX"):
            await client.create("r3")
        await client.revoke(first.api_key.api_key_id)
        await client.create("r3")


async def test_an_expiry_is_kept_to_the_microsecond_and_must_lie_ahead(
    database_factory: DatabaseFactory,
) -> None:
    async with running(database_factory("access")) as client:
        end = Timestamp()
        end.FromDatetime(datetime.now(UTC).replace(microsecond=123_456) + timedelta(days=1))
        issued = await client.create(expire_time=end)
        assert issued.api_key.expire_time == end
        assert (await client.snapshots())[-1].expire_time == end
        with refused("INVALID_ARGUMENT", "FIELD_INVALID"):
            await client.create("r2", expire_time=Timestamp(seconds=1))


async def test_the_database_itself_gives_nobody_the_platforms_role(database_factory: DatabaseFactory) -> None:
    async with running(database_factory("access")) as client:
        with refused("INVALID_ARGUMENT", "FIELD_INVALID"):
            await client.create("r2", roles=[pb.ROLE_PLATFORM])
        await client.create("r3")
        async with client.database.connection() as connection:
            for roles in ([6], [5, 6]):
                with pytest.raises(asyncpg.CheckViolationError, match="api_keys_platform_apart"):
                    await connection.execute("UPDATE api_keys SET roles = $1", roles)
        platform = await client.create("r4", tenant_id="platform", roles=[pb.ROLE_PLATFORM])
        assert list(platform.api_key.roles) == [pb.ROLE_PLATFORM]
