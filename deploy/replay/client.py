"""A patient HTTP client: repeats what may be repeated until a bound of time, and counts why it had to.

Every request that it sends is safe to repeat: reads, upserts, and creations under an Idempotency-Key. So a
lost connection, a 429 or a 503 means "ask again with the same key", and only the end of the client's patience
makes an outcome unknown.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp

RETRIED_STATUSES = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
PAUSE_S_MIN = 0.05
PAUSE_S_MAX = 2.0
NO_HEADERS: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Reply:
    """A definite answer."""

    status: int
    body: bytes
    attempts: int
    latency_s: float
    """From the first attempt to the answer."""

    @property
    def ok(self) -> bool:
        """Whether the request was carried out."""
        return 200 <= self.status < 300


class PatienceEnded(Exception):
    """No definite answer within the patience: the outcome is unknown."""


@dataclass(slots=True)
class Api:
    """The public API as one role sees it."""

    base_url: str
    api_key: str
    patience_s: float
    timeout_s: float
    connections_max: int
    retried: Counter[str] = field(default_factory=Counter)
    """Attempts that had to be repeated, by cause."""
    _session: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def opened(self) -> AsyncIterator["Api"]:
        """Holds the connections open for the time of the block."""
        connector = aiohttp.TCPConnector(limit=self.connections_max, keepalive_timeout=60)
        timeout = aiohttp.ClientTimeout(total=self.timeout_s, sock_connect=5)
        headers = {"Authorization": f"Bearer {self.api_key}", "Accept": "application/json"}
        async with aiohttp.ClientSession(connector=connector, timeout=timeout, headers=headers) as session:
            self._session = session
            try:
                yield self
            finally:
                self._session = None

    async def get(self, path: str, query: Mapping[str, str] = NO_HEADERS) -> Reply:
        """Reads; see `send`."""
        return await self.send("GET", path, query=query)

    async def post(
        self,
        path: str,
        body: bytes,
        *,
        key: str = "",
        content_type: str = "application/json",
        timeout_s: float = 0,
    ) -> Reply:
        """Posts a body, with an Idempotency-Key where one is given; see `send`."""
        headers = {"Content-Type": content_type}
        if key:
            headers["Idempotency-Key"] = key
        return await self.send("POST", path, body=body, headers=headers, timeout_s=timeout_s)

    async def send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] = NO_HEADERS,
        body: bytes | None = None,
        headers: Mapping[str, str] = NO_HEADERS,
        timeout_s: float = 0,
    ) -> Reply:
        """Sends until there is a definite answer. Raises PatienceEnded."""
        if self._session is None:
            raise RuntimeError("the client is not open")
        started = time.perf_counter()
        timeout = aiohttp.ClientTimeout(total=timeout_s or self.timeout_s, sock_connect=5)
        attempts = 0
        while True:
            attempts += 1
            asked_pause_s = 0.0
            try:
                async with self._session.request(
                    method,
                    self.base_url + path,
                    params=query or None,
                    data=body,
                    headers=headers,
                    timeout=timeout,
                ) as answer:
                    content = await answer.read()
                    waited_s = time.perf_counter() - started
                    if not _is_retried(answer.status, answer.headers):
                        return Reply(answer.status, content, attempts, waited_s)
                    cause = str(answer.status)
                    asked_pause_s = _seconds(answer.headers.get("Retry-After", ""))
            except TimeoutError:
                cause = "timeout"
            except (aiohttp.ClientError, OSError) as error:
                cause = _cause(error)
            self.retried[cause] += 1
            pause_s = _pause_s(attempts, asked_pause_s)
            if time.perf_counter() - started + pause_s > self.patience_s:
                raise PatienceEnded(
                    f"{method} {path}: {cause} after {attempts} attempts in {self.patience_s:g} s"
                )
            await asyncio.sleep(pause_s)


def _is_retried(status: int, headers: Mapping[str, str]) -> bool:
    """A 409 is repeated only where it says when: "the same request is still running"."""
    return status in RETRIED_STATUSES and (status != 409 or "Retry-After" in headers)


def _cause(error: BaseException) -> str:
    if isinstance(error, aiohttp.ClientConnectorError):
        return "connection refused"
    if isinstance(error, aiohttp.ClientPayloadError | aiohttp.ServerDisconnectedError | ConnectionError):
        return "connection lost"
    return "connection failed"


def _pause_s(attempts: int, asked_s: float) -> float:
    """Doubling with jitter, not shorter than what the server asked for, never longer than the bound."""
    grown_s = PAUSE_S_MIN * (1 << min(attempts - 1, 10))
    return min(max(grown_s, asked_s), PAUSE_S_MAX) * random.uniform(0.75, 1.25)


def _seconds(text: str) -> float:
    return float(text) if text.isdigit() and len(text) < 6 else 0.0
