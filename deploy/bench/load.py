"""A load generator that costs little: requests are bytes made beforehand, answers are read only as far as needed.

It shares its two cores with what it measures, so every microsecond it spends is taken from the result. One
request at a time on each connection, HTTP/1.1 with Content-Length; of an answer only the status is kept.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import cast
from urllib.parse import urlsplit

from deploy.replay.workers import run_together

RETRIED = frozenset({429, 503})
RETRY_PAUSE_S = 0.05
REPEATS_MAX = 200
HEAD_BYTES_MAX = 64 * 1024


class Broken(Exception):
    """The server closed the connection or answered what is no HTTP/1.1 with a Content-Length."""


class HttpConnection(asyncio.Protocol):
    """One connection; `exchange` sends a request and waits for the end of its answer."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[int] | None = None
        self._head = b""
        self._status = 0
        self._missing = 0
        self.last_piece = b""
        """What was read last: the end of the answer, for most answers all of it."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        # uvloop's transport does not derive from asyncio.Transport, but is one.
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(Broken(f"connection lost: {exc!r}"))

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        self.last_piece = data
        if self._missing:
            self._missing -= len(data)
        else:
            head, end, rest = (self._head + data if self._head else data).partition(b"\r\n\r\n")
            if not end:
                self._head = head
                if len(head) > HEAD_BYTES_MAX:
                    self._fail("its head has no end")
                return
            self._head = b""
            lowered = head.lower()
            at = lowered.find(b"content-length:")
            if at < 0 or not lowered.startswith(b"http/1.1 "):
                self._fail(f"no Content-Length: {head[:80]!r}")
                return
            self._status = int(head[9:12])
            self._missing = int(lowered[at + 15 :].split(b"\r", 1)[0]) - len(rest)
        if self._missing <= 0 and self._answer is not None and not self._answer.done():
            self._answer.set_result(self._status)

    async def exchange(self, request: bytes) -> int:
        """The status of the answer; raises Broken."""
        if self._transport is None or self._transport.is_closing():
            raise Broken("the connection is closed")
        self._answer = asyncio.get_running_loop().create_future()
        self._missing = 0
        self._transport.write(request)
        return await self._answer

    def close(self) -> None:
        """Ends the connection."""
        if self._transport is not None:
            self._transport.close()

    def _fail(self, why: str) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(Broken(why))


@dataclass(slots=True)
class Load:
    """What sending all requests showed."""

    latencies_s: list[float] = field(default_factory=list)
    """Of the accepted ones, in the order of their answers."""
    statuses: Counter[int] = field(default_factory=Counter)
    """Final answers by status."""
    samples: dict[int, bytes] = field(default_factory=dict)
    """The last piece of the first answer of each status: enough to see what it says."""
    reasons: Mapping[int, bytes] = field(default_factory=dict)
    """What each answer of a status has to say."""
    unreasoned: list[bytes] = field(default_factory=list)
    """The last pieces of those that do not."""
    repeated: int = 0
    """Answers 429 and 503, each sent again with its key."""
    started: float = 0.0
    ended: float = 0.0
    """By time.perf_counter()."""

    @property
    def accepted(self) -> int:
        """How many were answered with 2xx."""
        return sum(count for status, count in self.statuses.items() if 200 <= status < 300)


def post_request(base_url: str, path: str, api_key: str, key: str, body: bytes, *, wait_s: int = 0) -> bytes:
    """A POST as it goes over the wire; with `wait_s` it prefers to be answered once the order is decided."""
    prefer = f"Prefer: wait={wait_s}\r\n" if wait_s else ""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {urlsplit(base_url).netloc}\r\nAuthorization: Bearer {api_key}\r\n"
        f"Idempotency-Key: {key}\r\n{prefer}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode("ascii") + body


def get_request(base_url: str, path: str, api_key: str) -> bytes:
    """A GET as it goes over the wire."""
    host = urlsplit(base_url).netloc
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {api_key}\r\n\r\n".encode("ascii")


async def connect(base_url: str) -> HttpConnection:
    """One open connection."""
    address = urlsplit(base_url)
    loop = asyncio.get_running_loop()
    return (
        await loop.create_connection(HttpConnection, address.hostname or "127.0.0.1", address.port or 80)
    )[1]


async def send_all(
    base_url: str | Sequence[str],
    requests: Iterable[bytes],
    concurrency: int,
    *,
    s_max: float | None = None,
    load: Load | None = None,
    reasons: Mapping[int, bytes] | None = None,
) -> Load:
    """Sends every request, `concurrency` at a time, over as many connections. Raises Broken.

    Several addresses share the connections evenly. After `s_max` seconds nothing more is begun. A `load` that
    is given is filled while it runs, so that somebody else may watch it. Answers of the statuses in `reasons` that
    do not say theirs are kept.
    """
    base_urls = [base_url] if isinstance(base_url, str) else list(base_url)
    connections = [await connect(base_urls[n % len(base_urls)]) for n in range(concurrency)]
    load = Load() if load is None else load
    load.reasons = reasons or load.reasons
    load.started = time.perf_counter()
    waiting = iter(requests) if s_max is None else _until(load.started + s_max, requests)
    try:
        await run_together([partial(_work, connection, waiting, load) for connection in connections])
    finally:
        load.ended = time.perf_counter()
        for connection in connections:
            connection.close()
    return load


def _until(deadline: float, requests: Iterable[bytes]) -> Iterator[bytes]:
    for request in requests:
        if time.perf_counter() >= deadline:
            return
        yield request


async def _work(connection: HttpConnection, waiting: Iterator[bytes], load: Load) -> None:
    for request in waiting:
        started = time.perf_counter()
        status = await connection.exchange(request)
        for _ in range(REPEATS_MAX):
            if status not in RETRIED:
                break
            load.repeated += 1
            await asyncio.sleep(RETRY_PAUSE_S)
            status = await connection.exchange(request)
        load.statuses[status] += 1
        if status not in load.samples:
            load.samples[status] = connection.last_piece
        if status in load.reasons and load.reasons[status] not in connection.last_piece:
            load.unreasoned.append(connection.last_piece)
        if 200 <= status < 300:
            load.latencies_s.append(time.perf_counter() - started)
