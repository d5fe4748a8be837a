"""Notifications in our own words: what they say, and what is none. The secrets that providers sign with."""

from __future__ import annotations

import base64
import json
from typing import Any
from uuid import UUID

import msgspec
import pytest
from pydantic import ValidationError

from services.gateway.routes import examples
from services.gateway.schemas.payments import PaymentNotification
from services.orders.config import OrdersSettings
from services.orders.errors import NotificationMalformed
from services.orders.payments import notifications
from services.orders.payments.port import Answer, Notification, Outcome

PAYMENT = "019ab3c0-5e1f-7c3e-8f65-0d6c2f3f5b11"
SECRET = "whsec_" + base64.b64encode(b"x" * 32).decode()


def body(**fields: Any) -> bytes:
    """A notification's body."""
    return json.dumps({"payment_id": PAYMENT, "outcome": "authorised"} | fields).encode()


@pytest.mark.parametrize(
    ("word", "outcome"),
    [
        ("authorised", Outcome.AUTHORISED),
        ("declined", Outcome.DECLINED),
        ("captured", Outcome.CAPTURED),
        ("capture_declined", Outcome.CAPTURE_DECLINED),
        ("refunded", Outcome.REFUNDED),
    ],
)
def test_every_outcome_that_a_provider_can_tell_has_a_word(word: str, outcome: Outcome) -> None:
    told = notifications.read("n-1", body(outcome=word, decline_code="do_not_honour"))
    assert told == Notification("n-1", UUID(PAYMENT), Answer(outcome, "do_not_honour"))
    assert notifications.read("n-1", body(outcome=word)).answer == Answer(outcome)


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"{}",
        b'{"payment_id": "\xff"}',
        b"[" * 60_000,
        body(outcome="pending"),
        body(outcome="never_seen"),
        body(outcome="AUTHORISED"),
        body(outcome=None),
        body(payment_id="1"),
        body(payment_id=None),
        body(decline_code="\x00"),
        body(decline_code="a b"),
        body(decline_code="x" * 65),
        body(amount="1.00"),
    ],
)
def test_anything_else_is_malformed(wrong: bytes) -> None:
    with pytest.raises(NotificationMalformed) as caught:
        notifications.read("n-1", wrong)
    assert caught.value.message


def test_the_api_documents_what_orders_reads() -> None:
    documented, read = (
        msgspec.json.schema_components([model])[1][model.__name__]
        for model in (PaymentNotification, notifications.Body)
    )
    assert documented["required"] == read["required"]
    assert documented["additionalProperties"] is read["additionalProperties"] is False
    for name, schema in read["properties"].items():
        assert documented["properties"][name].items() >= schema.items()
    assert documented["properties"].keys() == read["properties"].keys()
    notifications.read("n-1", json.dumps(examples.PAYMENT_NOTIFICATION).encode())


def settings(secrets: object) -> OrdersSettings:
    """Settings with these secrets of notifications."""
    return OrdersSettings(dsn="postgresql://x", payment_notification_secrets=json.dumps(secrets))


def test_secrets_are_by_provider_and_up_to_three() -> None:
    assert OrdersSettings(dsn="postgresql://x").payment_notification_secrets == {}
    found = settings({"sandbox": [SECRET, SECRET]})
    assert found.payment_notification_secrets == {"sandbox": (SECRET, SECRET)}
    assert SECRET not in repr(found)


@pytest.mark.parametrize(
    "wrong",
    [
        {"sandbox": []},
        {"sandbox": [SECRET] * 4},
        {"sandbox": SECRET},
        {"sandbox": ["whsec_short"]},
        {"sandbox": [SECRET.removeprefix("whsec_")]},
        {"nobody": [SECRET]},
        [SECRET],
    ],
)
def test_wrong_secrets_end_the_start(wrong: object) -> None:
    with pytest.raises(ValidationError):
        settings(wrong)
