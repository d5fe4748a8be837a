"""The bodies of the public API that a replay sends and the parts of the answers that it reads."""

from collections.abc import Iterable, Sequence

import msgspec

from deploy.replay.catalogue import Naming, minor, money
from deploy.replay.countries import Site
from deploy.replay.retail import SaleOrder

CURRENCY = "GBP"
_encode = msgspec.json.Encoder().encode


class Amount(msgspec.Struct):
    """Money as the API writes it."""

    currency_code: str
    amount: str

    @property
    def minor(self) -> int:
        """Pence; raises ValueError for another currency."""
        if self.currency_code != CURRENCY:
            raise ValueError(f"expected {CURRENCY}, got {self.currency_code}")
        return minor(self.amount)


class OrderLine(msgspec.Struct):
    """A line as stored."""

    sku: str
    quantity: int
    unit_price: Amount
    amount: Amount


class OrderParcel(msgspec.Struct):
    """A parcel as its order knows it."""

    state: str


class Order(msgspec.Struct):
    """An order as answered or listed."""

    order_id: str
    state: str
    total: Amount
    lines: list[OrderLine]
    reason: str = ""
    parcels: list[OrderParcel] = []


class OrderPage(msgspec.Struct):
    """A page of orders."""

    orders: list[Order]
    next_page_token: str = ""


class OrderHead(msgspec.Struct):
    """As little of an order as polling needs."""

    order_id: str
    version: int = 0


class OrderHeadPage(msgspec.Struct):
    """A page of which only the ids matter."""

    orders: list[OrderHead]


class Transition(msgspec.Struct):
    """A step of an order's history."""

    to_state: str
    time: str
    from_state: str | None = None


class OrderHistory(msgspec.Struct):
    """An order's history, oldest first."""

    transitions: list[Transition]


class Quote(msgspec.Struct):
    """What a cart costs."""

    total: Amount


class Parcel(msgspec.Struct):
    """As little of a parcel as moving it on needs."""

    parcel_id: str
    order_id: str = ""
    state: str = ""


class ParcelPage(msgspec.Struct):
    """A page of parcels."""

    parcels: list[Parcel]
    next_page_token: str = ""


class Refusal(msgspec.Struct):
    """Why one item of a batch was not carried out."""

    reason: str
    detail: str = ""


class AdvanceResult(msgspec.Struct):
    """What became of one parcel."""

    parcel: Parcel | None = None
    error: Refusal | None = None


class AdvanceResults(msgspec.Struct):
    """In the order of the requests."""

    results: list[AdvanceResult]


class ImportReport(msgspec.Struct):
    """What became of an import: read = created + updated + unchanged + failed."""

    read: int
    created: int
    updated: int
    unchanged: int
    failed: int
    errors: list[dict[str, str | int]]


class StockRow(msgspec.Struct):
    """The stock of a SKU in a warehouse."""

    sku: str
    on_hand: int
    reserved: int


class StockPage(msgspec.Struct):
    """A page of stock."""

    stock: list[StockRow]
    next_page_token: str = ""


class Problem(msgspec.Struct):
    """A refusal (RFC 9457)."""

    type: str = ""
    reason: str = ""

    @property
    def name(self) -> str:
        """The stable word for the refusal."""
        return self.reason or self.type or "unnamed"


def refusal_of(status: int, body: bytes) -> str:
    """How a report names a refusal: "409 TOTAL_CHANGED"."""
    try:
        return f"{status} {msgspec.json.decode(body, type=Problem).name}"
    except msgspec.DecodeError:
        return f"{status} without a problem document"


def merchant_body(naming: Naming) -> bytes:
    """The merchant whose sales are replayed."""
    return _encode(
        {
            "merchant_id": naming.merchant_id,
            "display_name": "Online Retail (UCI), replayed",
            "region_code": "GB",
        }
    )


def warehouse_body(naming: Naming, site: Site) -> bytes:
    """One of the run's warehouses."""
    low, high = site.transit_days
    return _encode(
        {
            "warehouse_id": naming.warehouse_id(site.suffix),
            "display_name": f"{site.display_name} ({naming.run})",
            "region_code": site.region_code,
            "cell": site.cell,
            "kind": site.kind,
            "served_countries": [
                {
                    "region_code": region,
                    "transit_days_min": low,
                    "transit_days_max": high,
                    "cost": {"currency_code": CURRENCY, "amount": site.parcel_cost},
                }
                for region in site.serves
            ],
            "ships_hazards": True,
        }
    )


def receipt_body(
    warehouse_id: str, merchant_id: str, document: str, lines: Iterable[tuple[str, int]]
) -> bytes:
    """Goods that come in."""
    return _encode(
        {
            "warehouse_id": warehouse_id,
            "merchant_id": merchant_id,
            "document": document,
            "lines": [{"sku": sku, "quantity": quantity} for sku, quantity in lines],
        }
    )


def quote_body(lines: Sequence[tuple[str, int]]) -> bytes:
    """A cart to be priced."""
    return _encode(
        {"currency_code": CURRENCY, "lines": [{"sku": sku, "quantity": quantity} for sku, quantity in lines]}
    )


def order_body(order: SaleOrder, naming: Naming) -> bytes:
    """An order as a storefront sends it: prepaid, with the total that it showed to its buyer."""
    return _encode(
        {
            "buyer_ref": naming.buyer_ref,
            "currency_code": CURRENCY,
            "lines": [
                {"sku": naming.sku((code, price)), "quantity": quantity}
                for code, price, quantity in order.lines
            ],
            "ship_to": {"region_code": order.region_code, "address_lines": [f"Invoice {order.invoice}"]},
            "payment_terms": "prepaid",
            "expected_total": {"currency_code": CURRENCY, "amount": money(order.total_pence)},
        }
    )


def advance_body(parcel_ids: Sequence[str], state: str) -> bytes:
    """Parcels to be moved on to a state."""
    shipped = state == "shipped"
    return _encode(
        {
            "requests": [
                {"parcel_id": identifier, "state": state}
                | ({"carrier": "replay-post", "tracking_number": identifier} if shipped else {})
                for identifier in parcel_ids
            ]
        }
    )


def sent_lines(order: SaleOrder, naming: Naming) -> list[tuple[str, int, int]]:
    """(sku, quantity, unit price in pence) of each line, to be compared with what is stored."""
    return [(naming.sku((code, price)), quantity, price) for code, price, quantity in order.lines]


def stored_lines(order: Order) -> list[tuple[str, int, int]]:
    """The same, as the API answers it."""
    return [(line.sku, line.quantity, line.unit_price.minor) for line in order.lines]
