"""Messages signed by the Standard Webhooks specification: HMAC-SHA256 over `id.timestamp.body`, by a shared secret.

Signatures are made by the specification's own package. Verifying is ours: it tells a wrong time from a wrong
signature, and whatever comes from outside ends in one of the two.
"""

import base64
import hmac
from collections.abc import Sequence
from datetime import UTC, datetime

from standardwebhooks import Webhook

from services.chassis.errors import Unauthenticated

ID = "webhook-id"
TIMESTAMP = "webhook-timestamp"
SIGNATURE = "webhook-signature"
TOLERANCE_S = 300
"""How far the time of a message may be off, either way."""
SECRET_MARK = "whsec_"
SECRET_BYTES_MIN = 24
SECRET_BYTES_MAX = 64
_TIMESTAMP_CHARS_MAX = 11


class SignatureInvalid(Unauthenticated):
    """None of the signatures is of this id, this time and this body by a secret that is good."""

    def __init__(self) -> None:
        super().__init__(
            "SIGNATURE_INVALID", "no signature is of this id, time and body by a secret that is known here"
        )


class SignatureTimeWrong(Unauthenticated):
    """The time of the message is none, or too far off: it may be an old one that somebody sends again."""

    def __init__(self) -> None:
        super().__init__(
            "SIGNATURE_TIME_WRONG",
            f"{TIMESTAMP} must be seconds since 1970, at most {TOLERANCE_S} off: sign each attempt anew",
        )


def headers(message_id: str, body: str, secrets: Sequence[str], now: datetime) -> dict[str, str]:
    """The headers of an attempt at a time in UTC: one signature for each secret, so that either verifies it."""
    return {
        ID: message_id,
        TIMESTAMP: str(int(now.timestamp())),
        SIGNATURE: " ".join(Webhook(secret).sign(message_id, now, body) for secret in secrets),
    }


def verify(
    message_id: str, timestamp: str, signature: str, body: bytes, secrets: Sequence[str], now: datetime
) -> None:
    """Refuses a message, as its three headers and its body came, that none of the secrets has signed now.

    Several signatures are separated by spaces; one that is good is enough. Raises `SignatureTimeWrong`,
    `SignatureInvalid`.
    """
    moment = _moment(timestamp)
    if moment is None or abs((now - moment).total_seconds()) > TOLERANCE_S:
        raise SignatureTimeWrong
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise SignatureInvalid from None
    offered = signature.encode().split(b" ")
    right = [Webhook(secret).sign(message_id, moment, text).encode() for secret in secrets]
    # Each pair in constant time: how long it takes tells nothing of a signature that would be good.
    if not any(hmac.compare_digest(one, other) for one in right for other in offered):
        raise SignatureInvalid


def check_secret(text: str) -> None:
    """Raises `ValueError` for what is no secret of the specification."""
    try:
        size = len(base64.b64decode(text.removeprefix(SECRET_MARK), validate=True))
    except ValueError:
        size = 0
    if not text.startswith(SECRET_MARK) or not SECRET_BYTES_MIN <= size <= SECRET_BYTES_MAX:
        raise ValueError(
            f"a secret is {SECRET_MARK} and {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX} random bytes in Base64"
        )


def _moment(timestamp: str) -> datetime | None:
    """The time that a header tells, in its one spelling."""
    if len(timestamp) > _TIMESTAMP_CHARS_MAX or not timestamp.isascii() or not timestamp.isdigit():
        return None
    if str(int(timestamp)) != timestamp:
        return None
    return datetime.fromtimestamp(int(timestamp), UTC)
