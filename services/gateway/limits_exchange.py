"""Tells access every second what this replica has let in of each limit, and hears what the others have."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from uuid import uuid4

from prometheus_client import Gauge
from sampan.access.v1 import rate_limit_service_pb2 as pb

from services.chassis import log
from services.chassis.errors import DomainError
from services.gateway.limits import WINDOW_S, Meter, RateLimits

USES_MAX = 2_000
"""What one call carries; access takes no more."""

Exchange = Callable[[pb.ExchangeUseRequest], Awaitable[pb.ExchangeUseResponse]]

_logger = log.get(__name__)
_ALONE = Gauge(
    "sampan_gateway_rate_limit_alone_seconds",
    "For how long this replica has counted by itself, without hearing of the others; 0 while it hears of them.",
)


class LimitsExchange:
    """Runs until told to stop, and tells what it has let in a last time then: its successor begins at nothing."""

    def __init__(self, limits: RateLimits, exchange: Exchange, *, period_s: float) -> None:
        self._limits = limits
        self._exchange = exchange
        self._period_s = period_s
        self._replica_id = str(uuid4())
        self._stopping = asyncio.Event()
        self._alone_since_s: float | None = None
        _ALONE.set_function(self._alone_s)

    async def run(self) -> None:
        """Exchanges every period. While access is away every replica goes on by what it knows."""
        is_last = False
        while not is_last:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._period_s):
                    is_last = await self._stopping.wait()
            await self.exchange()

    def stop(self) -> None:
        """Ends `run`."""
        self._stopping.set()

    async def exchange(self) -> None:
        """Tells and hears once."""
        meters = self._limits.open_meters()
        try:
            for start in range(0, len(meters), USES_MAX):
                await self._exchange_some(meters[start : start + USES_MAX])
        except DomainError as error:
            if self._alone_since_s is None:
                self._alone_since_s = time.monotonic()
                _logger.warning("rate limits are not shared", error=repr(error))
            return
        if self._alone_since_s is not None:
            self._alone_since_s = None
            _logger.info("rate limits are shared again")

    async def _exchange_some(self, meters: Sequence[Meter]) -> None:
        # A window may end while the call is under way: what is heard is of the one that was told.
        ends = [meter.ends_s for meter in meters]
        uses = [
            pb.Use(limit=meter.name, window_start=end_s - WINDOW_S, requests=meter.own)
            for meter, end_s in zip(meters, ends, strict=True)
        ]
        heard = await self._exchange(pb.ExchangeUseRequest(replica_id=self._replica_id, uses=uses))
        for meter, end_s, others in zip(meters, ends, heard.others, strict=True):
            meter.heard(end_s, others)

    def _alone_s(self) -> float:
        since_s = self._alone_since_s
        return 0.0 if since_s is None else time.monotonic() - since_s
