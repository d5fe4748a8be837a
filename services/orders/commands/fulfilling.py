"""What the warehouse says, applied to a whole batch of orders in the transaction of the consumer."""

from collections.abc import Sequence

from services.chassis.ids import uuid7
from services.chassis.pg import Connection
from services.orders import measures
from services.orders.commands.desk import tell, write
from services.orders.domain.changes import Changes
from services.orders.domain.facts import (
    Fact,
    HoldEnded,
    Intercepted,
    NotIntercepted,
    ParcelMoved,
    ParcelsOpened,
    Refused,
    Reported,
    Reserved,
)
from services.orders.domain.order import Order, Parcel
from services.orders.domain.reports import apply_report
from services.orders.domain.states import Trigger
from services.orders.errors import ParcelUnknown
from services.orders.store import changes as store
from services.orders.store.offers import ProductOffers, replace_offers

_NEED_PARCELS = (ParcelMoved, Intercepted, NotIntercepted, Reported)
UNKNOWN_ORDER = "order not ours"


async def apply_facts(connection: Connection, facts: Sequence[Fact]) -> None:
    """Applies facts in their order; raises for one that the order's state rules out.

    Holds can also be made by callers that are no order: what is told of those is counted and left alone.
    Counters and log lines come before the consumer's commit, so a repeated batch shows twice there.
    """
    orders = await store.lock_orders(connection, sorted({fact.order_id for fact in facts}))
    with_parcels = {fact.order_id for fact in facts if isinstance(fact, _NEED_PARCELS)} & orders.keys()
    parcels = await store.load_parcels(connection, with_parcels) if with_parcels else {}
    changes = Changes(uuid7)
    for fact in facts:
        order = orders.get(fact.order_id)
        if order is None:
            measures.IGNORED[UNKNOWN_ORDER].inc()
        else:
            _apply(changes, order, parcels.setdefault(order.order_id, []), fact)
    await write(connection, changes)
    tell(changes)


async def apply_products(connection: Connection, products: Sequence[ProductOffers]) -> None:
    """Takes over what the catalog says; of several snapshots of one product only the newest counts."""
    newest: dict[tuple[str, str], ProductOffers] = {}
    for product in products:
        key = product.tenant_id, product.product_id
        if key not in newest or newest[key].version < product.version:
            newest[key] = product
    measures.OFFERS_REPLACED.inc(await replace_offers(connection, list(newest.values())))


def _apply(changes: Changes, order: Order, parcels: list[Parcel], fact: Fact) -> None:
    """One fact; `parcels` are those of the order and are kept up to date for the facts that follow."""
    match fact:
        case Reserved():
            changes.stock_reserved(order, fact.sourcing, fact.traceparent)
        case Refused():
            changes.stock_rejected(order, fact.reason, fact.detail, fact.traceparent)
        case HoldEnded():
            trigger = Trigger.HOLD_EXPIRED if fact.expired else Trigger.HOLD_VOIDED
            changes.apply(order, trigger, traceparent=fact.traceparent)
        case ParcelsOpened():
            opened = [Parcel(parcel_id, warehouse_id) for parcel_id, warehouse_id in fact.parcels]
            changes.parcels_allocated(order, opened, fact.sourcing, fact.traceparent)
            parcels.extend(opened)
        case ParcelMoved():
            moved = next((parcel for parcel in parcels if parcel.parcel_id == fact.parcel_id), None)
            if moved is None:
                raise ParcelUnknown(str(fact.parcel_id))
            moved.state = fact.state
            moved.carrier = fact.carrier or moved.carrier
            moved.tracking_number = fact.tracking_number or moved.tracking_number
            changes.parcel_advanced(order, parcels, moved, fact.traceparent)
        case Intercepted():
            changes.fulfilment_cancelled(order, parcels, fact.traceparent)
        case NotIntercepted():
            changes.cancellation_refused(order, parcels, fact.traceparent)
        case Reported():
            apply_report(changes, order, parcels, fact)
