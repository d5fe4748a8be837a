"""What the bench orders: 10,000 SKUs that all runs share, one hot SKU per run, one warehouse; and its requests."""

import asyncio
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec

from deploy.bench.load import post_request
from deploy.replay.client import Api, Reply

MERCHANT_ID = "bench"
WAREHOUSE_ID = "bench"
CURRENCY = "USD"
PRICE = "10.00"
REGION = "US"
SKUS = 10_000
CHUNK = 1_000
PAYMENT_WINDOW_S = 86_400
IMPORT_TIMEOUT_S = 120.0
PROPAGATION_S_MAX = 60.0
POLL_S = 0.1
_encode = msgspec.json.Encoder().encode


class ShopNotReady(Exception):
    """The stack refused what the bench needs before it can begin."""


@dataclass(frozen=True, slots=True)
class Shop:
    """The names of one run."""

    run: str

    @property
    def hot_sku(self) -> str:
        """New in every run, so that its stock is exactly what this run received."""
        return f"bench.hot.{self.run}"

    def buyer_ref(self, part: str) -> str:
        """One per part of the run, so that listing by it lists the part."""
        return f"bench/{self.run}/{part}"


def spread_sku(number: int) -> str:
    """One of the shared SKUs."""
    return f"bench.{number:05d}"


async def prepare(api: Api, shop: Shop, *, units_each: int, units_hot: int) -> None:
    """Merchant, warehouse, catalogue and stock; waits until all of it can be ordered. Raises ShopNotReady."""
    _must(await api.post("/v1/merchants", _merchant(), key="bench/merchant"))
    _must(await api.post("/v1/warehouses", _warehouse(), key="bench/warehouse"))
    skus = [spread_sku(number) for number in range(SKUS)] + [shop.hot_sku]
    rows = b"".join(_product(sku) for sku in skus)
    imported = await api.post(
        "/v1/imports/products", rows, content_type="application/x-ndjson", timeout_s=IMPORT_TIMEOUT_S
    )
    if msgspec.json.decode(_must(imported).body)["failed"]:
        raise ShopNotReady(imported.body[:500].decode())
    for number, chunk in enumerate(_chunks(skus)):
        document = f"bench/{shop.run}/{number}"
        lines = [(sku, units_hot if sku == shop.hot_sku else units_each) for sku in chunk]
        _must(await api.post("/v1/stock:receive", _receipt(document, lines), key=document))
    for chunk in _chunks(skus):
        quote = _encode({"currency_code": CURRENCY, "lines": [{"sku": sku, "quantity": 1} for sku in chunk]})
        await _orderable(api, quote)


async def _orderable(api: Api, quote: bytes) -> None:
    """The prices arrive through Kafka: waits until a cart with them can be priced."""
    deadline = time.monotonic() + PROPAGATION_S_MAX
    while not (reply := await api.post("/v1/quotes", quote)).ok:
        if time.monotonic() > deadline:
            raise ShopNotReady(f"{reply.status}: {reply.body[:500].decode(errors='replace')}")
        await asyncio.sleep(POLL_S)


def spread_requests(
    base_url: str, api_key: str, shop: Shop, part: str, count: int, *, seed: int
) -> list[bytes]:
    """Orders of 1 to 3 lines, evenly spread over the SKUs."""
    choice = random.Random(seed)
    return [
        post_request(
            base_url,
            "/v1/orders",
            api_key,
            f"{shop.buyer_ref(part)}/{number}",
            _order(
                shop.buyer_ref(part),
                [spread_sku(n) for n in choice.sample(range(SKUS), choice.randint(1, 3))],
            ),
        )
        for number in range(count)
    ]


def hot_requests(base_url: str, api_key: str, shop: Shop, count: int) -> list[bytes]:
    """Orders of one unit of the hot SKU each."""
    buyer_ref = shop.buyer_ref("hot")
    return [
        post_request(
            base_url, "/v1/orders", api_key, f"{buyer_ref}/{number}", _order(buyer_ref, [shop.hot_sku])
        )
        for number in range(count)
    ]


def _order(buyer_ref: str, skus: Sequence[str]) -> bytes:
    """Pay-later, so that it rests once its stock is reserved: that is the moment the bench measures."""
    return _encode(
        {
            "buyer_ref": buyer_ref,
            "currency_code": CURRENCY,
            "lines": [{"sku": sku, "quantity": 1} for sku in skus],
            "ship_to": {"region_code": REGION, "locality": "Portland", "address_lines": ["1 Bench Road"]},
            "payment_terms": "pay_later",
            "payment_window_s": PAYMENT_WINDOW_S,
            "expected_total": {"currency_code": CURRENCY, "amount": f"{len(skus) * 10}.00"},
        }
    )


def _merchant() -> bytes:
    return _encode({"merchant_id": MERCHANT_ID, "display_name": "The bench", "region_code": "US"})


def _warehouse() -> bytes:
    return _encode(
        {
            "warehouse_id": WAREHOUSE_ID,
            "display_name": "The bench's warehouse",
            "region_code": "US",
            "cell": "US",
            "kind": "overseas",
            "served_countries": [
                {
                    "region_code": REGION,
                    "transit_days_min": 1,
                    "transit_days_max": 4,
                    "cost": {"currency_code": CURRENCY, "amount": "5.00"},
                }
            ],
        }
    )


def _product(sku: str) -> bytes:
    return (
        _encode(
            {
                "product_id": sku,
                "merchant_id": MERCHANT_ID,
                "titles": {"en": f"A product of the bench, {sku}"},
                "category": "bench",
                "variants": [{"sku": sku, "prices": [{"currency_code": CURRENCY, "amount": PRICE}]}],
            }
        )
        + b"\n"
    )


def _receipt(document: str, lines: Sequence[tuple[str, int]]) -> bytes:
    return _encode(
        {
            "warehouse_id": WAREHOUSE_ID,
            "merchant_id": MERCHANT_ID,
            "document": document,
            "lines": [{"sku": sku, "quantity": quantity} for sku, quantity in lines],
        }
    )


def _chunks(skus: Sequence[str]) -> Iterator[Sequence[str]]:
    return (skus[start : start + CHUNK] for start in range(0, len(skus), CHUNK))


def _must(reply: Reply) -> Reply:
    if not reply.ok:
        raise ShopNotReady(f"{reply.status}: {reply.body[:500].decode(errors='replace')}")
    return reply
