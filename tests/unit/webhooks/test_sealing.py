"""Secrets at rest: opened by any key that is held, sealed by the first."""

from __future__ import annotations

import pytest
from cryptography.fernet import Fernet, InvalidToken
from pydantic import ValidationError

from services.webhooks.config import WebhooksSettings
from services.webhooks.sealing import Vault

OLD, NEW = (Fernet.generate_key().decode() for _ in range(2))


def test_what_is_sealed_tells_nothing_and_is_opened_by_its_key() -> None:
    vault = Vault([OLD])
    sealed = vault.seal("whsec_secret")
    assert b"secret" not in sealed
    assert sealed != vault.seal("whsec_secret")
    assert vault.open(sealed) == "whsec_secret"


def test_a_key_is_replaced_by_putting_another_before_it() -> None:
    sealed = Vault([OLD]).seal("whsec_secret")
    both = Vault([NEW, OLD])
    assert both.open(sealed) == "whsec_secret"
    assert both.sealed_by == Vault([NEW]).sealed_by != Vault([OLD]).sealed_by
    anew = both.seal_anew(sealed)
    assert Vault([NEW]).open(anew) == "whsec_secret"
    with pytest.raises(InvalidToken):
        Vault([NEW]).open(sealed)


def test_the_keys_are_checked_at_the_start_and_never_shown() -> None:
    settings = WebhooksSettings(dsn="postgresql://x", secret_keys=f"{NEW}, {OLD}")
    assert settings.secret_keys == (NEW, OLD)
    assert NEW not in repr(settings)
    for wrong in ("", "short", f"{NEW},short"):
        with pytest.raises(ValidationError):
            WebhooksSettings(dsn="postgresql://x", secret_keys=wrong)
