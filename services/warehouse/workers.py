"""What the warehouse does by itself: expires holds and forgets old request ids.

Expiry is decided whenever an overdue hold is used; this sweep only tidies up those that nobody uses, and
tells their orders. Sweeps of several replicas share the work: each skips what another has locked.
"""

from prometheus_client import Counter, Gauge

from services.chassis import request_keys
from services.chassis.pg import Database
from services.warehouse.commands.holds import Holds

FORGET_PERIOD_S = 600.0
FORGET_ROWS_MAX = 1_000
ROUNDS_PER_SWEEP_MAX = 1_000
OVERDUE_COUNTED_MAX = 100_000

_OVERDUE = Gauge(
    "sampan_warehouse_holds_pending_past_deadline",
    f"Pending holds whose deadline has passed, after a sweep, counted up to {OVERDUE_COUNTED_MAX}.",
)
_OVERDUE_S = Gauge(
    "sampan_warehouse_oldest_overdue_hold_seconds", "How long ago the oldest of their deadlines was."
)
_FORGOTTEN = Counter(
    "sampan_warehouse_request_keys_forgotten_total", "Request ids that were too old to be kept."
)


async def expire_holds(holds: Holds, *, holds_max: int) -> int:
    """Sweeps once, in transactions of at most so many holds, and measures what is left; 0, as that was all."""
    for _ in range(ROUNDS_PER_SWEEP_MAX):
        if await holds.expire_overdue(holds_max) < holds_max:
            break
    overdue, oldest_s = await holds.measure_overdue(OVERDUE_COUNTED_MAX)
    _OVERDUE.set(overdue)
    _OVERDUE_S.set(oldest_s)
    return 0


async def forget_requests(database: Database, *, older_than_s: float) -> int:
    """Forgets request ids older than that; how many."""
    forgotten = await request_keys.forget(database, older_than_s=older_than_s, limit=FORGET_ROWS_MAX)
    _FORGOTTEN.inc(forgotten)
    return forgotten
