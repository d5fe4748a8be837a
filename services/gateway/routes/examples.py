"""Examples for the documentation; the tests send them."""

from typing import Any

PAYMENT_NOTIFICATION: dict[str, Any] = {
    "payment_id": "019ab3c0-5e1f-7c3e-8f65-0d6c2f3f5b11",
    "outcome": "declined",
    "decline_code": "insufficient_funds",
}

MERCHANT: dict[str, Any] = {
    "merchant_id": "north-lights",
    "display_name": "North Lights",
    "region_code": "CN",
}

PRODUCT: dict[str, Any] = {
    "product_id": "silk-wig",
    "merchant_id": "north-lights",
    "titles": {"en": "Silk wig", "es": "Peluca de seda"},
    "category": "hair/wigs",
    "hs_code": "670411",
    "origin_region_code": "CN",
    "variants": [
        {
            "sku": "WIG-18",
            "options": {"length": "18 inch"},
            "prices": [
                {"currency_code": "EUR", "amount": "89.90"},
                {"currency_code": "USD", "amount": "95.00"},
            ],
            "weight_grams": 350,
            "dimensions": {"length_mm": 300, "width_mm": 200, "height_mm": 80},
        }
    ],
}

WAREHOUSE: dict[str, Any] = {
    "warehouse_id": "madrid",
    "display_name": "Madrid",
    "region_code": "ES",
    "cell": "EU",
    "kind": "overseas",
    "served_countries": [
        {
            "region_code": "ES",
            "transit_days_min": 1,
            "transit_days_max": 3,
            "cost": {"currency_code": "EUR", "amount": "4.50"},
        }
    ],
    "priority": 10,
}

RECEIVE: dict[str, Any] = {
    "warehouse_id": "madrid",
    "merchant_id": "north-lights",
    "document": "RCPT-2026-0001",
    "lines": [{"sku": "WIG-18", "quantity": 100}],
}

ADJUST: dict[str, Any] = {
    "warehouse_id": "madrid",
    "merchant_id": "north-lights",
    "document": "COUNT-7",
    "reason": "count_loss",
    "lines": [{"sku": "WIG-18", "quantity": -2}],
}

ORDER: dict[str, Any] = {
    "buyer_ref": "buyer-1001",
    "currency_code": "EUR",
    "lines": [{"sku": "WIG-18", "quantity": 2}],
    "ship_to": {
        "region_code": "ES",
        "postal_code": "28013",
        "locality": "Madrid",
        "address_lines": ["Calle Mayor 1"],
        "recipients": ["A. Buyer"],
    },
    "payment_terms": "pay_later",
    "payment_window_s": 1800,
    "expected_total": {"currency_code": "EUR", "amount": "179.80"},
}

QUOTE: dict[str, Any] = {"currency_code": "EUR", "lines": [{"sku": "WIG-18", "quantity": 2}]}

AVAILABILITY: dict[str, Any] = {
    "availabilities": [
        {
            "sku": "WIG-18",
            "available": 98,
            "warehouses": [
                {"warehouse_id": "madrid", "available": 98, "transit_days_min": 1, "transit_days_max": 3}
            ],
        }
    ]
}

IMPORT_LINE = '{"product_id": "ice-box", "titles": {"en": "Ice box"}, "variants": [{"sku": "ICE-200", '
IMPORT_LINE += '"prices": [{"currency_code": "EUR", "amount": "249.00"}]}]}\n'

EVENTS = (
    'retry: 2000\n\nid: 2\nevent: order\ndata: {"order_id":"019ab3c0-5e1f-7c3e-8f65-0d6c2f3f5b11","version":2,'
    '"state":"awaiting_payment","final":false}\n\n'
)

ORDERS_EVENTS = (
    "retry: 2000\n\nid: AYICxwEBgAM\n\nid: AYICxwEBgQM\nevent: order\n"
    'data: {"order_id":"019ab3c0-5e1f-7c3e-8f65-0d6c2f3f5b11","merchant_id":"north-lights","version":2,'
    '"state":"awaiting_payment","final":false}\n\n'
)

AVAILABILITY_EVENTS = (
    'retry: 2000\n\nevent: availability\ndata: {"sku":"WIG-18","available":98,"warehouses":'
    '[{"warehouse_id":"madrid","available":98,"transit_days_min":1,"transit_days_max":3}]}\n\n'
)

TENANT: dict[str, Any] = {"tenant_id": "acme", "display_name": "Acme Marketplace"}

RATE_LIMITS: dict[str, Any] = {"orders": 600, "reads": 6_000}

API_KEY: dict[str, Any] = {
    "display_name": "Madrid, packing line",
    "roles": ["warehouse"],
    "warehouse_ids": ["madrid"],
    "expire_time": "2030-01-01T00:00:00Z",
}

WEBHOOK_ENDPOINT: dict[str, Any] = {
    "url": "https://hooks.example.com/sampan",
    "description": "The ERP's",
    "event_types": ["order.placed", "order.cancelled", "parcel.shipped"],
}

WEBHOOK_ENDPOINT_PAUSED: dict[str, Any] = WEBHOOK_ENDPOINT | {
    "webhook_endpoint_id": "019ab3bf-11d2-7a40-8c55-9b7a4e2f6c01",
    "state": "enabled",
    "disable_reason": "none",
    "failing_since_time": "2026-03-01T09:30:06.020000Z",
    "paused_until_time": "2026-03-01T09:32:06.020000Z",
    "secrets": [
        {
            "secret_id": "019ab3bf-11d2-7a41-b0c7-52d8e4f19a70",
            "create_time": "2026-02-27T14:05:12.482000Z",
            "expire_time": None,
        }
    ],
    "version": 1,
    "create_time": "2026-02-27T14:05:12.482000Z",
    "update_time": "2026-02-27T14:05:12.482000Z",
}

DELIVERIES: dict[str, Any] = {
    "deliveries": [
        {
            "delivery_id": "019ab3c0-6a2e-7d10-9a3b-4f0f8f1c2d33",
            "webhook_endpoint_id": "019ab3bf-11d2-7a40-8c55-9b7a4e2f6c01",
            "message_id": "msg_019ab3c05e1f7c3e8f650d6c2f3f5b11",
            "event_type": "parcel.shipped",
            "event_time": "2026-03-01T09:30:00.123456Z",
            "state": "pending",
            "attempts": 2,
            "last_status": 503,
            "last_failure": "status",
            "last_attempt_time": "2026-03-01T09:30:06.020000Z",
            "next_attempt_time": "2026-03-01T09:30:25.310000Z",
            "create_time": "2026-03-01T09:30:00.150000Z",
        }
    ],
    "next_page_token": "",
}

PARKED_GROUPS: dict[str, Any] = {
    "parked_groups": [
        {
            "group": "orders.fulfilments",
            "service": "orders",
            "events": 2,
            "oldest_park_time": "2026-03-01T09:30:00.123456Z",
        }
    ],
    "unreachable_services": [],
}

PARKED_EVENTS: dict[str, Any] = {
    "parked_events": [
        {
            "parked_event_id": 17,
            "topic": "sampan.warehouse.fulfilments.v1",
            "partition": 3,
            "offset": 4211,
            "aggregate_id": "019ab3c0-5e1f-7c3e-8f65-0d6c2f3f5b11",
            "version": 2,
            "event_type": "sampan.warehouse.v1.StockReserved",
            "cause": "failed",
            "detail": "EventMalformed: the order is another tenant's",
            "record_time": "2026-03-01T09:29:59.871000Z",
            "park_time": "2026-03-01T09:30:00.123456Z",
            "attempts": 1,
        }
    ],
    "next_page_token": "",
}

REPLAY_PARKED_EVENTS: dict[str, Any] = {
    "group": "orders.fulfilments",
    "aggregate_id": "019ab3c0-5e1f-7c3e-8f65-0d6c2f3f5b11",
}

DISCARD_PARKED_EVENTS: dict[str, Any] = {
    "group": "orders.fulfilments",
    "parked_event_ids": [17],
    "note": "broken off, see incident 12",
}
