"""The catalogue and the stock that a replay needs, and their names in the API.

Prices in the data differ from line to line for one stock code, and the API never takes a price from its
caller. So every (stock code, price) is a product of its own: SKU "<run>.<code>@<price>", as "r1.85123A@2.55".
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from deploy.replay.countries import site_for
from deploy.replay.retail import SaleOrder

_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_")
_ESCAPE = "~"

Item = tuple[str, int]
"""(stock code, price in pence)"""


@dataclass(frozen=True, slots=True)
class Naming:
    """The names of one run's things; two runs share none, so that neither can take the other's stock."""

    run: str

    @property
    def merchant_id(self) -> str:
        """One merchant for all runs."""
        return "replay"

    @property
    def buyer_ref(self) -> str:
        """The same for every order of the run, so that listing by it lists the run."""
        return f"replay/{self.run}"

    def warehouse_id(self, suffix: str) -> str:
        """The run's own warehouse at a site."""
        return f"replay-{self.run}-{suffix}"

    def sku(self, item: Item) -> str:
        """The SKU of a stock code at a price; case and spaces are kept."""
        stock_code, price_pence = item
        return f"{self.run}.{stock_code}@{money(price_pence)}"

    def order_key(self, invoice: str) -> str:
        """The Idempotency-Key of an invoice's order."""
        return f"{self.run}/{invoice}"


def money(minor: int) -> str:
    """Pence as the decimal string of the API."""
    return f"{minor // 100}.{minor % 100:02d}"


def minor(amount: str) -> int:
    """The inverse of `money`; raises ValueError for what has not exactly two places."""
    whole, dot, fraction = amount.partition(".")
    if not dot or len(fraction) != 2 or not (whole + fraction).isdigit():
        raise ValueError(f"not an amount in pounds: {amount!r}")
    return int(whole) * 100 + int(fraction)


def product_id(sku: str) -> str:
    """A SKU as a product id, which takes fewer characters: others become "~" and two hex digits each byte."""
    return "".join(
        char if char in _PLAIN else "".join(f"{_ESCAPE}{byte:02X}" for byte in char.encode()) for char in sku
    )


def items_of(orders: Iterable[SaleOrder]) -> list[Item]:
    """Every (stock code, price) that the orders name, in the order of first appearance."""
    return list(dict.fromkeys((code, price) for order in orders for code, price, _ in order.lines))


def import_rows(items: Sequence[Item], titles: Mapping[str, str], naming: Naming) -> Iterator[bytes]:
    """The catalogue as lines of NDJSON."""
    encode = msgspec.json.Encoder().encode
    for item in items:
        sku = naming.sku(item)
        yield (
            encode(
                {
                    "product_id": product_id(sku),
                    "merchant_id": naming.merchant_id,
                    "titles": {"en": titles[item[0]]},
                    "category": "replay",
                    "status": "active",
                    "variants": [
                        {"sku": sku, "prices": [{"currency_code": "GBP", "amount": money(item[1])}]},
                    ],
                }
            )
            + b"\n"
        )


def stock_needed(orders: Iterable[SaleOrder]) -> dict[str, dict[Item, int]]:
    """Exactly the units that the orders will sell, by site: what is received is sold to the last piece."""
    needed: dict[str, dict[Item, int]] = defaultdict(lambda: defaultdict(int))
    for order in orders:
        for code, price, quantity in order.lines:
            needed[site_for(order.region_code, code)][(code, price)] += quantity
    return {site: dict(items) for site, items in needed.items()}


def parcels_needed(order: SaleOrder) -> int:
    """Into how many parcels an order must be split: one for each site that holds some of it."""
    return len({site_for(order.region_code, code) for code, _, _ in order.lines})
