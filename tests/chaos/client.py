"""Speaks to the gateways as the documentation tells clients to, and records what became of every operation.

An operation is repeated with the same key, at any gateway, after a lost connection, 408, 429, 503, or a 409 that
says when; until it has a definite answer or the patience ends. Then its outcome is unknown, and stays so until
`settle` asks again at the end with the same key.
"""

import asyncio
import json
import random
import time
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, Self

import aiohttp

from tests.chaos.history import History, Outcome

PATIENCE_S = 12.0
ATTEMPT_S_MAX = 6.0
SETTLE_S_MAX = 60.0
PAUSE_S = (0.1, 1.0)
REPEATED = frozenset({408, 425, 429, 502, 503, 504})
CONNECTIONS_MAX = 800

REFUSALS: Mapping[str, frozenset[str]] = {
    "place": frozenset({"SOLD_OUT"}),
    "pay": frozenset({"ORDER_STATE_WRONG", "PAYMENT_DECLINED", "PAYMENT_IN_PROGRESS"}),
    "cancel": frozenset({"ORDER_STATE_WRONG"}),
    "receive": frozenset(),
    "adjust": frozenset({"STOCK_INSUFFICIENT"}),
    **dict.fromkeys(("pack", "ship", "deliver"), frozenset({"PARCEL_STATE_WRONG"})),
}
"""Why a sound request of each kind may be refused; anything else the load has not asked for."""

Role = Literal["storefront", "operator"]
BROKEN = (aiohttp.ClientError, OSError, TimeoutError, asyncio.IncompleteReadError)


@dataclass(frozen=True, slots=True)
class Request:
    """One operation, so that it can be asked again exactly as it was."""

    op: str
    role: Role
    method: str
    path: str
    body: bytes = b""
    key: str = ""
    wait_s: int = 0
    query: Mapping[str, str] = field(default_factory=dict)

    @property
    def order_id(self) -> str:
        """Of an order's own method, as /v1/orders/<order_id>:pay; else empty."""
        _, found, rest = self.path.partition("/v1/orders/")
        return rest.partition(":")[0].partition("/")[0] if found else ""

    @property
    def headers(self) -> dict[str, str]:
        """Content type, key and preference."""
        headers = {"Content-Type": "application/json"} if self.body else {}
        if self.key:
            headers["Idempotency-Key"] = self.key
        if self.wait_s:
            headers["Prefer"] = f"wait={self.wait_s}"
        return headers


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of it."""

    outcome: Outcome
    status: int = 0
    body: bytes = b""
    reason: str = ""

    @property
    def ok(self) -> bool:
        """Carried out."""
        return self.outcome == "ok"

    @property
    def document(self) -> dict[str, Any]:
        """The body as JSON."""
        found: dict[str, Any] = json.loads(self.body)
        return found


def new_key() -> str:
    """A fresh Idempotency-Key."""
    return str(uuid.uuid4())


class Client:
    """One for a whole run; use as an asynchronous context manager."""

    def __init__(
        self, gateway_urls: Sequence[str], api_keys: Mapping[str, str], history: History, *, seed: int = 0
    ) -> None:
        self.history = history
        self.unsettled: list[Request] = []
        """Operations of unknown outcome that may have changed something."""
        self.violations: list[str] = []
        """What no client should ever see, in words."""
        self.attempts: Counter[str] = Counter()
        """Attempts that had to be repeated, by cause."""
        self._urls = list(gateway_urls)
        self._keys = api_keys
        self._rng = random.Random(seed)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=CONNECTIONS_MAX, keepalive_timeout=15),
            timeout=aiohttp.ClientTimeout(total=ATTEMPT_S_MAX, sock_connect=2),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def send(
        self, request: Request, *, patience_s: float = PATIENCE_S, gateway: int | None = None
    ) -> Answer:
        """Carries an operation out and records it; never raises for what the system does."""
        started = time.monotonic()
        answer = await self._until_definite(request, started + patience_s, gateway)
        self._record(request, answer, time.monotonic() - started)
        if answer.outcome == "unknown" and request.method != "GET":
            self.unsettled.append(request)
        return answer

    async def settle(self) -> int:
        """Asks again for every unknown outcome, now that all is well; returns how many stay unknown."""
        asked, self.unsettled = self.unsettled, []
        room = asyncio.Semaphore(32)

        async def ask(request: Request) -> None:
            async with room:
                answer = await self.send(request, patience_s=SETTLE_S_MAX)
                self.history.settled[request.op] += answer.outcome != "unknown"

        await asyncio.gather(*map(ask, asked))
        self.history.note("settled", asked=len(asked), unknown=len(self.unsettled))
        return len(self.unsettled)

    async def follow(self, order_id: str, *, s_max: float) -> None:
        """Follows an order's stream for a while; versions may only grow."""
        url = f"{self._rng.choice(self._urls)}/v1/orders/{order_id}/events"
        seen = 0
        outcome: Outcome = "unknown"
        with suppress(*BROKEN):
            async with (
                self._open.get(
                    url,
                    headers=self._credential("storefront"),
                    timeout=aiohttp.ClientTimeout(total=s_max, sock_connect=2),
                ) as answer,
            ):
                outcome = "ok" if answer.status == 200 else "refused"
                if answer.status >= 500 and answer.status != 503:
                    self.violations.append(f"follow {order_id}: {answer.status}")
                async for line in answer.content:
                    if line.startswith(b"id: "):
                        version = int(line[4:])
                        if version <= seen:
                            self.violations.append(f"stream of {order_id}: version {version} after {seen}")
                        seen = version
        self.history.operation("follow", outcome, order_id=order_id)

    @property
    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("the client is not open")
        return self._session

    def _credential(self, role: Role) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._keys[role]}"}

    async def _until_definite(self, request: Request, until: float, gateway: int | None) -> Answer:
        attempts = 0
        while True:
            attempts += 1
            url = self._urls[gateway] if gateway is not None else self._rng.choice(self._urls)
            left_s = until - time.monotonic()
            asked_pause_s = 0.0
            under_way: Answer | None = None
            try:
                async with self._open.request(
                    request.method,
                    url + request.path,
                    params=request.query or None,
                    data=request.body or None,
                    headers=request.headers | self._credential(request.role),
                    timeout=aiohttp.ClientTimeout(
                        total=max(0.2, min(left_s, ATTEMPT_S_MAX + request.wait_s)), sock_connect=2
                    ),
                ) as answer:
                    body = await answer.read()
                    again = answer.headers.get("Retry-After", "")
                    status = answer.status
                if status not in REPEATED and not (status == 409 and again):
                    return self._definite(request, status, body)
                cause = f"{status} {_reason(body)}"
                if _reason(body) == "PAYMENT_IN_PROGRESS":
                    # Another payment is under way, perhaps until the order expires: this one was not made.
                    under_way = Answer("refused", status, body, _reason(body))
                asked_pause_s = float(again) if again.isdigit() else 0.0
            except TimeoutError:
                cause = "timeout"
            except BROKEN as error:
                cause = type(error).__name__
            self.attempts[cause] += 1
            pause_s = min(max(PAUSE_S[0] * 1.6**attempts, asked_pause_s), max(PAUSE_S[1], asked_pause_s))
            pause_s *= self._rng.uniform(0.75, 1.25)
            if time.monotonic() + pause_s >= until:
                return under_way or Answer("unknown", reason=cause)
            await asyncio.sleep(pause_s)

    def _definite(self, request: Request, status: int, body: bytes) -> Answer:
        if 200 <= status < 300:
            return Answer("ok", status, body)
        reason = _reason(body)
        if status >= 500:
            self.violations.append(f"{request.op} {request.key}: {status} {reason} {body[:200]!r}")
            return Answer("unknown", status, body, reason)
        if is_unexpected(request.op, reason):
            self.violations.append(f"{request.op} {request.key}: refused, {status} {reason} {body[:200]!r}")
        return Answer("refused", status, body, reason)

    def _record(self, request: Request, answer: Answer, latency_s: float) -> None:
        order_id = request.order_id
        if request.op == "place" and answer.ok:
            order_id = str(answer.document["order_id"])
        self.history.operation(
            request.op,
            answer.outcome,
            key=request.key,
            status=answer.status,
            reason=answer.reason,
            order_id=order_id,
            request=request.body,
            # A waited-for answer shows a later state: only the others must be the same bytes again.
            reply=b"" if request.wait_s else answer.body,
            latency_s=latency_s,
        )


def is_unexpected(op: str, reason: str) -> bool:
    """Whether a refusal has a reason that a sound request of this kind does not give."""
    return op in REFUSALS and reason not in REFUSALS[op]


def _reason(body: bytes) -> str:
    with suppress(ValueError, AttributeError):
        return str(json.loads(body).get("reason", ""))
    return ""
