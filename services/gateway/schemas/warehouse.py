"""Warehouses, stock, availability and parcels."""

from typing import Annotated, Literal

from msgspec import Meta, field

from services.gateway.schemas.base import (
    INT32_MAX,
    INT64_MAX,
    Document,
    Etag,
    Moment,
    Money,
    NextPageToken,
    Region,
    Units,
    Version,
)
from services.gateway.schemas.catalog import MerchantId, SetByServer

WarehouseKindWord = Literal["overseas", "origin"]
LedgerReasonWord = Literal[
    "inbound_receive", "count_gain", "count_loss", "damage", "dispose", "pick", "cancel_restock"
]
AdjustReasonWord = Literal["count_gain", "count_loss", "damage", "dispose"]
ParcelStateWord = Literal["allocated", "packed", "shipped", "delivered", "cancelled"]
AdvanceWord = Literal["packed", "shipped", "delivered"]
WarehouseId = Annotated[str, Meta(max_length=256, description="1 to 40 of [a-z0-9-].", examples=["madrid"])]
Sku = Annotated[str, Meta(max_length=256)]
Days = Annotated[int, Meta(ge=0, le=INT32_MAX)]


class ServedCountry(Document, kw_only=True):
    """A country that a warehouse ships to."""

    region_code: Region
    transit_days_min: Days
    transit_days_max: Days
    cost: Money | None = None


class Warehouse(Document, kw_only=True):
    """A place where stock is kept. version, etag and the times are set by the service and ignored when sent."""

    warehouse_id: WarehouseId = ""
    display_name: Annotated[str, Meta(max_length=1000)] = ""
    region_code: Annotated[str, Meta(max_length=64, description="Where it stands, ISO 3166-1 alpha-2.")] = ""
    cell: Annotated[str, Meta(max_length=64, description="The region cell, as `EU`.")] = ""
    kind: Annotated[
        WarehouseKindWord | Literal["unspecified"], Meta(description="Required; `unspecified` is refused.")
    ] = "unspecified"
    served_countries: list[ServedCountry] = field(default_factory=list)
    priority: Annotated[
        int, Meta(ge=-INT32_MAX, le=INT32_MAX, description="The lower the sooner, 0 to 1,000.")
    ] = 0
    ships_hazards: bool = False
    disabled: bool = False
    version: Version = 0
    etag: Etag = ""
    create_time: SetByServer = None
    update_time: SetByServer = None


class WarehousePage(Document):
    """A page of warehouses, in the order of their ids."""

    warehouses: list[Warehouse]
    next_page_token: NextPageToken


class Stock(Document):
    """The stock of one SKU in one warehouse."""

    sku: str
    warehouse_id: str
    merchant_id: str
    on_hand: int
    reserved: int
    available: int
    update_time: Moment | None


class StockPage(Document):
    """A page of stock, in the order of (sku, warehouse_id)."""

    stock: list[Stock]
    next_page_token: NextPageToken


class ReceiveLine(Document):
    """Units of a SKU that came in."""

    sku: Sku
    quantity: Annotated[int, Meta(ge=1, le=1_000_000_000, description="1 to 1,000,000,000.")]


class AdjustLine(Document):
    """Units of a SKU: positive where they were found, negative where they are gone."""

    sku: Sku
    quantity: Units


class ReceiveStock(Document, kw_only=True):
    """Goods to be booked in: all lines or none."""

    warehouse_id: WarehouseId
    merchant_id: MerchantId
    document: Annotated[str, Meta(max_length=1000, description="The receipt's number, 1 to 100 characters.")]
    lines: Annotated[list[ReceiveLine], Meta(min_length=1, max_length=5000, description="1 to 5,000.")]


class AdjustStock(Document, kw_only=True):
    """Stock to be corrected: all lines or none."""

    warehouse_id: WarehouseId
    merchant_id: MerchantId
    document: Annotated[str, Meta(max_length=1000, description="The paper behind it, 1 to 100 characters.")]
    reason: AdjustReasonWord
    lines: Annotated[list[AdjustLine], Meta(min_length=1, max_length=5000, description="1 to 5,000.")]


class StockMovement(Document):
    """The stock after a booking, in the order of sku."""

    stock: list[Stock]


class LedgerEntry(Document):
    """One change of stock on hand."""

    entry_id: int
    sku: str
    warehouse_id: str
    delta: int
    reason: LedgerReasonWord | Literal["unspecified"]
    document: str
    actor: str
    create_time: Moment | None


class LedgerPage(Document):
    """A page of a SKU's ledger, newest first."""

    entries: list[LedgerEntry]
    next_page_token: NextPageToken


class WarehouseAvailability(Document, omit_defaults=True):
    """What one warehouse can promise."""

    warehouse_id: str
    available: int
    transit_days_min: Annotated[int | None, Meta(description="Given where a destination was asked for.")] = (
        None
    )
    transit_days_max: Annotated[int | None, Meta(description="Given where a destination was asked for.")] = (
        None
    )


class Availability(Document):
    """What can be promised of one SKU: 0 for one without stock."""

    sku: str
    available: int
    warehouses: list[WarehouseAvailability]


class AvailabilityBatch(Document):
    """In the order asked. As of the last change that arrived here, usually some milliseconds ago."""

    availabilities: list[Availability]


class AvailabilityQuery(Document):
    """SKUs asked for, and where they shall go."""

    skus: Annotated[
        list[Annotated[str, Meta(max_length=64, min_length=1)]], Meta(min_length=1, max_length=5000)
    ]
    region_code: Annotated[
        str, Meta(max_length=64, description="Only warehouses that serve it; empty for all.")
    ] = ""


class ParcelItem(Document):
    """Units of a SKU in a parcel."""

    sku: str
    quantity: Annotated[int, Meta(le=INT64_MAX)]


class Parcel(Document):
    """What leaves a warehouse for an order."""

    parcel_id: str
    order_id: str
    merchant_id: str
    warehouse_id: str
    region_code: str
    state: ParcelStateWord | Literal["unspecified"]
    items: list[ParcelItem]
    carrier: str
    tracking_number: str
    create_time: Moment | None
    pack_time: Moment | None
    ship_time: Moment | None
    deliver_time: Moment | None


class ParcelPage(Document):
    """A page of parcels, in the order of their opening."""

    parcels: list[Parcel]
    next_page_token: NextPageToken


class ShipParcel(Document, kw_only=True):
    """How a parcel left."""

    carrier: Annotated[str, Meta(max_length=1000, description="1 to 64 characters.")]
    tracking_number: Annotated[str, Meta(max_length=1000, description="1 to 64 characters.")]


class AdvanceParcel(Document, kw_only=True):
    """One parcel to be moved on."""

    parcel_id: Annotated[str, Meta(max_length=64)]
    state: AdvanceWord
    carrier: Annotated[str, Meta(max_length=1000, description="Required for `shipped`.")] = ""
    tracking_number: Annotated[str, Meta(max_length=1000, description="Required for `shipped`.")] = ""


class AdvanceParcels(Document):
    """Parcels to be moved on, each by itself."""

    requests: Annotated[list[AdvanceParcel], Meta(min_length=1, max_length=500, description="1 to 500.")]


class AdvanceRefusal(Document):
    """Why a parcel was not moved."""

    type: str
    reason: str
    detail: str


class AdvanceResult(Document, omit_defaults=True):
    """Either the parcel as it is now or why it was not moved."""

    parcel: Parcel | None = None
    error: AdvanceRefusal | None = None


class AdvanceResults(Document):
    """One answer per request, in their order."""

    results: list[AdvanceResult]
