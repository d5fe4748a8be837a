"""Which limits a key and a tenant may have, and what changes with them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from services.access.domain import keys, limits, tenants
from services.access.domain.keys import ApiKey, KeyContent, KeyState, Role
from services.access.domain.limits import NO_LIMITS, REQUESTS_PER_MINUTE_MAX, Limits
from services.access.errors import ApiKeyRevoked
from services.chassis.errors import FieldInvalid

NOW = datetime(2026, 3, 1, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
SOME = Limits(orders=600)


def key(state: KeyState = KeyState.ACTIVE) -> ApiKey:
    """A key without limits."""
    return ApiKey("acme", "id", KeyContent("Checkout", (Role.STOREFRONT,)), state, 1, NOW, NOW, ())


@pytest.mark.parametrize("name", Limits.__struct_fields__)
def test_a_limit_out_of_range_is_refused_with_its_field(name: str) -> None:
    for good in (0, 1, REQUESTS_PER_MINUTE_MAX):
        limits.checked(Limits(**{name: good}))
    for wrong in (-1, REQUESTS_PER_MINUTE_MAX + 1):
        with pytest.raises(FieldInvalid) as caught:
            limits.checked(Limits(**{name: wrong}))
        assert caught.value.field == f"limits.{name}"


def test_other_limits_are_a_new_version_and_the_same_are_none() -> None:
    limited = keys.limited(key(), SOME, LATER)
    assert (limited.limits, limited.version, limited.update_time) == (SOME, 2, LATER)
    assert keys.limited(limited, SOME, LATER) is limited
    assert keys.limited(limited, NO_LIMITS, LATER).version == 3
    tenant = tenants.new_tenant("acme", "Acme", NOW)
    changed = tenants.limited(tenant, SOME, LATER)
    assert (changed.limits, changed.version, changed.update_time) == (SOME, 2, LATER)
    assert tenants.limited(changed, SOME, LATER) is changed
    # What else changes leaves them alone.
    assert tenants.in_state(changed, tenants.TenantState.SUSPENDED, LATER).limits == SOME


def test_a_revoked_key_keeps_its_limits_as_they_are() -> None:
    with pytest.raises(ApiKeyRevoked):
        keys.limited(key(KeyState.REVOKED), SOME, LATER)
