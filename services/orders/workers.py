"""What orders does by itself: payment deadlines, missing answers, captures, refunds, the sandbox's late answers,
and forgetting request ids and notifications that are too old to be repeated.

Each worker looks for rows that are due by the database's clock and works on a bounded number of them; the chassis
repeats it, at once while there is a full batch. An outage is waited out; what was claimed falls due again.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from uuid import UUID

from services.chassis import log, request_keys, trace
from services.chassis.crash import crash_point
from services.chassis.errors import DomainError
from services.chassis.pg import Connection
from services.orders import measures
from services.orders.commands import paying
from services.orders.commands.desk import Desk
from services.orders.commands.paying import PaymentPolicy
from services.orders.domain.changes import Changes, TimerKind
from services.orders.domain.states import Trigger
from services.orders.payments.port import Notification
from services.orders.payments.sandbox import SandboxProvider
from services.orders.store import changes as store
from services.orders.store import payments as payment_store
from services.orders.store import reading
from services.orders.store.payments import DueTimer

CLAIM_LEASE_S = 30.0
RETRY_S_MIN = 1.0
RETRY_S_MAX = 60.0
PROVIDER_CALLS_AT_ONCE = 16
SAMPLE_PERIOD_S = 5.0
COUNT_PERIOD_S = 30.0
"""Six states at their bound were measured to take 6 to 70 ms, as the table was vacuumed or new."""
OVERDUE_AFTER_S = 60.0
ASK_PERIOD_S = 1.0
ASK_WITHOUT_END = sys.maxsize
"""No number asked for makes the walk go on at once: its pause is part of its bound."""
FORGET_PERIOD_S = 600.0
FORGET_ROWS_MAX = 1_000
NOTIFICATION_TTL_S = 30 * 86_400.0

_log = log.get(__name__)

Step = Callable[[Desk, PaymentPolicy, UUID], Awaitable[bool]]


async def expire_unpaid(desk: Desk, *, limit: int) -> int:
    """Expires orders whose payment deadline has passed, in one transaction; returns how many timers were due."""

    async def work(connection: Connection, changes: Changes) -> int:
        order_ids = await store.lock_due_deadlines(connection, limit)
        if not order_ids:
            return 0
        orders = await store.lock_orders(connection, order_ids)
        for order in orders.values():
            changes.apply(order, Trigger.PAYMENT_DEADLINE)
        await store.delete_deadlines(connection, order_ids)
        crash_point("orders.expire.before_commit")
        return len(order_ids)

    return await desk.change(work)


async def work_off(desk: Desk, policy: PaymentPolicy, kind: TimerKind, *, limit: int) -> int:
    """Takes the payment timers of one kind that are due to their step; returns how many there were."""
    step = _STEPS[kind]

    async def claim(connection: Connection) -> list[DueTimer]:
        return await payment_store.claim_due_timers(connection, kind, limit=limit, lease_s=CLAIM_LEASE_S)

    due = await desk.db.transact(claim)
    if due:
        crash_point("orders.timers.after_claim")
    room = asyncio.Semaphore(PROVIDER_CALLS_AT_ONCE)

    async def take(timer: DueTimer) -> None:
        async with room:
            try:
                done = await step(desk, policy, timer.subject_id)
            except DomainError as error:
                if error.retryable:
                    raise
                # One payment that cannot go on must not stop the others.
                paying.note_contradiction(error, timer.subject_id)
                done = False
            if not done:
                await _defer(desk, kind, timer)

    results = await asyncio.gather(*map(take, due), return_exceptions=True)
    for failure in results:
        # Those that failed fall due again when their lease ends; the others are done.
        if failure is not None:
            raise failure
    return len(due)


async def deliver_notifications(desk: Desk, sandbox: SandboxProvider, *, limit: int) -> int:
    """Plays the sandbox provider's part: gives its late answers, as a webhook would."""

    async def notify(notification: Notification) -> None:
        try:
            with trace.span("orders.payment_notification"):
                await paying.settle(
                    desk,
                    notification.payment_id,
                    notification.answer,
                    notification_id=notification.notification_id,
                )
            crash_point("orders.notification.after_settle")
        except DomainError as error:
            if error.retryable:
                raise
            # It would be refused again however often it came.
            paying.note_contradiction(error, notification.payment_id)

    return await sandbox.deliver(notify, limit=limit)


async def forget_requests(desk: Desk, *, older_than_s: float, limit: int) -> int:
    """Forgets request ids older than that, of every route, and the addresses in their answers; how many."""
    forgotten = await request_keys.forget(desk.db, older_than_s=older_than_s, limit=limit)
    measures.REQUEST_KEYS_FORGOTTEN.inc(forgotten)
    return forgotten


async def forget_notifications(desk: Desk, *, limit: int) -> int:
    """Forgets old notifications of payments that are through; how many."""

    async def work(connection: Connection) -> int:
        return await payment_store.delete_notifications(
            connection, older_than_s=NOTIFICATION_TTL_S, limit=limit
        )

    forgotten = await desk.db.transact(work)
    measures.NOTIFICATIONS_FORGOTTEN.inc(forgotten)
    return forgotten


async def sample(desk: Desk) -> int:
    """Measures how long orders wait and how many timers are overdue."""
    async with desk.db.connection() as connection:
        measures.sample(
            await reading.oldest_waiting(connection),
            await payment_store.overdue_timers(connection, OVERDUE_AFTER_S),
        )
    return 0


async def count_open(desk: Desk) -> int:
    """Counts the orders in each state that is not final, up to a bound."""
    async with desk.db.connection() as connection:
        measures.note_open(await reading.count_open(connection, measures.OPEN_COUNTED_MAX))
    return 0


_STEPS: dict[TimerKind, Step] = {
    TimerKind.PAYMENT_CHECK: paying.check_payment,
    TimerKind.CAPTURE: paying.capture_payment,
    TimerKind.REFUND: paying.refund_payment,
}
PAYMENT_KINDS = tuple(_STEPS)


async def _defer(desk: Desk, kind: TimerKind, timer: DueTimer) -> None:
    """Tries again later, each time twice as late up to a bound; a timer is never given up."""
    delay_s = min(RETRY_S_MAX, RETRY_S_MIN * 2.0 ** min(timer.attempts - 1, 16))

    async def work(connection: Connection) -> None:
        await payment_store.defer_timer(connection, kind, timer.subject_id, delay_s)

    await desk.db.transact(work)
