"""What was asked, what was told, and what was done to the system meanwhile: the evidence of a run.

Two files: `placements.jsonl` in the format of deploy/replay/history.py, which the audit compares with, and
`history.jsonl` with one JSON object per line of one of these types:

    {"type": "operation", "op": "pay", "key": "…", "outcome": "ok" | "refused" | "unknown", "status": 200, …}
    {"type": "fault", "fault": "process.kill", "target": "orders-1", "start_s": 12.3, "end_s": 12.3}
    {"type": "poison", "topic": "…", "partition": 0, "offset": 7, "aggregate_id": "…", "groups": ["orders.…"]}
    {"type": "note", …}
"""

import hashlib
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Literal

import msgspec

from deploy.replay import history as replay_history

Outcome = Literal["ok", "refused", "unknown"]
"""Carried out with 2xx; definitely not carried out; not known (asked again at the end with the same key)."""


@dataclass(frozen=True, slots=True)
class Poisoned:
    """An event that a fault has put into a topic and that nobody can or should apply."""

    topic: str
    partition: int
    offset: int
    aggregate_id: str
    groups: tuple[str, ...]
    """The consumer groups that have to park it; empty where all have to pass over it without a trace."""


class History:
    """Appends to both files, each entry at once; use as a context manager. All is also counted for the report."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "history.jsonl"
        self.operations: Counter[tuple[str, Outcome]] = Counter()
        self.refusals: Counter[tuple[str, str]] = Counter()
        """By kind of operation and reason."""
        self.settled: Counter[str] = Counter()
        """By kind: outcomes that were unknown and became known by asking again; counted once more as what they are."""
        self.poison: list[Poisoned] = []
        self.placements = replay_history.History(folder / "placements.jsonl")
        self.placements_path = folder / "placements.jsonl"
        self._file: IO[bytes] | None = None
        self._encoder = msgspec.json.Encoder()
        self._started = time.monotonic()

    def __enter__(self) -> "History":
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self.path.open("ab", buffering=0)
        self.placements.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.placements.__exit__(kind, error, trace)
        if self._file is not None:
            self._file.close()
            self._file = None

    @property
    def now_s(self) -> float:
        """Seconds since the history began."""
        return round(time.monotonic() - self._started, 3)

    def operation(
        self,
        op: str,
        outcome: Outcome,
        *,
        key: str = "",
        status: int = 0,
        reason: str = "",
        order_id: str = "",
        request: bytes = b"",
        reply: bytes = b"",
        latency_s: float = 0.0,
    ) -> None:
        """Records what became of one operation of a client; a placement goes into both files."""
        self.operations[op, outcome] += 1
        if reason:
            self.refusals[op, reason] += 1
        if op == "place":
            self.placements.placed(
                key, outcome, request, status=status, order_id=order_id, reply=reply, reason=reason
            )
        self._write(
            {
                "type": "operation",
                "op": op,
                "key": key,
                "outcome": outcome,
                "status": status,
                "reason": reason,
                "order_id": order_id,
                "request": request.decode(errors="replace"),
                "reply_sha256": hashlib.sha256(reply).hexdigest() if reply else "",
                "latency_s": round(latency_s, 4),
                "at_s": self.now_s,
            }
        )

    def fault(self, fault: str, target: str, *, start_s: float, end_s: float) -> None:
        """Records an injection from its beginning to its end."""
        self._write({"type": "fault", "fault": fault, "target": target, "start_s": start_s, "end_s": end_s})

    def poisoned(
        self, topic: str, partition: int, offset: int, aggregate_id: str, *, groups: Sequence[str]
    ) -> None:
        """Records an event that a fault has put into a topic, and which groups have to park it."""
        poison = Poisoned(topic, partition, offset, aggregate_id, tuple(groups))
        self.poison.append(poison)
        self._write({"type": "poison", **msgspec.to_builtins(poison)})

    def note(self, what: str, **values: Any) -> None:
        """Records anything else that explains the run."""
        self._write({"type": "note", "what": what, "at_s": self.now_s, **values})

    def _write(self, entry: Mapping[str, Any]) -> None:
        if self._file is None:
            raise RuntimeError("the history is not open")
        self._file.write(self._encoder.encode(entry) + b"\n")
