"""Tenants and keys from the compacted topics of access, straight into the ring that requests are checked against:
authentication costs no call, goes on while access is down, and ends within moments of a revocation.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from prometheus_client import Gauge
from sampan.access.v1 import api_key_service_pb2 as key_pb
from sampan.access.v1 import events_pb2, tenant_service_pb2

from services.chassis.envelope import Event
from services.chassis.rpc import times
from services.gateway.auth import Caller, CredentialFault, KeyRing, caller_of
from services.gateway.limits import RateLimits, limits_of
from services.gateway.readmodel.snapshots import refuse, snapshot_of
from services.gateway.translate.access import ROLE

TENANTS_TOPIC = "sampan.access.tenants.v1"
KEYS_TOPIC = "sampan.access.keys.v1"
DIGEST_BYTES = 32

_SECRETS = Gauge(
    "sampan_gateway_secrets", "Secrets of API keys that open the door, those of the file included."
)


class Keys:
    """Feeds the ring and the limits. An older snapshot than the one that is known changes nothing."""

    def __init__(self, ring: KeyRing, limits: RateLimits) -> None:
        self._ring = ring
        self._limits = limits
        # By key: the version, and the digests that it has put into the ring.
        self._held: dict[str, tuple[int, tuple[bytes, ...]]] = {}
        self._tenants: dict[str, int] = {}
        _SECRETS.set_function(lambda: len(ring))

    def apply(self, events: Sequence[Event]) -> None:
        """Takes snapshots of either topic, in any order; a tombstone removes."""
        for event in events:
            if event.topic == TENANTS_TOPIC:
                self._take_tenant(event)
            else:
                self._take_key(event)

    def _take_tenant(self, event: Event) -> None:
        if not event.payload:
            return
        snapshot = snapshot_of(event, events_pb2.TenantSnapshot, lambda one: one.tenant.tenant_id)
        if snapshot is None or self._tenants.get(snapshot.tenant.tenant_id, 0) > snapshot.tenant.version:
            return
        tenant = snapshot.tenant
        self._tenants[tenant.tenant_id] = tenant.version
        self._ring.suspend(tenant.tenant_id, tenant.state != tenant_service_pb2.TENANT_STATE_ACTIVE)
        self._limits.limit_tenant(tenant.tenant_id, limits_of(tenant.limits))

    def _take_key(self, event: Event) -> None:
        version, held = self._held.get(event.key, (0, ()))
        if not event.payload:
            self._replace(event.key, version, held, ())
            self._limits.limit_key(event.key, {})
            return
        snapshot = snapshot_of(event, events_pb2.ApiKeySnapshot, _key_of)
        if snapshot is None or version > snapshot.version:
            return
        try:
            found = _secrets_of(snapshot)
        except (CredentialFault, ValueError, OverflowError) as error:
            # What cannot be understood opens nothing, whatever it was before.
            refuse(event, repr(error))
            found = {}
        self._replace(event.key, snapshot.version, held, tuple(found))
        self._limits.limit_key(event.key, limits_of(snapshot.limits) if found else {})
        for digest, (caller, expire_time) in found.items():
            self._ring.put(digest, caller, expire_time)

    def _replace(self, key: str, version: int, old: Sequence[bytes], new: tuple[bytes, ...]) -> None:
        for digest in old:
            self._ring.remove(digest)
        self._held[key] = (version, new)


def _secrets_of(snapshot: events_pb2.ApiKeySnapshot) -> dict[bytes, tuple[Caller, datetime | None]]:
    """What each good secret of the key stands for."""
    if snapshot.state != key_pb.API_KEY_STATE_ACTIVE:
        return {}
    caller = caller_of(
        snapshot.tenant_id,
        [ROLE.word(role) for role in snapshot.roles],
        f"key:{snapshot.api_key_id}",
        {"merchants": snapshot.merchant_ids, "warehouses": snapshot.warehouse_ids},
    )
    of_key = _moment(snapshot)
    found: dict[bytes, tuple[Caller, datetime | None]] = {}
    for secret in snapshot.secrets:
        if len(secret.sha256) != DIGEST_BYTES:
            raise ValueError(f"a digest of {len(secret.sha256)} bytes")
        ends = [end for end in (of_key, _moment(secret)) if end is not None]
        found[secret.sha256] = (caller, min(ends, default=None))
    return found


def _moment(message: Any) -> datetime | None:
    return times.from_proto(message.expire_time) if message.HasField("expire_time") else None


def _key_of(snapshot: events_pb2.ApiKeySnapshot) -> str:
    return f"{snapshot.tenant_id}/{snapshot.api_key_id}"
