"""The client's own record of what it asked and what it was told: the evidence that the audit compares with.

A JSON object per line, written when the outcome is known:

    {"op": "place", "key": "<Idempotency-Key>", "outcome": "ok" | "refused" | "unknown", "status": 201,
     "order_id": "…", "request": {…the body as sent…}, "reply_sha256": "…", "time": 1767225600.123}

"ok" was acknowledged with 2xx and must exist; "refused" is definite and must not; "unknown" may be either.
"""

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Literal

import msgspec

Outcome = Literal["ok", "refused", "unknown"]


class Entry(msgspec.Struct, omit_defaults=True):
    """One operation of a client."""

    op: Literal["place"]
    key: str
    outcome: Outcome
    time: float
    request: msgspec.Raw
    status: int = 0
    order_id: str = ""
    reply_sha256: str = ""
    reason: str = ""


class History:
    """Appends entries to a file, each at once: whoever reads it meanwhile sees all that was written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] | None = None
        self._encoder = msgspec.json.Encoder()

    def __enter__(self) -> "History":
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._path.open("ab", buffering=0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def placed(
        self,
        key: str,
        outcome: Outcome,
        request: bytes,
        *,
        status: int = 0,
        order_id: str = "",
        reply: bytes = b"",
        reason: str = "",
    ) -> None:
        """Records a placement."""
        if self._file is None:
            raise RuntimeError("the history is not open")
        entry = Entry(
            op="place",
            key=key,
            outcome=outcome,
            time=round(time.time(), 3),
            request=msgspec.Raw(request),
            status=status,
            order_id=order_id,
            reply_sha256=hashlib.sha256(reply).hexdigest() if reply else "",
            reason=reason,
        )
        self._file.write(self._encoder.encode(entry) + b"\n")


def read_history(path: Path) -> Iterator[Entry]:
    """The entries of a file, oldest first; a last line cut off by a crash is left out."""
    decoder = msgspec.json.Decoder(Entry)
    with path.open("rb") as lines:
        for line in lines:
            if line.endswith(b"\n"):
                yield decoder.decode(line)
