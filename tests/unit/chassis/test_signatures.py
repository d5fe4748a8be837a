"""What we sign the specification's reference implementation verifies, and what it signs we do; nothing else."""

from __future__ import annotations

import base64
import json
import string
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from services.chassis import signatures
from services.chassis.signatures import SignatureInvalid, SignatureTimeWrong

NOW = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)

ids = st.text(string.ascii_letters + string.digits + "_-.", min_size=1, max_size=40)
keys = st.binary(min_size=24, max_size=64)


def secret(key: bytes) -> str:
    """The text of a secret."""
    return signatures.SECRET_MARK + base64.b64encode(key).decode()


MINE, OTHER, THIRD = (secret(bytes([number] * 32)) for number in (1, 2, 3))


class Message(NamedTuple):
    """A message as it comes."""

    message_id: str
    timestamp: str
    signature: str
    body: bytes


def signed(body: str = "{}", *secrets: str, message_id: str = "msg_1", at: datetime = NOW) -> Message:
    """A message that we have signed."""
    return message_of(signatures.headers(message_id, body, secrets or [MINE], at), body)


def message_of(headers: dict[str, str], body: str) -> Message:
    """A message with these headers."""
    names = (signatures.ID, signatures.TIMESTAMP, signatures.SIGNATURE)
    message_id, timestamp, signature = (headers[name] for name in names)
    return Message(message_id, timestamp, signature, body.encode())


def verify(message: Message, *secrets: str, at: datetime = NOW) -> None:
    """Verifies it."""
    signatures.verify(*message, secrets or [MINE], at)


@given(message_id=ids, body=st.text(), key=keys)
def test_what_we_sign_the_reference_verifies_and_so_do_we(message_id: str, body: str, key: bytes) -> None:
    now = datetime.now(UTC)
    headers = signatures.headers(message_id, body, [secret(key)], now)
    Webhook(secret(key)).verify(body.encode(), headers, json_parse=False)
    verify(message_of(headers, body), secret(key), at=now)


@given(message_id=ids, body=st.text(), key=keys)
def test_what_the_reference_signs_we_verify(message_id: str, body: str, key: bytes) -> None:
    signature = Webhook(secret(key)).sign(message_id, NOW, body)
    verify(Message(message_id, str(int(NOW.timestamp())), signature, body.encode()), secret(key))


@given(message_id=ids, body=st.binary(min_size=1), key=keys, data=st.data())
def test_no_byte_of_id_time_or_body_can_be_changed(
    message_id: str, body: bytes, key: bytes, data: st.DataObject
) -> None:
    text = body.decode("latin-1")
    good = signed(text, secret(key), message_id=message_id)
    verify(good, secret(key))
    name = data.draw(st.sampled_from(("message_id", "timestamp", "body")))
    value = getattr(good, name)
    raw = bytearray(value if isinstance(value, bytes) else value.encode())
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    changed: Any = bytes(raw) if name == "body" else raw.decode("latin-1")
    with pytest.raises((SignatureInvalid, SignatureTimeWrong)):
        verify(good._replace(**{name: changed}), secret(key))


@given(data=st.data())
def test_no_character_of_a_signature_can_be_changed(data: st.DataObject) -> None:
    good = signed()
    raw = bytearray(good.signature.encode())
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 127))
    with pytest.raises(SignatureInvalid):
        verify(good._replace(signature=raw.decode()))


@given(signature=st.text(max_size=200), timestamp=st.text(max_size=200), body=st.binary(max_size=50))
def test_whatever_comes_ends_in_a_refusal(signature: str, timestamp: str, body: bytes) -> None:
    for message in (
        Message("msg_1", timestamp, signature, body),
        Message("msg_1", str(int(NOW.timestamp())), signature, body),
    ):
        with pytest.raises((SignatureInvalid, SignatureTimeWrong)):
            verify(message)


def test_one_good_signature_of_several_and_one_good_secret_of_several_are_enough() -> None:
    both = signed("{}", OTHER, MINE)
    assert len(both.signature.split(" ")) == 2
    verify(both)
    verify(signed(), OTHER, MINE)
    verify(signed(), MINE, OTHER)
    with pytest.raises(SignatureInvalid):
        verify(both, THIRD)
    with pytest.raises(SignatureInvalid):
        verify(signed("{}", THIRD), MINE, OTHER)


@pytest.mark.parametrize("off_s", [-300, -299, 0, 299, 300])
def test_a_message_of_within_five_minutes_is_taken(off_s: int) -> None:
    verify(signed(at=NOW + timedelta(seconds=off_s)))


@pytest.mark.parametrize("off_s", [-86_400, -301, 301, 86_400])
def test_a_message_of_another_time_is_refused_for_that(off_s: int) -> None:
    with pytest.raises(SignatureTimeWrong):
        verify(signed(at=NOW + timedelta(seconds=off_s)))


@pytest.mark.parametrize(
    "spelling", ["0{}", "+{}", " {}", "{} ", "{}.0", "{}.5", "1_{}", "", "-1", "nan", "9" * 400, "²", "٣"]
)
def test_a_time_has_one_spelling(spelling: str) -> None:
    good = signed()
    with pytest.raises(SignatureTimeWrong):
        verify(good._replace(timestamp=spelling.format(good.timestamp)))


def test_a_signature_of_another_version_is_passed_over() -> None:
    good = signed()
    verify(good._replace(signature=f"v1a,AAAA {good.signature} v2,x"))
    with pytest.raises(SignatureInvalid):
        verify(good._replace(signature=good.signature.replace("v1,", "v2,")))


def test_the_reference_refuses_what_we_signed_once_it_is_changed() -> None:
    headers = signatures.headers("msg_1", "{}", [MINE], datetime.now(UTC))
    assert Webhook(MINE).verify("{}", headers) == json.loads("{}")
    for body, changed in (("{ }", {}), ("{}", {"webhook-id": "msg_2"})):
        with pytest.raises(WebhookVerificationError):
            Webhook(MINE).verify(body, headers | changed)


def test_a_secret_is_marked_and_of_24_to_64_bytes() -> None:
    for size in (24, 64):
        signatures.check_secret(secret(b"x" * size))
    for wrong in (
        secret(b"x" * 23),
        secret(b"x" * 65),
        base64.b64encode(b"x" * 32).decode(),
        "whsec_",
        "whsec_%%%",
        "whsec_" + "Ä" * 32,
    ):
        with pytest.raises(ValueError, match="Base64"):
            signatures.check_secret(wrong)
