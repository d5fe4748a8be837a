"""Values as protobuf messages, for replies and for events."""

from sampan.warehouse.v1 import parcel_service_pb2 as parcel_pb
from sampan.warehouse.v1 import reservation_service_pb2 as hold_pb
from sampan.warehouse.v1 import stock_service_pb2 as stock_pb
from sampan.warehouse.v1 import warehouse_service_pb2 as warehouse_pb

from services.chassis.rpc import money, times
from services.warehouse.domain.holds import Fulfilment, HoldState
from services.warehouse.domain.parcels import Parcel, ParcelState
from services.warehouse.domain.sourcing import Rejection
from services.warehouse.domain.stock import LedgerReason
from services.warehouse.domain.warehouses import Warehouse, WarehouseKind
from services.warehouse.store.stock import LedgerRow, StockRow

HOLD_STATES = {state: hold_pb.HoldState.Value(f"HOLD_STATE_{state}") for state in HoldState}
REJECTIONS = {reason: hold_pb.RejectionReason.Value(f"REJECTION_REASON_{reason}") for reason in Rejection}
PARCEL_STATES = {state: parcel_pb.ParcelState.Value(f"PARCEL_STATE_{state}") for state in ParcelState}
LEDGER_REASONS = {reason: stock_pb.LedgerReason.Value(f"LEDGER_REASON_{reason}") for reason in LedgerReason}
WAREHOUSE_KINDS = {kind: warehouse_pb.WarehouseKind.Value(f"WAREHOUSE_KIND_{kind}") for kind in WarehouseKind}


def hold_message(fulfilment: Fulfilment) -> hold_pb.Hold:
    """A hold as it is told to callers."""
    message = hold_pb.Hold(
        order_id=fulfilment.order_id,
        state=HOLD_STATES[fulfilment.state],
        version=fulfilment.version,
        sourcing=fulfilment.sourcing,
    )
    times.write(message.expire_time, fulfilment.expire_time)
    if fulfilment.state is not HoldState.REJECTED:
        for sku, warehouse_id, quantity in fulfilment.allocations:
            message.allocations.add(sku=sku, warehouse_id=warehouse_id, quantity=quantity)
    if fulfilment.rejection is not None:
        message.rejection_reason = REJECTIONS[fulfilment.rejection]
        for sku, requested, available in fulfilment.shortages:
            message.shortages.add(sku=sku, requested=requested, available=available)
    return message


def parcel_message(parcel: Parcel) -> parcel_pb.Parcel:
    """A parcel as it is told to callers."""
    message = parcel_pb.Parcel(
        parcel_id=parcel.parcel_id,
        order_id=parcel.order_id,
        merchant_id=parcel.merchant_id,
        warehouse_id=parcel.warehouse_id,
        region_code=parcel.region_code,
        state=PARCEL_STATES[parcel.state],
        carrier=parcel.carrier,
        tracking_number=parcel.tracking_number,
    )
    for sku, quantity in parcel.items:
        message.items.add(sku=sku, quantity=quantity)
    times.write(message.create_time, parcel.create_time)
    times.write(message.pack_time, parcel.pack_time)
    times.write(message.ship_time, parcel.ship_time)
    times.write(message.deliver_time, parcel.deliver_time)
    return message


def stock_message(row: StockRow) -> stock_pb.Stock:
    """A stock row as it is told to operators."""
    message = stock_pb.Stock(
        sku=row.sku,
        warehouse_id=row.warehouse_id,
        merchant_id=row.merchant_id,
        on_hand=row.on_hand,
        reserved=row.reserved,
        available=row.on_hand - row.reserved,
    )
    times.write(message.update_time, row.update_time)
    return message


def ledger_message(row: LedgerRow) -> stock_pb.LedgerEntry:
    """A ledger entry as it is told to operators."""
    message = stock_pb.LedgerEntry(
        entry_id=row.entry_id,
        sku=row.sku,
        warehouse_id=row.warehouse_id,
        delta=row.delta,
        reason=LEDGER_REASONS[row.reason],
        document=row.document,
        actor=row.actor,
    )
    times.write(message.create_time, row.create_time)
    return message


def warehouse_message(warehouse: Warehouse) -> warehouse_pb.Warehouse:
    """A warehouse as it is told to callers."""
    content = warehouse.content
    message = warehouse_pb.Warehouse(
        warehouse_id=content.warehouse_id,
        display_name=content.display_name,
        region_code=content.region_code,
        cell=content.cell,
        kind=WAREHOUSE_KINDS[content.kind],
        priority=content.priority,
        ships_hazards=content.ships_hazards,
        disabled=content.disabled,
        version=warehouse.version,
        etag=warehouse.etag,
    )
    for served in content.served_countries:
        message.served_countries.add(
            region_code=served.region_code,
            transit_days_min=served.transit_days_min,
            transit_days_max=served.transit_days_max,
            cost=money.to_proto(served.cost_minor, served.currency_code),
        )
    times.write(message.create_time, warehouse.create_time)
    times.write(message.update_time, warehouse.update_time)
    return message
