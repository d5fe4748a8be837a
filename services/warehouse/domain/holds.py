"""Two-phase holds: the states and their only moves, the commands that ask for one, the facts that come of it.

          reserve                post
(none) ----------> PENDING ----------------> POSTED
  |  \\               |  \\ deadline passed       ^
  |   \\ no stock     |   +--> EXPIRED ----------+ post: reserved anew, where stock is still there
  |    +--> REJECTED  |          |
  |                   | void     +--> REJECTED   post, but the stock is gone
  +--- void first --> VOIDED
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from services.warehouse.domain.parcels import OpenedParcel, ParcelState
from services.warehouse.domain.sourcing import Rejection, Shortage
from services.warehouse.domain.stock import Allocation

LINES_MAX = 2_000
QUANTITY_MAX = 1_000_000


class HoldState(StrEnum):
    """Where a hold stands."""

    PENDING = "PENDING"
    POSTED = "POSTED"
    VOIDED = "VOIDED"
    EXPIRED = "EXPIRED"
    REJECTED = "REJECTED"


BIRTHS = frozenset({HoldState.PENDING, HoldState.REJECTED, HoldState.VOIDED})
"""The states that a hold may begin in; VOIDED is the tombstone of a void that came first."""

MOVES: Mapping[HoldState, frozenset[HoldState]] = {
    HoldState.PENDING: frozenset({HoldState.POSTED, HoldState.VOIDED, HoldState.EXPIRED}),
    HoldState.EXPIRED: frozenset({HoldState.POSTED, HoldState.REJECTED}),
    HoldState.POSTED: frozenset(),
    HoldState.VOIDED: frozenset(),
    HoldState.REJECTED: frozenset(),
}
"""The only moves that there are."""


class IllegalMove(AssertionError):
    """A move that the table does not know: a fault of ours, never of a request."""


class Line(NamedTuple):
    """Units of a SKU asked for, over all lines of the order; hazardous if any of them is."""

    sku: str
    quantity: int
    hazardous: bool


@dataclass(slots=True)
class Fulfilment:
    """What the warehouse knows of an order. `version` counts the facts about it, from 1, without gaps."""

    order_id: str
    tenant_id: str
    merchant_id: str
    state: HoldState
    version: int = 0
    region_code: str = ""
    expire_time: datetime | None = None
    lines: tuple[Line, ...] = ()
    allocations: tuple[Allocation, ...] = ()
    sourcing: str = ""
    rejection: Rejection | None = None
    shortages: tuple[Shortage, ...] = ()
    parcels: tuple[OpenedParcel, ...] = ()

    def is_overdue(self, now: datetime) -> bool:
        """Pending, although its deadline has passed."""
        return self.state is HoldState.PENDING and self.expire_time is not None and now > self.expire_time

    def is_tombstone(self) -> bool:
        """Voided before it was ever reserved."""
        return self.state is HoldState.VOIDED and not self.lines and self.rejection is None

    def move(self, to: HoldState) -> None:
        """Changes the state; raises for a move that the table does not know."""
        if to not in MOVES[self.state]:
            raise IllegalMove(f"{self.order_id}: {self.state} -> {to}")
        self.state = to


@dataclass(slots=True, kw_only=True)
class Command:
    """A wish about one order. `by_event`: nobody reads the reply, so a refusal is told by an event too."""

    order_id: str
    tenant_id: str
    merchant_id: str = ""
    by_event: bool = False
    traceparent: str | None = None


@dataclass(slots=True, kw_only=True)
class Reserve(Command):
    """Keep all lines until the deadline, or nothing."""

    region_code: str
    lines: tuple[Line, ...]
    expire_time: datetime
    is_valid: bool = True


class Wanted(StrEnum):
    """What an order waits for."""

    DECISION = "DECISION"
    PARCELS = "PARCELS"
    INTERCEPTION = "INTERCEPTION"


@dataclass(slots=True, kw_only=True)
class Remind(Reserve):
    """The order has waited too long: do what it waits for, unless that is done, and say how it stands."""

    wanted: Wanted


@dataclass(slots=True, kw_only=True)
class Post(Command):
    """The order is confirmed: take the goods and open parcels."""


@dataclass(slots=True, kw_only=True)
class Void(Command):
    """The order ended before confirmation: give the goods back."""


@dataclass(slots=True, kw_only=True)
class Intercept(Command):
    """A confirmed order is to be cancelled: give the goods back, unless a parcel is packed."""


@dataclass(slots=True, kw_only=True)
class Expire(Command):
    """End the hold if its deadline has passed."""


@dataclass(slots=True, kw_only=True)
class Fact:
    """What happened to an order's goods; `version` is the fulfilment's after it."""

    tenant_id: str
    merchant_id: str
    order_id: str
    version: int
    traceparent: str | None = None


@dataclass(slots=True, kw_only=True)
class StockReserved(Fact):
    """Every line is held."""

    allocations: tuple[Allocation, ...]
    expire_time: datetime
    sourcing: str


@dataclass(slots=True, kw_only=True)
class StockRejected(Fact):
    """Nothing is held."""

    reason: Rejection
    shortages: tuple[Shortage, ...]


@dataclass(slots=True, kw_only=True)
class HoldExpired(Fact):
    """The deadline passed."""


@dataclass(slots=True, kw_only=True)
class HoldVoided(Fact):
    """The hold was given back."""


@dataclass(slots=True, kw_only=True)
class ParcelsAllocated(Fact):
    """The goods left sellable stock; one parcel per warehouse was opened."""

    parcels: tuple[OpenedParcel, ...]
    sourcing: str


@dataclass(slots=True, kw_only=True)
class ParcelAdvanced(Fact):
    """A parcel was packed, shipped or delivered."""

    parcel_id: str
    state: ParcelState
    carrier: str = ""
    tracking_number: str = ""


@dataclass(slots=True, kw_only=True)
class FulfilmentCancelled(Fact):
    """A confirmed order was intercepted."""


@dataclass(slots=True, kw_only=True)
class CancellationRefused(Fact):
    """A confirmed order could not be intercepted."""


@dataclass(slots=True, kw_only=True)
class FulfilmentReported(Fact):
    """How it stands; nothing has changed."""

    state: HoldState
    sourcing: str
    reason: Rejection | None
    shortages: tuple[Shortage, ...]
    parcels: tuple[OpenedParcel, ...]


@dataclass(slots=True)
class LineMerger:
    """Adds up the lines of each SKU, in the order of the SKUs."""

    _units: dict[str, int] = field(default_factory=dict)
    _hazardous: set[str] = field(default_factory=set)
    is_valid: bool = True

    def add(self, sku: str, quantity: int, hazardous: bool) -> None:
        """One more line; one with an impossible quantity makes the whole request invalid."""
        if not sku or not 0 < quantity <= QUANTITY_MAX:
            self.is_valid = False
            return
        self._units[sku] = self._units.get(sku, 0) + quantity
        if hazardous:
            self._hazardous.add(sku)

    def lines(self) -> tuple[Line, ...]:
        """Each SKU once."""
        return tuple([Line(sku, self._units[sku], sku in self._hazardous) for sku in sorted(self._units)])


def merge_lines(lines: Iterable[tuple[str, int, bool]]) -> tuple[tuple[Line, ...], bool]:
    """The lines with each SKU once, and whether all were possible and there was at least one, at most 2,000."""
    merger = LineMerger()
    count = 0
    for sku, quantity, hazardous in lines:
        count += 1
        merger.add(sku, quantity, hazardous)
    return merger.lines(), merger.is_valid and 0 < count <= LINES_MAX
