"""Sends what is due, to each endpoint apart from all others.

Every endpoint at work has a lane: a task that takes some of its deliveries, sends them side by side, records what
came of them, and after some rounds lets the endpoint go, so that others have their turn. Endpoints that fail have lanes
of their own number, with one attempt at a time. However many are dead, they hold nothing that a good one needs.
"""

import asyncio
import contextlib
import time
from collections.abc import Sequence

from cryptography.fernet import InvalidToken
from prometheus_client import Counter, Histogram

from services.chassis import log, metrics
from services.chassis.errors import DomainError
from services.webhooks.clients import Receivers
from services.webhooks.commands.sending import Leased, Recorded, Sending
from services.webhooks.domain.deliveries import Delivery, Failure, Outcome

ROUNDS_PER_TURN = 10
RECORD_TRIES_MAX = 5
OUTAGE_PAUSE_S = 1.0

_log = log.get(__name__)
_ATTEMPTS = metrics.Kept(
    Counter("sampan_webhooks_attempts_total", "Attempts by outcome.", ["outcome"]), children_max=16
)
_ATTEMPT_S = Histogram(
    "sampan_webhooks_attempt_seconds",
    "Time that endpoints took to answer, or not to.",
    buckets=metrics.LATENCY_BUCKETS_S,
)
_DELIVERIES = metrics.Kept(
    Counter("sampan_webhooks_deliveries_total", "Deliveries that ended, by outcome.", ["outcome"]),
    children_max=4,
)
_DISABLED = Counter(
    "sampan_webhooks_endpoints_disabled_total", "Endpoints that were disabled for what they answered."
)


class Sender:
    """The lanes of one process. Two endpoints never wait for each other, beyond `endpoints_max` of a kind at once."""

    def __init__(
        self,
        sending: Sending,
        receivers: Receivers,
        *,
        endpoints_max: int,
        in_flight_max: int,
        poll_s: float,
    ) -> None:
        self._sending = sending
        self._receivers = receivers
        self._endpoints_max = endpoints_max
        self._in_flight_max = in_flight_max
        self._poll_s = poll_s
        self._lanes: dict[bool, set[asyncio.Task[None]]] = {False: set(), True: set()}
        self._woken = asyncio.Event()
        self._stopping = False
        self._fault: BaseException | None = None

    def wake(self) -> None:
        """Something may have become due."""
        self._woken.set()

    def stop(self) -> None:
        """Lets every lane record what it has sent, and ends `run`."""
        self._stopping = True
        self._woken.set()

    async def run(self) -> None:
        """Sends until `stop`; an outage of the database is waited out. Raises faults of ours."""
        try:
            while not self._stopping and self._fault is None:
                self._woken.clear()
                try:
                    await self._open_lanes()
                except DomainError as error:
                    if not error.retryable:
                        raise
                    _log.warning("deliveries wait for the database", error=repr(error))
                    await asyncio.sleep(OUTAGE_PAUSE_S)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._woken.wait(), self._poll_s)
            await asyncio.gather(*self._lanes[False], *self._lanes[True], return_exceptions=True)
        finally:
            for lane in (*self._lanes[False], *self._lanes[True]):
                lane.cancel()
        if self._fault is not None:
            raise self._fault

    async def _open_lanes(self) -> None:
        for failing, lanes in self._lanes.items():
            free = self._endpoints_max - len(lanes)
            if free <= 0:
                continue
            for leased in await self._sending.claim(failing=failing, limit=free):
                lane = asyncio.create_task(self._serve(leased), name="webhook lane")
                lanes.add(lane)
                lane.add_done_callback(self._lane_ended)

    def _lane_ended(self, lane: asyncio.Task[None]) -> None:
        for lanes in self._lanes.values():
            lanes.discard(lane)
        if not lane.cancelled() and lane.exception() is not None:
            self._fault = lane.exception()
        # Its place is free, and the endpoint may have more.
        self._woken.set()

    async def _serve(self, leased: Leased) -> None:
        try:
            await self._send_rounds(leased)
            await self._sending.release(leased)
        except DomainError as error:
            if not error.retryable:
                raise
            # The lease runs out, and what was not recorded is sent again.
            _log.warning("lane given up", endpoint_id=leased.endpoint.endpoint_id, error=repr(error))

    async def _send_rounds(self, leased: Leased) -> None:
        for _ in range(ROUNDS_PER_TURN):
            failing = leased.endpoint.failing_since is not None
            due = await self._sending.take(leased, 1 if failing else self._in_flight_max)
            if not due:
                return
            outcomes = await asyncio.gather(*(self._attempt(leased, delivery) for delivery in due))
            recorded = await self._record(leased, list(zip(due, outcomes, strict=True)))
            for state in recorded.settled:
                _DELIVERIES[state.name.lower()].inc()
            if recorded.disabled:
                _DISABLED.inc()
            if recorded.leased is None or self._stopping:
                return
            leased = recorded.leased
            if leased.endpoint.failing_since is not None or leased.endpoint.paused_until is not None:
                return

    async def _record(self, leased: Leased, attempts: Sequence[tuple[Delivery, Outcome]]) -> Recorded:
        """Stores what came of attempts; not at the first trouble are they given up, and so made again."""
        tries = 1
        while True:
            try:
                return await self._sending.record(leased, attempts)
            except DomainError as error:
                if not error.retryable or tries >= RECORD_TRIES_MAX:
                    raise
            tries += 1
            await asyncio.sleep(OUTAGE_PAUSE_S)

    async def _attempt(self, leased: Leased, delivery: Delivery) -> Outcome:
        began_s = time.monotonic()
        try:
            headers = self._sending.headers(leased, delivery)
        except InvalidToken:
            _log.error("no key opens the secret", endpoint_id=leased.endpoint.endpoint_id)
            outcome = Outcome(0, Failure.SECRET)
        else:
            outcome = await self._receivers.post(leased.endpoint.content.url, headers, delivery.body)
            _ATTEMPT_S.observe(time.monotonic() - began_s)
        _ATTEMPTS[outcome.failure.lower() if outcome.failure is not None else "delivered"].inc()
        return outcome
