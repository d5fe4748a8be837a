"""What access does by itself: it forgets what is too old to be asked for."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from prometheus_client import Counter

from services.access.commands import Access
from services.chassis import log
from services.chassis.errors import DomainError

SWEEP_PERIOD_S = 600.0
SWEEP_ROWS_MAX = 5_000
USE_SWEEP_PERIOD_S = 60.0
USE_AGE_S = 300
"""Five windows: nobody counts in one that is over, but clocks differ."""

_log = log.get(__name__)
_FORGOTTEN = Counter(
    "sampan_access_request_keys_forgotten_total", "Request ids that were too old to be kept."
)


async def forget_old_requests(access: Access, *, older_than_s: float) -> None:
    """Forgets request ids, for ever."""

    async def forget() -> int:
        forgotten = await access.forget_requests(older_than_s=older_than_s, limit=SWEEP_ROWS_MAX)
        _FORGOTTEN.inc(forgotten)
        return forgotten

    await _sweep(forget, "request ids", SWEEP_PERIOD_S)


async def forget_use(access: Access) -> None:
    """Forgets what gateways have let in in windows that are over, for ever."""

    async def forget() -> int:
        return await access.forget_use(before=int(time.time()) - USE_AGE_S, limit=SWEEP_ROWS_MAX)

    await _sweep(forget, "counts of rate limits", USE_SWEEP_PERIOD_S)


async def _sweep(forget: Callable[[], Awaitable[int]], what: str, period_s: float) -> None:
    """Sweeps for ever, in small transactions; an outage of the database is waited out."""
    while True:
        await asyncio.sleep(period_s)
        try:
            while await forget() == SWEEP_ROWS_MAX:
                continue
        except DomainError as error:
            if not error.retryable:
                raise
            _log.warning("old rows not swept", what=what, error=repr(error))
