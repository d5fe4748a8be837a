"""What access does by itself: it forgets request ids that are too old to be repeated."""

import asyncio

from prometheus_client import Counter

from services.access.commands import Access
from services.chassis import log
from services.chassis.errors import DomainError

SWEEP_PERIOD_S = 600.0
SWEEP_ROWS_MAX = 5_000

_log = log.get(__name__)
_FORGOTTEN = Counter(
    "sampan_access_request_keys_forgotten_total", "Request ids that were too old to be kept."
)


async def forget_old_requests(access: Access, *, older_than_s: float) -> None:
    """Sweeps for ever, in small transactions; an outage of the database is waited out."""
    while True:
        await asyncio.sleep(SWEEP_PERIOD_S)
        try:
            while forgotten := await access.forget_requests(older_than_s=older_than_s, limit=SWEEP_ROWS_MAX):
                _FORGOTTEN.inc(forgotten)
                if forgotten < SWEEP_ROWS_MAX:
                    break
        except DomainError as error:
            if not error.retryable:
                raise
            _log.warning("request ids not swept", error=repr(error))
