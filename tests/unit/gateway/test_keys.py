"""Keys as the gateway knows them from the topics of access."""

from __future__ import annotations

import time
from hashlib import sha256
from typing import Any
from uuid import UUID

import pytest
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from sampan.access.v1 import api_key_service_pb2 as key_pb
from sampan.access.v1 import events_pb2
from sampan.access.v1 import rate_limit_service_pb2 as limit_pb
from sampan.access.v1 import tenant_service_pb2 as tenant_pb

from services.chassis.envelope import Event
from services.gateway.auth import ApiKey, Caller, Callers, KeyRing
from services.gateway.errors import Problem
from services.gateway.limits import RateLimits
from services.gateway.readmodel.keys import KEYS_TOPIC, TENANTS_TOPIC, Keys
from services.gateway.routes.route import RouteClass

KEY_ID = "019ab3c0-5e1f-7c3e-8f65-0d6c2f3f5b11"


class Door:
    """A ring that is fed by hand."""

    def __init__(self, *file_keys: ApiKey) -> None:
        ring = KeyRing(file_keys)
        self.limits = RateLimits({})
        self.keys = Keys(ring, self.limits)
        self.callers = Callers(ring, is_caught_up=lambda: True)

    def tell(self, topic: str, key: str, message: Message | None) -> None:
        """A record of a topic; None is a tombstone."""
        payload = message.SerializeToString() if message is not None else b""
        kind = message.DESCRIPTOR.full_name if message is not None else "t"
        self.keys.apply([Event(topic, 0, 0, key, kind, key, 1, payload, None, UUID(int=1), 0)])

    def tell_key(self, *secrets: str, version: int = 1, key: str = f"acme/{KEY_ID}", **changes: Any) -> None:
        """A key with secrets."""
        stated: dict[str, Any] = {
            "tenant_id": "acme",
            "api_key_id": KEY_ID,
            "state": key_pb.API_KEY_STATE_ACTIVE,
            "roles": [key_pb.ROLE_STOREFRONT],
            "version": version,
            "secrets": [events_pb2.SecretDigest(sha256=sha256(one.encode()).digest()) for one in secrets],
        }
        self.tell(KEYS_TOPIC, key, events_pb2.ApiKeySnapshot(**(stated | changes)))

    def tell_tenant(self, state: tenant_pb.TenantState.ValueType, version: int) -> None:
        """A tenant in a state."""
        tenant = tenant_pb.Tenant(tenant_id="acme", state=state, version=version)
        self.tell(TENANTS_TOPIC, "acme", events_pb2.TenantSnapshot(tenant=tenant))

    def opens(self, secret: str) -> Caller | None:
        """Whom a secret lets in."""
        return self.callers.known({b"x-api-key": secret.encode()})

    def refuses(self, secret: str) -> str:
        """Why a secret that is known does not let in."""
        with pytest.raises(Problem) as caught:
            self.opens(secret)
        return caught.value.reason


def test_a_secret_speaks_for_its_key() -> None:
    door = Door()
    door.tell_key("one", "two", roles=[key_pb.ROLE_MERCHANT], merchant_ids=["north"])
    expected = Caller("acme", frozenset(("merchant",)), f"key:{KEY_ID}", "merchants", frozenset(("north",)))
    assert door.opens("one") == door.opens("two") == expected
    assert door.opens("three") is None
    assert expected.sees("merchants", "north")
    assert not expected.sees("merchants", "south")
    assert expected.sees("warehouses", "madrid")


def test_a_newer_snapshot_replaces_and_an_older_one_changes_nothing() -> None:
    door = Door()
    door.tell_key("one", version=1)
    door.tell_key("one", "two", version=2)
    door.tell_key("two", version=3)
    door.tell_key("one", "two", version=2)
    assert door.opens("one") is None
    assert door.opens("two") is not None


def test_a_revoked_key_opens_nothing_whatever_comes_late() -> None:
    door = Door()
    door.tell_key("one", version=1)
    door.tell_key(version=2, state=key_pb.API_KEY_STATE_REVOKED)
    door.tell_key("one", version=1)
    assert door.opens("one") is None


def test_a_tombstone_ends_a_key() -> None:
    door = Door()
    door.tell_key("one")
    door.tell(KEYS_TOPIC, f"acme/{KEY_ID}", None)
    assert door.opens("one") is None


@pytest.mark.parametrize("of_secret", [True, False])
def test_an_expiry_is_watched_by_the_gateway_itself(
    monkeypatch: pytest.MonkeyPatch, *, of_secret: bool
) -> None:
    now_s = [time.time()]
    monkeypatch.setattr(time, "time", lambda: now_s[0])
    door = Door()
    end = Timestamp(seconds=int(now_s[0]) + 100)
    digest = sha256(b"one").digest()
    if of_secret:
        door.tell_key(secrets=[events_pb2.SecretDigest(sha256=digest, expire_time=end)])
    else:
        door.tell_key("one", expire_time=end)
    assert door.opens("one") is not None
    now_s[0] += 101
    assert door.refuses("one") == "CREDENTIAL_EXPIRED"


def test_a_suspended_tenant_is_let_in_by_no_key_not_even_of_the_file() -> None:
    door = Door(ApiKey(key="a-key-of-the-file", tenant_id="acme", role="operator"))
    door.tell_key("one")
    door.tell_tenant(tenant_pb.TENANT_STATE_SUSPENDED, 2)
    door.tell_tenant(tenant_pb.TENANT_STATE_ACTIVE, 1)
    assert door.refuses("one") == door.refuses("a-key-of-the-file") == "TENANT_SUSPENDED"
    door.tell_tenant(tenant_pb.TENANT_STATE_ACTIVE, 3)
    assert door.opens("one") is not None


def test_roles_that_are_not_known_yet_count_for_nothing() -> None:
    door = Door()
    door.tell_key("one", roles=[key_pb.ROLE_READER, 99])
    caller = door.opens("one")
    assert caller is not None
    assert set(caller.roles) == {"reader"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"roles": [key_pb.ROLE_PLATFORM]},
        {"roles": [key_pb.ROLE_STOREFRONT], "merchant_ids": ["north"]},
        {"roles": [key_pb.ROLE_MERCHANT, key_pb.ROLE_WAREHOUSE], "merchant_ids": ["north"]},
        {"roles": [key_pb.ROLE_MERCHANT], "merchant_ids": ["north"], "warehouse_ids": ["madrid"]},
        {"secrets": [events_pb2.SecretDigest(sha256=b"short")]},
        {"key": f"other/{KEY_ID}"},
    ],
)
def test_what_access_would_never_issue_opens_nothing(wrong: dict[str, Any]) -> None:
    door = Door()
    door.tell_key("one", **wrong)
    assert door.opens("one") is None


def test_rights_that_cannot_be_understood_end_those_before() -> None:
    door = Door()
    door.tell_key("one", version=1)
    door.tell_key("one", version=2, merchant_ids=["north"])
    assert door.opens("one") is None


async def test_before_all_keys_are_read_only_those_of_the_file_are_taken() -> None:
    caught_up = [False]
    ring = KeyRing([ApiKey(key="a-key-of-the-file", tenant_id="acme", role="operator")])
    ring.put(sha256(b"of-the-topic").digest(), Caller("acme", frozenset(("reader",)), f"key:{KEY_ID}"), None)
    callers = Callers(ring, is_caught_up=lambda: caught_up[0])

    async def told(key: bytes) -> str:
        headers = {b"x-api-key": key}
        try:
            return (callers.known(headers) or await callers.verified(headers)).actor
        except Problem as problem:
            return problem.reason

    # Its end, or that of its tenant, may be what is still to be read.
    assert [await told(key) for key in (b"a-key-of-the-file", b"of-the-topic", b"unknown")] == [
        *("operator", "STARTING", "STARTING")
    ]
    caught_up[0] = True
    assert [await told(key) for key in (b"a-key-of-the-file", b"of-the-topic", b"unknown")] == [
        *("operator", f"key:{KEY_ID}", "CREDENTIAL_UNKNOWN")
    ]


def test_limits_come_with_a_key_and_its_tenant_and_go_with_them() -> None:
    door = Door()
    door.tell_key("one", limits=limit_pb.RateLimits(orders=600))
    tenant = tenant_pb.Tenant(
        tenant_id="acme",
        state=tenant_pb.TENANT_STATE_ACTIVE,
        version=1,
        limits=limit_pb.RateLimits(orders=9_000, reads=5),
    )
    door.tell(TENANTS_TOPIC, "acme", events_pb2.TenantSnapshot(tenant=tenant))
    caller = door.opens("one")
    assert caller is not None

    def policy(route_class: RouteClass) -> str:
        headers, _ = door.limits.admit(caller, route_class)
        return dict(headers).get(b"ratelimit-policy", b"").decode()

    assert policy("orders") == '"orders";q=600;w=60, "tenant-orders";q=9000;w=60'
    assert policy("reads") == '"tenant-reads";q=5;w=60'
    assert policy("writes") == ""
    door.tell_key("one", version=2)
    assert policy("orders") == '"tenant-orders";q=9000;w=60'
    door.tell_key("one", version=3, limits=limit_pb.RateLimits(orders=1))
    door.tell(KEYS_TOPIC, f"acme/{KEY_ID}", None)
    tenant.version, tenant.limits.orders = 2, 0
    door.tell(TENANTS_TOPIC, "acme", events_pb2.TenantSnapshot(tenant=tenant))
    assert policy("orders") == ""
