"""What is on sale during a run: one merchant, two warehouses, a few hot articles and many others."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

MERCHANT_ID = "north-lights"
CURRENCY = "EUR"
REGION = "ES"
WAREHOUSES = (("madrid", "ES", "overseas", 1), ("canton", "CN", "origin", 9))
HOT = 3
SPREAD = 37
HOT_SHARE = 0.4
STOCK_AT_FIRST = 400


@dataclass(frozen=True, slots=True)
class Shop:
    """Its articles, the hot ones first."""

    skus: Sequence[str]
    prices: Sequence[Decimal]

    @classmethod
    def of(cls, seed: int) -> "Shop":
        """The same articles for the same seed."""
        rng = random.Random(seed)
        count = HOT + SPREAD
        return cls(
            [f"CHAOS-{number:03d}" for number in range(count)],
            [Decimal(rng.randrange(100, 10_000)) / 100 for _ in range(count)],
        )

    def pick(self, rng: random.Random) -> str:
        """One SKU, often a hot one."""
        if rng.random() < HOT_SHARE:
            return self.skus[rng.randrange(HOT)]
        return rng.choice(self.skus)

    def merchant(self) -> dict[str, object]:
        """The body that makes the merchant."""
        return {"merchant_id": MERCHANT_ID, "display_name": "North Lights", "region_code": "CN"}

    def warehouses(self) -> list[dict[str, object]]:
        """The bodies that make the warehouses."""
        return [
            {
                "warehouse_id": warehouse_id,
                "display_name": warehouse_id.title(),
                "region_code": region_code,
                "cell": "EU" if region_code == REGION else "CN",
                "kind": kind,
                "served_countries": [
                    {
                        "region_code": REGION,
                        "transit_days_min": priority,
                        "transit_days_max": priority + 2,
                        "cost": {"currency_code": CURRENCY, "amount": f"{priority}.00"},
                    }
                ],
                "priority": priority,
            }
            for warehouse_id, region_code, kind, priority in WAREHOUSES
        ]

    def products(self) -> list[dict[str, object]]:
        """The bodies that make the products, one variant each."""
        return [
            {
                "product_id": sku.lower(),
                "merchant_id": MERCHANT_ID,
                "titles": {"en": f"Article {sku}"},
                "hs_code": "670411",
                "origin_region_code": "CN",
                "variants": [
                    {
                        "sku": sku,
                        "prices": [{"currency_code": CURRENCY, "amount": f"{price:.2f}"}],
                        "weight_grams": 100,
                    }
                ],
            }
            for sku, price in zip(self.skus, self.prices, strict=True)
        ]

    def receipt(
        self, document: str, warehouse_id: str, lines: Sequence[tuple[str, int]]
    ) -> dict[str, object]:
        """The body that books goods in."""
        return {
            "warehouse_id": warehouse_id,
            "merchant_id": MERCHANT_ID,
            "document": document,
            "lines": [{"sku": sku, "quantity": quantity} for sku, quantity in lines],
        }

    def order(self, rng: random.Random, *, buyer_ref: str, lines_max: int = 3) -> dict[str, object]:
        """The body of an order of one to `lines_max` different articles."""
        skus = sorted({self.pick(rng) for _ in range(rng.randint(1, lines_max))})
        prepaid = rng.random() < 0.5
        body: dict[str, object] = {
            "buyer_ref": buyer_ref,
            "currency_code": CURRENCY,
            "lines": [{"sku": sku, "quantity": rng.randint(1, 3)} for sku in skus],
            "ship_to": {"region_code": REGION, "postal_code": "28013", "address_lines": ["Calle 1"]},
            "payment_terms": "prepaid" if prepaid else "pay_later",
        }
        if not prepaid and rng.random() < 0.7:
            body["payment_window_s"] = rng.randint(60, 75)
        return body
