"""What a report of the warehouse makes good: whatever it tells of that should have come as an event and did not.

A report says how a fulfilment stands, at its place in the order of the fulfilment's events. So it is compared
with where the order stands now; where the events came after all, nothing is left to be done.
"""

from dataclasses import replace

from services.orders.domain.changes import Changes
from services.orders.domain.facts import HoldStanding, Reported
from services.orders.domain.order import Order, Parcel, ParcelState
from services.orders.domain.states import OrderState, Trigger

CAUSE = "FulfilmentReported"

_HELD = (HoldStanding.PENDING, HoldStanding.POSTED)
_NEVER_HELD = (HoldStanding.VOIDED, HoldStanding.REJECTED)
_STAGES = (ParcelState.ALLOCATED, ParcelState.PACKED, ParcelState.SHIPPED, ParcelState.DELIVERED)


def apply_report(changes: Changes, order: Order, parcels: list[Parcel], report: Reported) -> None:
    """Moves the order as the missing events would have; `parcels` are the order's and are kept up to date."""
    version = order.version
    match order.state:
        case OrderState.PENDING:
            _decide(changes, order, report)
        case OrderState.CONFIRMED if report.hold in _NEVER_HELD:
            changes.stock_rejected(order, report.reason, report.detail, report.traceparent)
        case OrderState.CANCELLING if report.hold in _NEVER_HELD:
            changes.fulfilment_cancelled(order, parcels, report.traceparent)
        case OrderState.CONFIRMED | OrderState.CANCELLING if report.hold is HoldStanding.POSTED:
            _take_over(changes, order, parcels, report)
    if order.version == version:
        changes.ignored[CAUSE] += 1


def _decide(changes: Changes, order: Order, report: Reported) -> None:
    if report.hold in _HELD:
        changes.stock_reserved(order, report.sourcing, report.traceparent)
    elif report.hold is HoldStanding.EXPIRED:
        changes.apply(order, Trigger.HOLD_EXPIRED, traceparent=report.traceparent)
    else:
        changes.stock_rejected(order, report.reason, report.detail, report.traceparent)


def _take_over(changes: Changes, order: Order, parcels: list[Parcel], report: Reported) -> None:
    known = {parcel.parcel_id: parcel for parcel in parcels}
    missing = [
        Parcel(told.parcel_id, told.warehouse_id) for told in report.parcels if told.parcel_id not in known
    ]
    if missing:
        changes.parcels_allocated(order, missing, report.sourcing, report.traceparent)
        parcels.extend(missing)
        known |= {parcel.parcel_id: parcel for parcel in missing}
    for stage in _STAGES[1:]:
        for told in report.parcels:
            if _reached(told, stage) and not _reached(known[told.parcel_id], stage):
                _advance(changes, order, parcels, replace(told, state=stage), report.traceparent)
    if order.state is not OrderState.CANCELLING:
        return
    if all(told.state is ParcelState.CANCELLED for told in report.parcels):
        changes.fulfilment_cancelled(order, parcels, report.traceparent)
    elif any(_reached(told, ParcelState.PACKED) for told in report.parcels):
        changes.cancellation_refused(order, parcels, report.traceparent)


def _advance(
    changes: Changes, order: Order, parcels: list[Parcel], told: Parcel, traceparent: str | None
) -> None:
    (ours,) = (parcel for parcel in parcels if parcel.parcel_id == told.parcel_id)
    ours.state, ours.carrier, ours.tracking_number = told.state, told.carrier, told.tracking_number
    changes.parcel_advanced(order, parcels, ours, traceparent)


def _reached(parcel: Parcel, stage: ParcelState) -> bool:
    return parcel.state in _STAGES[_STAGES.index(stage) :]
