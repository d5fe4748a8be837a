"""What the bench orders: 10,000 SKUs that all runs share, some of its own per run, one warehouse; and its requests."""

import asyncio
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from deploy.bench.load import post_request
from deploy.replay.client import Api, Reply

MERCHANT_ID = "bench"
CATEGORY = "bench"
WAREHOUSE_ID = "bench"
CURRENCY = "USD"
PRICE = "10.00"
REGION = "US"
SKUS = 10_000
CHUNK = 1_000
WAIT_S = 10
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

    def own_sku(self, name: str) -> str:
        """New in every run, so that its stock is exactly what this run received."""
        return f"bench.{name}.{self.run}"

    def buyer_ref(self, part: str) -> str:
        """One per part of the run, so that listing by it lists the part."""
        return f"bench/{self.run}/{part}"


def spread_sku(number: int) -> str:
    """One of the shared SKUs."""
    return f"bench.{number:05d}"


def spread_skus() -> list[str]:
    """All shared SKUs."""
    return [spread_sku(number) for number in range(SKUS)]


async def prepare(api: Api, shop: Shop, *, units_each: int, units_of: Mapping[str, int]) -> None:
    """Merchant, warehouse, catalogue and stock; waits until all of it can be ordered. Raises ShopNotReady.

    `units_of` gives the run's own SKUs and their stock; every shared SKU gets `units_each` more.
    """
    await prepare_owners(api)
    skus = [*spread_skus(), *units_of]
    await import_products(api, skus, CATEGORY)
    for number, chunk in enumerate(_chunks(skus)):
        document = f"bench/{shop.run}/{number}"
        lines = [(sku, units_of.get(sku, units_each)) for sku in chunk]
        must(await api.post("/v1/stock:receive", _receipt(document, lines), key=document))
    await await_orderable(api, skus)


async def prepare_owners(api: Api) -> None:
    """The bench's merchant and warehouse."""
    must(await api.post("/v1/merchants", _merchant(), key="bench/merchant"))
    must(await api.post("/v1/warehouses", _warehouse(), key="bench/warehouse"))


async def import_products(api: Api, skus: Sequence[str], category: str) -> Reply:
    """One product with one variant per SKU, by one import. Raises ShopNotReady where a row fails."""
    rows = b"".join(product_row(sku, category) for sku in skus)
    imported = must(
        await api.post(
            "/v1/imports/products", rows, content_type="application/x-ndjson", timeout_s=IMPORT_TIMEOUT_S
        )
    )
    if msgspec.json.decode(imported.body)["failed"]:
        raise ShopNotReady(imported.body[:500].decode())
    return imported


async def await_orderable(api: Api, skus: Sequence[str]) -> None:
    """Waits until carts with all these SKUs can be priced."""
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
    base_url: str,
    api_key: str,
    shop: Shop,
    part: str,
    count: int,
    *,
    seed: int,
    skus: Sequence[str] = (),
    wait_every: int = 0,
) -> Iterator[bytes]:
    """Orders of 1 to 3 lines, evenly spread over the SKUs (the shared ones, where none are given).

    Every `wait_every`-th asks to be answered only once its order is decided; 0 for none.
    """
    choice = random.Random(seed)
    skus = skus or spread_skus()
    buyer_ref = shop.buyer_ref(part)
    for number in range(count):
        body = _order(buyer_ref, choice.sample(skus, choice.randint(1, 3)))
        wait_s = WAIT_S if wait_every and number % wait_every == 0 else 0
        yield post_request(base_url, "/v1/orders", api_key, f"{buyer_ref}/{number}", body, wait_s=wait_s)


def one_sku_requests(
    base_url: str, api_key: str, shop: Shop, part: str, sku: str, count: int
) -> Iterator[bytes]:
    """Orders of one unit of one SKU each."""
    buyer_ref = shop.buyer_ref(part)
    body = _order(buyer_ref, [sku])
    for number in range(count):
        yield post_request(base_url, "/v1/orders", api_key, f"{buyer_ref}/{number}", body)


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


def product_row(sku: str, category: str) -> bytes:
    """A row of an import."""
    return (
        _encode(
            {
                "product_id": sku,
                "merchant_id": MERCHANT_ID,
                "titles": {"en": f"A product of the bench, {sku}"},
                "category": category,
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


def must(reply: Reply) -> Reply:
    """The reply, which has to be a 2xx; else ShopNotReady."""
    if not reply.ok:
        raise ShopNotReady(f"{reply.status}: {reply.body[:500].decode(errors='replace')}")
    return reply
