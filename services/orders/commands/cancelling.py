"""CancelOrder."""

from typing import NamedTuple
from uuid import UUID

from services.chassis import trace
from services.chassis.errors import RequestIdReused
from services.chassis.pg import Connection
from services.orders import wire
from services.orders.commands.desk import Desk
from services.orders.domain.changes import Changes
from services.orders.domain.placement import CANCEL_REASON_CHARS_MAX, check_request_id, check_text
from services.orders.errors import EtagMismatch, OrderNotFound
from services.orders.store import changes as store
from services.orders.store.placing import Key, load_keys, take_keys

ROUTE = "cancel"


class Cancellation(NamedTuple):
    """What a caller asks for. An empty request_id makes it unrepeatable, an empty etag unconditional."""

    tenant_id: str
    order_id: UUID
    request_id: str
    reason: str
    etag: str


async def cancel_order(desk: Desk, wanted: Cancellation) -> None:
    """Cancels the order, or asks the warehouse to intercept it; a repeated request changes nothing.

    Raises `OrderNotFound`, `EtagMismatch`, `OrderStateWrong`, `RequestIdReused`.
    """
    if wanted.request_id:
        check_request_id(wanted.request_id)
    check_text("reason", wanted.reason, CANCEL_REASON_CHARS_MAX)
    digest = wire.digest_of(str(wanted.order_id), wanted.reason, wanted.etag)

    async def work(connection: Connection, changes: Changes) -> None:
        locked = await store.lock_order(connection, wanted.tenant_id, wanted.order_id)
        if locked is None:
            raise OrderNotFound
        order, _ = locked
        if wanted.request_id and not await _is_new(connection, wanted, digest):
            return
        if wanted.etag and wanted.etag != order.etag:
            raise EtagMismatch
        changes.cancel(order, wanted.reason, trace.current_traceparent())

    await desk.change(work)


async def _is_new(connection: Connection, wanted: Cancellation, digest: bytes) -> bool:
    key = Key(wanted.tenant_id, ROUTE, wanted.request_id, digest, None, wanted.order_id)
    if await take_keys(connection, [key]):
        return True
    name = (wanted.tenant_id, wanted.request_id)
    if (await load_keys(connection, ROUTE, [name]))[name].digest != digest:
        raise RequestIdReused
    return False
