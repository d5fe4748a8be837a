"""What a service does by itself, over and over: sweeps, timers, measurements."""

import asyncio
from collections.abc import Awaitable, Callable

from services.chassis import log
from services.chassis.errors import DomainError

OUTAGE_PAUSE_S_MIN = 1.0

_log = log.get(__name__)


async def repeat(name: str, work: Callable[[], Awaitable[int]], *, pause_s: float, full: int = 1) -> None:
    """Works for ever: at once again after a full batch, else after a pause; an outage is waited out.

    `work` does a bounded piece and returns how much it was; `full` or more of it means that there may be more to do.
    Raises what is no retryable `DomainError`.
    """
    while True:
        try:
            more = await work() >= full
        except DomainError as error:
            if not error.retryable:
                raise
            _log.warning("worker waits for a dependency", worker=name, reason=error.reason)
            await asyncio.sleep(max(pause_s, OUTAGE_PAUSE_S_MIN))
            continue
        if not more:
            await asyncio.sleep(pause_s)
