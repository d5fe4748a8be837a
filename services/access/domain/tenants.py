"""Tenants: the marketplaces, each with keys of its own."""

from datetime import datetime
from enum import IntEnum

import msgspec

from services.access.domain import checks
from services.access.domain.limits import NO_LIMITS, Limits

DISPLAY_NAME_CHARS_MAX = 200
PLATFORM = "platform"
"""The tenant of those who keep the others. It has no goods and no orders, and its keys no other role than theirs."""


class TenantState(IntEnum):
    """Whether a tenant's keys are good; the numbers are those of the contract."""

    ACTIVE = 1
    SUSPENDED = 2


class Tenant(msgspec.Struct, frozen=True, gc=False):
    """A marketplace; `version` counts its changes from 1."""

    tenant_id: str
    display_name: str
    state: TenantState
    version: int
    create_time: datetime
    update_time: datetime
    limits: Limits = NO_LIMITS


def new_tenant(tenant_id: str, display_name: str, now: datetime) -> Tenant:
    """An active tenant; raises the InvalidArgument of the first fault."""
    return Tenant(
        checks.tenant_id(tenant_id),
        checks.line(display_name, "display_name", chars_max=DISPLAY_NAME_CHARS_MAX),
        TenantState.ACTIVE,
        1,
        now,
        now,
    )


def in_state(tenant: Tenant, state: TenantState, now: datetime) -> Tenant:
    """The tenant in a state; the same value where it is in it already."""
    return tenant if tenant.state == state else _changed(tenant, now, state=state)


def limited(tenant: Tenant, limits: Limits, now: datetime) -> Tenant:
    """The tenant with other limits; the same value where it has them."""
    return tenant if tenant.limits == limits else _changed(tenant, now, limits=limits)


def _changed(tenant: Tenant, now: datetime, **changes: object) -> Tenant:
    return msgspec.structs.replace(tenant, version=tenant.version + 1, update_time=now, **changes)
