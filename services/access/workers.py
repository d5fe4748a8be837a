"""What access does by itself: it forgets what is too old to be asked for."""

import time

from prometheus_client import Counter

from services.access.commands import Access
from services.chassis import request_keys
from services.chassis.pg import Database

SWEEP_PERIOD_S = 600.0
SWEEP_ROWS_MAX = 5_000
USE_SWEEP_PERIOD_S = 60.0
USE_AGE_S = 300
"""Five windows: nobody counts in one that is over, but clocks differ."""

_FORGOTTEN = Counter(
    "sampan_access_request_keys_forgotten_total", "Request ids that were too old to be kept."
)


async def forget_requests(database: Database, *, older_than_s: float) -> int:
    """Forgets request ids older than that; how many."""
    forgotten = await request_keys.forget(database, older_than_s=older_than_s, limit=SWEEP_ROWS_MAX)
    _FORGOTTEN.inc(forgotten)
    return forgotten


async def forget_use(access: Access) -> int:
    """Forgets what gateways have let in in windows that are over; how many counts."""
    return await access.forget_use(before=int(time.time()) - USE_AGE_S, limit=SWEEP_ROWS_MAX)
