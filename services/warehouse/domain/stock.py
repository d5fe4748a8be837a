"""Stock of a SKU: units on hand, the part of them that pending holds keep, and the ledger of the former.

0 <= reserved <= on_hand holds after every single step, not only at the end of a batch.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

ACTOR_OF_HOLDS = "warehouse"


class LedgerReason(StrEnum):
    """Why stock on hand changed."""

    INBOUND_RECEIVE = "INBOUND_RECEIVE"
    COUNT_GAIN = "COUNT_GAIN"
    COUNT_LOSS = "COUNT_LOSS"
    DAMAGE = "DAMAGE"
    DISPOSE = "DISPOSE"
    PICK = "PICK"
    CANCEL_RESTOCK = "CANCEL_RESTOCK"


ADJUSTMENT_SIGNS = {
    LedgerReason.COUNT_GAIN: 1,
    LedgerReason.COUNT_LOSS: -1,
    LedgerReason.DAMAGE: -1,
    LedgerReason.DISPOSE: -1,
}
"""The sign that each reason of an adjustment demands."""


class StockInvariantBroken(AssertionError):
    """A step would leave 0 <= reserved <= on_hand: a fault of ours, never of a request."""


class Allocation(NamedTuple):
    """Units of a SKU in one warehouse."""

    sku: str
    warehouse_id: str
    quantity: int


@dataclass(slots=True)
class StockLevel:
    """The stock of a SKU in one warehouse. `version` counts the batches that changed it."""

    warehouse_id: str
    on_hand: int
    reserved: int
    version: int
    changed: bool = False

    @property
    def available(self) -> int:
        """What can be promised."""
        return self.on_hand - self.reserved


@dataclass(slots=True)
class SkuStock:
    """All stock of a SKU, whose owner is one merchant, by warehouse."""

    tenant_id: str
    sku: str
    merchant_id: str
    levels: dict[str, StockLevel] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Whether nothing of it lies anywhere."""
        return all(level.on_hand == 0 for level in self.levels.values())

    @property
    def version(self) -> int:
        """Grows with every change of any level, since each level's version only grows."""
        return sum(level.version for level in self.levels.values())


class LedgerEntry(NamedTuple):
    """One change of stock on hand."""

    tenant_id: str
    sku: str
    warehouse_id: str
    delta: int
    reason: LedgerReason
    document: str
    actor: str


class StockBook:
    """The stock that a decision may change, and what it has changed so far."""

    def __init__(self, stocks: Iterable[SkuStock] = ()) -> None:
        self._stocks = {(stock.tenant_id, stock.sku): stock for stock in stocks}
        self.ledger: list[LedgerEntry] = []
        self._changed: dict[tuple[str, str], SkuStock] = {}

    def find(self, tenant_id: str, sku: str) -> SkuStock | None:
        """The SKU's stock; None where it never had any."""
        return self._stocks.get((tenant_id, sku))

    def changed_skus(self) -> Iterable[SkuStock]:
        """Each SKU with a changed level, once."""
        return self._changed.values()

    def changed_levels(self) -> Iterator[tuple[SkuStock, StockLevel]]:
        """Each changed level, once; its version is already the new one."""
        for stock in self._changed.values():
            for level in stock.levels.values():
                if level.changed:
                    yield stock, level

    def reserve(self, tenant_id: str, allocations: Iterable[Allocation]) -> None:
        """A pending hold begins to keep units."""
        for sku, warehouse_id, quantity in allocations:
            self._change(tenant_id, sku, warehouse_id, 0, quantity)

    def release(self, tenant_id: str, allocations: Iterable[Allocation]) -> None:
        """A pending hold ends without taking its units."""
        for sku, warehouse_id, quantity in allocations:
            self._change(tenant_id, sku, warehouse_id, 0, -quantity)

    def pick(self, tenant_id: str, allocations: Iterable[Allocation], order_id: str) -> None:
        """A pending hold ends by taking its units."""
        for sku, warehouse_id, quantity in allocations:
            self._change(tenant_id, sku, warehouse_id, -quantity, -quantity)
            self.ledger.append(
                LedgerEntry(
                    tenant_id, sku, warehouse_id, -quantity, LedgerReason.PICK, order_id, ACTOR_OF_HOLDS
                )
            )

    def put_back(self, tenant_id: str, allocations: Iterable[Allocation], order_id: str) -> None:
        """Units that were picked return to sellable stock."""
        for sku, warehouse_id, quantity in allocations:
            self._change(tenant_id, sku, warehouse_id, quantity, 0)
            self.ledger.append(
                LedgerEntry(
                    tenant_id,
                    sku,
                    warehouse_id,
                    quantity,
                    LedgerReason.CANCEL_RESTOCK,
                    order_id,
                    ACTOR_OF_HOLDS,
                )
            )

    def _change(self, tenant_id: str, sku: str, warehouse_id: str, on_hand: int, reserved: int) -> None:
        key = (tenant_id, sku)
        stock = self._stocks[key]
        level = stock.levels[warehouse_id]
        level.on_hand += on_hand
        level.reserved += reserved
        if not 0 <= level.reserved <= level.on_hand:
            raise StockInvariantBroken(
                f"{sku} in {warehouse_id}: {level.reserved} of {level.on_hand} reserved"
            )
        if not level.changed:
            level.changed = True
            level.version += 1
            self._changed[key] = stock
