"""What is sent is what the reference implementation of Standard Webhooks verifies."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from services.webhooks.domain import endpoints, messages

EVENT = UUID("019ab3c0-5e1f-7c3e-8f65-0d6c2f3f5b11")
MOMENT = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)


def test_a_body_is_type_timestamp_and_data_and_its_id_is_the_events() -> None:
    made = messages.message("acme", EVENT, "order.placed", MOMENT, {"order_id": "1"})
    assert made.message_id == "msg_019ab3c05e1f7c3e8f650d6c2f3f5b11"
    assert json.loads(made.body) == {
        "type": "order.placed",
        "timestamp": "2026-03-01T09:30:00.000000Z",
        "data": {"order_id": "1"},
    }


def test_a_secret_is_marked_and_has_as_many_bytes_as_the_specification_wants() -> None:
    text = endpoints.new_secret_text()
    assert text.startswith("whsec_")
    assert 24 <= len(base64.b64decode(text.removeprefix("whsec_"), validate=True)) <= 64
    assert text != endpoints.new_secret_text()


@given(body=st.text())
def test_either_secret_of_a_rotation_verifies_and_no_other_does(body: str) -> None:
    old, new, other = (endpoints.new_secret_text() for _ in range(3))
    headers = messages.headers("msg_1", body, [new, old], datetime.now(UTC))
    assert len(headers["webhook-signature"].split(" ")) == 2
    for secret in (old, new):
        Webhook(secret).verify(body, headers, json_parse=False)
    with pytest.raises(WebhookVerificationError):
        Webhook(other).verify(body, headers, json_parse=False)


def test_a_signature_is_of_this_id_this_body_and_this_moment() -> None:
    secret = endpoints.new_secret_text()
    headers = messages.headers("msg_1", "{}", [secret], datetime.now(UTC))
    Webhook(secret).verify("{}", headers)
    later = str(int(headers["webhook-timestamp"]) + 1)
    for body, changed in (
        ("{ }", {}),
        ("{}", {"webhook-id": "msg_2"}),
        ("{}", {"webhook-timestamp": later}),
    ):
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(body, headers | changed)
    old = messages.headers("msg_1", "{}", [secret], datetime.now(UTC) - timedelta(minutes=6))
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify("{}", old)
