"""What a storefront asks of orders, and what the catalog and the warehouse tell them."""

import itertools
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from google.type.money_pb2 import Money
from google.type.postal_address_pb2 import PostalAddress
from sampan.catalog.v1 import events_pb2 as catalog_events
from sampan.catalog.v1 import product_service_pb2 as catalog_pb
from sampan.orders.v1 import order_service_pb2 as pb
from sampan.warehouse.v1 import events_pb2 as warehouse_events
from sampan.warehouse.v1 import parcel_service_pb2 as parcel_pb

from services.chassis.consumer import Event
from services.chassis.ids import uuid7
from services.orders import events

TENANT = "fair"
MERCHANT = "xuchang-hair"

_numbers = itertools.count(1)


def demonstration() -> list[catalog_pb.Product]:
    """A wig with two lengths in two currencies, a free sample, a draft, and a product of another merchant."""
    return [
        product_of("bob-wig", {"WIG-18": "119.50", "WIG-22": "139.99"}),
        product_of("sample", {"SAMPLE": "0"}),
        product_of("draft", {"DRAFT": "1"}, status=catalog_pb.PRODUCT_STATUS_DRAFT),
        product_of("fridge", {"FRIDGE": "499"}, merchant_id="guangzhou-cold"),
    ]


def product_of(product_id: str, prices: dict[str, str], **changed: Any) -> catalog_pb.Product:
    """A product with a variant per SKU, each with a price in euros; WIG-18 also has one in yen."""
    content: dict[str, Any] = {
        "merchant_id": MERCHANT,
        "titles": {"en": f"{product_id} title", "zh": "波波头假发"},
        "hs_code": "670420",
        "origin_region_code": "CN",
        "status": catalog_pb.PRODUCT_STATUS_ACTIVE,
        "version": 1,
        "update_time": Timestamp(seconds=1_780_000_000),
        "variants": [
            catalog_pb.Variant(
                sku=sku,
                prices=[
                    euros(price),
                    *([Money(currency_code="JPY", units=19_800)] if sku == "WIG-18" else []),
                ],
                weight_grams=320,
            )
            for sku, price in prices.items()
        ],
    }
    return catalog_pb.Product(product_id=product_id, **(content | changed))


def euros(amount: str) -> Money:
    """An amount such as "119.50"."""
    units, _, cents = amount.partition(".")
    return Money(currency_code="EUR", units=int(units), nanos=int(f"{cents:0<9}" or 0))


def request_of(**changed: Any) -> pb.PlaceOrderRequest:
    """A placement of 2 x 119.50 + 1 x 139.99 EUR to Madrid."""
    lines = changed.pop("lines", {"WIG-18": 2, "WIG-22": 1})
    content: dict[str, Any] = {
        "tenant_id": TENANT,
        "request_id": f"place {next(_numbers)}",
        "buyer_ref": "buyer-1",
        "currency_code": "EUR",
        "lines": [pb.PlaceOrderLine(sku=sku, quantity=quantity) for sku, quantity in lines.items()],
        "ship_to": PostalAddress(
            region_code="ES",
            postal_code="28013",
            locality="Madrid",
            address_lines=["Calle Mayor 1"],
            recipients=["José Núñez"],
        ),
        "payment_terms": pb.PAYMENT_TERMS_PREPAID,
    }
    return pb.PlaceOrderRequest(**(content | changed))


def event_of(message: Any, *, version: int = 1) -> Event:
    """A fulfilment event as the consumer hands it over."""
    return Event(
        events.FULFILMENTS_TOPIC,
        0,
        0,
        message.order_id,
        message.DESCRIPTOR.full_name,
        message.order_id,
        version,
        message.SerializeToString(),
        None,
        uuid7(),
        0,
    )


def snapshot_event(product: catalog_pb.Product, *, tenant_id: str = TENANT) -> Event:
    """A product snapshot as the consumer hands it over."""
    snapshot = catalog_events.ProductSnapshot(tenant_id=tenant_id, product=product)
    key = f"{tenant_id}/{product.product_id}"
    return Event(
        events.PRODUCTS_TOPIC,
        0,
        0,
        key,
        "sampan.catalog.v1.ProductSnapshot",
        key,
        product.version,
        snapshot.SerializeToString(),
        None,
        uuid7(),
        0,
    )


def advanced(order: pb.Order, parcel_id: str, state: str) -> warehouse_events.ParcelAdvanced:
    """A parcel was moved on."""
    shipped = state in ("SHIPPED", "DELIVERED")
    return warehouse_events.ParcelAdvanced(
        tenant_id=TENANT,
        order_id=order.order_id,
        parcel_id=parcel_id,
        state=parcel_pb.ParcelState.Value(f"PARCEL_STATE_{state}"),
        carrier="correos" if shipped else "",
        tracking_number="ES123" if shipped else "",
    )
