"""The warehouse in memory: the same pure decisions, over values that are never read back from a database.

Whatever PostgreSQL makes of a sequence of steps must equal what the twin makes of it. Where a step is no pure
function of the warehouse (goods that come in, corrections), the twin has its own, plainer arithmetic.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from services.warehouse import events
from services.warehouse.commands.stock import RECEIVE, Movement
from services.warehouse.domain.decision import Changes, WorkingSet, decide
from services.warehouse.domain.holds import Command, Expire, Fact, Fulfilment, HoldState, ParcelAdvanced
from services.warehouse.domain.parcels import Advance, Parcel, ParcelItem, ParcelState, advance
from services.warehouse.domain.stock import LedgerEntry, LedgerReason, SkuStock, StockBook, StockLevel
from services.warehouse.domain.warehouses import Network
from tests.integration.warehouse.scene import TENANT

LIFE = re.compile(
    # Refused at birth, and told so again by whoever still asks.
    r"J[JC]*"
    # Voided, or intercepted, before it was ever reserved.
    r"|[VC][JC]*"
    # Reserved, and then exactly one end; only one that expired may be posted or refused after all.
    r"|R(?:|[VC][JC]*|P(?:C*|A[AX]*)|EC*(?:|P(?:C*|A[AX]*)|J[JC]*))"
)
"""All lives that a fulfilment can have, a letter per event. Written down by hand: it knows no code of ours."""

REPORT = "S"
"""How it stands, told to an order that asked: changes nothing, and so may come at any time but before all else."""

LETTERS = {
    "StockReserved": "R",
    "StockRejected": "J",
    "HoldExpired": "E",
    "HoldVoided": "V",
    "ParcelsAllocated": "P",
    "ParcelAdvanced": "A",
    "FulfilmentCancelled": "C",
    "CancellationRefused": "X",
    "FulfilmentReported": REPORT,
}


def is_life(letters: str) -> bool:
    """Whether these events, in this order, can be those of one fulfilment."""
    return not letters.startswith(REPORT) and LIFE.fullmatch(letters.replace(REPORT, "")) is not None


@dataclass
class Twin:
    """What the tables should hold."""

    network: Network
    fulfilments: dict[str, Fulfilment] = field(default_factory=dict)
    stocks: dict[str, SkuStock] = field(default_factory=dict)
    parcels: dict[str, Parcel] = field(default_factory=dict)
    ledger: list[LedgerEntry] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    movements: dict[tuple[str, str], Movement] = field(default_factory=dict)
    snapshots: dict[str, bytes] = field(default_factory=dict)

    def decide(self, commands: Sequence[Command], now: datetime, new_id: Callable[[], str]) -> Changes:
        """A batch of commands, as one transaction decides them."""
        book = StockBook(self.stocks.values())
        working_set = WorkingSet(now, self.fulfilments, book, {TENANT: self.network})
        changes = decide(commands, working_set, new_id)
        self.facts += changes.facts
        self.ledger += book.ledger
        for opened in changes.opened:
            order = opened.fulfilment
            self.parcels[opened.parcel_id] = Parcel(
                parcel_id=opened.parcel_id,
                tenant_id=TENANT,
                order_id=order.order_id,
                merchant_id=order.merchant_id,
                warehouse_id=opened.warehouse_id,
                region_code=order.region_code,
                state=ParcelState.ALLOCATED,
                items=tuple(
                    ParcelItem(line.sku, line.quantity)
                    for line in order.allocations
                    if line.warehouse_id == opened.warehouse_id
                ),
                carrier="",
                tracking_number="",
                create_time=now,
            )
        for parcel in self.parcels.values():
            if parcel.order_id in changes.intercepted:
                parcel.state = ParcelState.CANCELLED
        self._settle(book)
        return changes

    def overdue(self, now: datetime) -> list[Command]:
        """What a sweep would do."""
        return [
            Expire(order_id=hold.order_id, tenant_id=TENANT)
            for hold in sorted(self.fulfilments.values(), key=lambda hold: hold.order_id)
            if hold.is_overdue(now)
        ]

    def pass_deadline(self, order_id: str, now: datetime) -> None:
        """Time flies, for one hold."""
        self.fulfilments[order_id].expire_time = now - timedelta(minutes=1)

    def extend(self, order_id: str, expire_time: datetime, now: datetime) -> bool:
        """A later deadline; False where there is nothing to extend."""
        hold = self.fulfilments.get(order_id)
        if hold is None or hold.state is not HoldState.PENDING or hold.is_overdue(now):
            return False
        if hold.expire_time is None or hold.expire_time > expire_time:
            return False
        hold.expire_time = expire_time
        return True

    def advance(self, wishes: Sequence[Advance], now: datetime) -> list[bool | None]:
        """Parcels move on: per wish True, False where nothing changed, None where it is refused."""
        answers: list[bool | None] = []
        for wish in wishes:
            parcel = self.parcels.get(wish.parcel_id)
            moved = None if parcel is None else advance(parcel, wish, now)
            answers.append(moved)
            if parcel is None or not moved:
                continue
            hold = self.fulfilments[parcel.order_id]
            hold.version += 1
            hold.parcels = tuple(
                one._replace(
                    state=parcel.state, carrier=parcel.carrier, tracking_number=parcel.tracking_number
                )
                if one.parcel_id == parcel.parcel_id
                else one
                for one in hold.parcels
            )
            self.facts.append(
                ParcelAdvanced(
                    tenant_id=TENANT,
                    merchant_id=parcel.merchant_id,
                    order_id=parcel.order_id,
                    version=hold.version,
                    parcel_id=parcel.parcel_id,
                    state=parcel.state,
                    carrier=parcel.carrier,
                    tracking_number=parcel.tracking_number,
                )
            )
        return answers

    def move(self, movement: Movement) -> str:
        """Goods come in or are corrected; the reason of the refusal, or nothing."""
        known = self.movements.get((movement.route, movement.request_id))
        if known is not None:
            return "" if known.digest() == movement.digest() else "REQUEST_ID_REUSED"
        adds_owner = movement.route == RECEIVE or movement.reason is LedgerReason.COUNT_GAIN
        sold = {entry.sku for entry in self.ledger if entry.reason is LedgerReason.PICK}
        for sku, _ in movement.units:
            stock = self.stocks.get(sku)
            if stock is None:
                if not adds_owner:
                    return "STOCK_INSUFFICIENT"
            elif stock.merchant_id != movement.merchant_id:
                nothing_lies = not any(level.on_hand for level in stock.levels.values())
                if movement.route != RECEIVE or not nothing_lies or sku in sold:
                    return "STOCK_OWNER_MISMATCH"
        for sku, units in movement.units:
            level = self._level(sku, movement.warehouse_id)
            if (level.on_hand - level.reserved if level else 0) + units < 0:
                return "STOCK_INSUFFICIENT"
        self._book(movement)
        return ""

    def _level(self, sku: str, warehouse_id: str) -> StockLevel | None:
        stock = self.stocks.get(sku)
        return stock.levels.get(warehouse_id) if stock else None

    def _book(self, movement: Movement) -> None:
        warehouse_id = movement.warehouse_id
        for sku, units in movement.units:
            stock = self.stocks.setdefault(sku, SkuStock(TENANT, sku, movement.merchant_id))
            stock.merchant_id = movement.merchant_id
            level = stock.levels.setdefault(warehouse_id, StockLevel(warehouse_id, 0, 0, 0))
            level.on_hand += units
            level.version += 1
            self.ledger.append(
                LedgerEntry(
                    TENANT, sku, warehouse_id, units, movement.reason, movement.document, movement.actor
                )
            )
        self.movements[movement.route, movement.request_id] = movement
        self._publish([self.stocks[sku] for sku, _ in movement.units])

    def _settle(self, book: StockBook) -> None:
        self._publish(list(book.changed_skus()))
        for stock in book.changed_skus():
            for level in stock.levels.values():
                level.changed = False

    def _publish(self, stocks: Sequence[SkuStock]) -> None:
        """What anybody may know of these SKUs from now on."""
        self.snapshots |= {message.key: message.payload for message in events.messages_of((), stocks)}
