"""What is sent: its form, its id, and what it is signed with."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from uuid import UUID

from services.chassis import signatures
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


def test_a_secret_is_one_of_the_specification_and_never_the_same() -> None:
    text = endpoints.new_secret_text()
    signatures.check_secret(text)
    assert text != endpoints.new_secret_text()
