"""What a key may be, and how its secrets come and go."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.access.domain import keys
from services.access.domain.keys import ApiKey, KeyContent, KeyState, Role, Secret
from services.access.errors import ApiKeyRevoked, SecretNotFound, SecretsAtMax
from services.chassis.errors import InvalidArgument

NOW = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def content(tenant_id: str = "acme", **changes: Any) -> KeyContent:
    stated: dict[str, Any] = {
        "display_name": "Checkout",
        "roles": [Role.STOREFRONT],
        "merchant_ids": [],
        "warehouse_ids": [],
        "expire_time": None,
    }
    return keys.content(tenant_id, **(stated | changes), now=NOW)


def key(*secrets: Secret, state: KeyState = KeyState.ACTIVE) -> ApiKey:
    return ApiKey("acme", "id", content(), state, 1, NOW, NOW, secrets)


def secret(name: str, **changes: Any) -> Secret:
    return Secret(name, b"d" * 32, NOW, **changes)


def test_a_secret_has_256_random_bits_behind_an_id_that_may_be_shown() -> None:
    made = [keys.new_secret_text() for _ in range(200)]
    assert len({text for _, text in made}) == 200
    for secret_id, text in made:
        assert text.startswith(f"sampan_{secret_id}_")
        assert len(text) == 61
        # 43 characters of 6 bits carry the 32 bytes.
        assert len(text.removeprefix(f"sampan_{secret_id}_")) == 43


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"display_name": ""}, "display_name"),
        ({"display_name": "x" * 101}, "display_name"),
        ({"display_name": "a\nb"}, "display_name"),
        ({"roles": []}, "roles"),
        ({"roles": [0]}, "roles[0]"),
        ({"roles": [1, 7]}, "roles[1]"),
        ({"roles": [1, 1]}, "roles"),
        ({"roles": [Role.PLATFORM]}, "roles"),
        ({"tenant_id": "platform"}, "roles"),
        ({"tenant_id": "platform", "roles": [Role.PLATFORM, Role.ADMINISTRATOR]}, "roles"),
        ({"merchant_ids": ["north"]}, "merchant_ids"),
        ({"roles": [Role.MERCHANT, Role.READER], "merchant_ids": ["north"]}, "merchant_ids"),
        ({"roles": [Role.MERCHANT], "merchant_ids": ["North"]}, "merchant_ids[0]"),
        ({"roles": [Role.MERCHANT], "merchant_ids": ["a", "a"]}, "merchant_ids"),
        ({"roles": [Role.MERCHANT], "merchant_ids": [f"m{n}" for n in range(51)]}, "merchant_ids"),
        ({"roles": [Role.MERCHANT], "warehouse_ids": ["madrid"]}, "warehouse_ids"),
        ({"expire_time": NOW}, "expire_time"),
    ],
)
def test_a_wrong_key_is_refused_with_its_field(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        content(**changes)
    assert caught.value.field == field


def test_the_platforms_role_is_for_its_own_tenant() -> None:
    assert content("platform", roles=[Role.PLATFORM]).roles == (Role.PLATFORM,)


def test_a_second_secret_comes_beside_the_first_and_a_third_does_not() -> None:
    both = keys.rotated(key(secret("a")), secret("b"), None, NOW)
    assert [one.secret_id for one in both.secrets if one.is_good(NOW + 365 * 24 * HOUR)] == ["b", "a"]
    assert both.version == 2
    with pytest.raises(SecretsAtMax):
        keys.rotated(both, secret("c"), None, NOW)


def test_a_grace_period_ends_the_secret_before() -> None:
    both = keys.rotated(key(secret("a")), secret("b"), HOUR, NOW)
    assert [one.is_good(NOW + HOUR) for one in both.secrets] == [True, False]
    assert [one.is_good(NOW + HOUR - timedelta(microseconds=1)) for one in both.secrets] == [True, True]
    # Once it is over there is room for another.
    assert len(keys.rotated(both, secret("c"), HOUR, NOW + HOUR).secrets) == 3


def test_a_grace_period_never_makes_a_secret_last_longer() -> None:
    soon = secret("a", expire_time=NOW + HOUR)
    assert keys.rotated(key(soon), secret("b"), 2 * HOUR, NOW).secrets[1] == soon


@pytest.mark.parametrize("period", [-HOUR, keys.GRACE_MAX + timedelta(seconds=1)])
def test_a_grace_period_has_bounds(period: timedelta) -> None:
    with pytest.raises(InvalidArgument):
        keys.grace(period)


def test_a_revoked_secret_or_key_stays_so() -> None:
    both = key(secret("b"), secret("a"))
    one = keys.secret_revoked(both, "a", NOW)
    assert [left.is_good(NOW) for left in one.secrets] == [True, False]
    assert keys.secret_revoked(one, "a", NOW + HOUR) is one
    with pytest.raises(SecretNotFound):
        keys.secret_revoked(one, "c", NOW)
    none = keys.revoked(one, NOW + HOUR)
    assert (none.state, any(left.is_good(NOW) for left in none.secrets)) == (KeyState.REVOKED, False)
    assert none.secrets[1].revoke_time == NOW
    assert keys.revoked(none, NOW + 2 * HOUR) is none
    with pytest.raises(ApiKeyRevoked):
        keys.rotated(none, secret("d"), None, NOW)
