"""Payments, their notifications and the timers of the workers that see to them."""

from typing import NamedTuple
from uuid import UUID

from services.chassis.pg import Connection
from services.orders.domain.changes import TimerKind
from services.orders.domain.payment import Payment
from services.orders.store.rows import payment_of, queries


class DueTimer(NamedTuple):
    """A timer that this worker has claimed; `attempts` counts the claims."""

    subject_id: UUID
    order_id: UUID
    attempts: int


async def load_payment(connection: Connection, payment_id: UUID) -> Payment | None:
    """A payment by id; its order's lock is what protects it from changes."""
    row = await connection.fetchrow(queries()["select_payment"], payment_id)
    return None if row is None else payment_of(row)


async def note_notification(
    connection: Connection, notification_id: str, payment_id: UUID, outcome: str
) -> bool:
    """False where this notification has had its effect already."""
    return (
        await connection.fetchval(queries()["insert_notification"], notification_id, payment_id, outcome)
        is not None
    )


async def load_notification(connection: Connection, notification_id: str) -> tuple[UUID, str] | None:
    """The payment and the outcome that a notification was noted with; None where it is forgotten."""
    row = await connection.fetchrow(queries()["select_notification"], notification_id)
    return None if row is None else (row["payment_id"], row["outcome"])


async def delete_notifications(connection: Connection, *, older_than_s: float, limit: int) -> int:
    """Removes up to `limit` of the notifications older than that whose payment is through; how many."""
    status = await connection.execute(queries()["delete_notifications"], older_than_s, limit)
    return int(status.split()[-1])


async def claim_due_timers(
    connection: Connection, kind: TimerKind, *, limit: int, lease_s: float
) -> list[DueTimer]:
    """Timers that are due, ours until `lease_s` seconds from now."""
    rows = await connection.fetch(queries()["claim_due_timers"], kind, limit, lease_s)
    return [DueTimer(*row) for row in rows]


async def defer_timer(connection: Connection, kind: TimerKind, subject_id: UUID, delay_s: float) -> None:
    """Sets a timer `delay_s` seconds from now."""
    await connection.execute(queries()["defer_timer"], kind, subject_id, delay_s)


async def delete_timer(connection: Connection, kind: TimerKind, subject_id: UUID) -> None:
    """Forgets a timer."""
    await connection.execute(queries()["delete_timers"], kind, [subject_id])


async def overdue_timers(connection: Connection, late_s: float) -> dict[str, int]:
    """How many timers of each kind were due more than `late_s` seconds ago."""
    rows = await connection.fetch(queries()["select_overdue_timers"], late_s)
    return {row["kind"]: row["count"] for row in rows}
