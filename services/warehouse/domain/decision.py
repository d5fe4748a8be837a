"""What a batch of commands does: one function over the values that were loaded for it, without IO.

`decide` takes the working set as it is locked in the database and returns everything that is to be written
and said. Commands are decided one after another, each seeing what those before it did, so that a batch is
worth the same as its commands one by one.
"""

import copy
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from services.chassis.errors import DomainError
from services.warehouse.domain.holds import (
    BIRTHS,
    CancellationRefused,
    Command,
    Expire,
    Fact,
    Fulfilment,
    FulfilmentCancelled,
    FulfilmentReported,
    HoldExpired,
    HoldState,
    HoldVoided,
    IllegalMove,
    Intercept,
    Line,
    ParcelsAllocated,
    Post,
    Remind,
    Reserve,
    StockRejected,
    StockReserved,
    Void,
    Wanted,
)
from services.warehouse.domain.parcels import OpenedParcel, ParcelState
from services.warehouse.domain.sourcing import Demand, Plan, Refusal, Rejection, source
from services.warehouse.domain.stock import StockBook, StockLevel
from services.warehouse.domain.warehouses import Network
from services.warehouse.errors import HoldNotFound, HoldStateWrong


@dataclass(slots=True)
class WorkingSet:
    """All that the commands of a batch can see and change, locked. `now` is the database's clock."""

    now: datetime
    fulfilments: dict[str, Fulfilment]
    stock: StockBook
    networks: Mapping[str, Network]


class Outcome(NamedTuple):
    """What became of one command: a word for the metrics, and the hold as it then was, or why not."""

    command: str
    result: str
    hold: Fulfilment | None
    error: DomainError | None


class NewParcel(NamedTuple):
    """A parcel to be opened."""

    parcel_id: str
    warehouse_id: str
    fulfilment: Fulfilment


@dataclass(slots=True)
class Changes:
    """What is to be written and said, in one transaction. Stock and ledger are in the stock book."""

    stock: StockBook
    created: dict[str, Fulfilment] = field(default_factory=dict)
    updated: dict[str, Fulfilment] = field(default_factory=dict)
    # Those of which more has changed than state and version.
    rewritten: set[str] = field(default_factory=set)
    reallocated: dict[str, Fulfilment] = field(default_factory=dict)
    opened: list[NewParcel] = field(default_factory=list)
    intercepted: list[str] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)


_OPEN = frozenset({HoldState.PENDING, HoldState.EXPIRED})
_NO_LEVELS: Mapping[str, StockLevel] = {}


def decide(commands: Sequence[Command], working_set: WorkingSet, new_id: Callable[[], str]) -> Changes:
    """Decides all commands, in their order. It changes the working set; `new_id` names parcels."""
    batch = _Batch(working_set, new_id)
    repeated = {
        order_id for order_id, count in Counter(command.order_id for command in commands).items() if count > 1
    }
    for command in commands:
        outcome = batch.decide(command)
        if outcome.hold is not None and command.order_id in repeated:
            # A later command of the same order changes the fulfilment; this reply must not change with it.
            outcome = outcome._replace(hold=copy.copy(outcome.hold))
        batch.changes.outcomes.append(outcome)
    return batch.changes


class _Batch:
    """A batch half decided."""

    def __init__(self, working_set: WorkingSet, new_id: Callable[[], str]) -> None:
        self._now = working_set.now
        self._fulfilments = working_set.fulfilments
        self._stock = working_set.stock
        self._networks = working_set.networks
        self._new_id = new_id
        self.changes = Changes(working_set.stock)

    def decide(self, command: Command) -> Outcome:
        """Decides one command. A hold whose deadline has passed is expired before anything else."""
        fulfilment = self._fulfilments.get(command.order_id)
        if fulfilment is not None and fulfilment.tenant_id != command.tenant_id:
            return Outcome(_word(command), "not_found", None, HoldNotFound(command.order_id))
        if fulfilment is not None and fulfilment.is_overdue(self._now):
            self._expire(fulfilment, command)
            if isinstance(command, Expire):
                return Outcome("expire", "expired", fulfilment, None)
        if isinstance(command, Remind):
            return self._remind(command, fulfilment)
        if isinstance(command, Reserve):
            return self._reserve(command, fulfilment)
        if isinstance(command, Post):
            return self._post(command, fulfilment)
        if isinstance(command, Void):
            return self._void(command, fulfilment)
        if isinstance(command, Intercept):
            return self._intercept(command, fulfilment)
        return Outcome("expire", "unchanged", fulfilment, None)

    def _reserve(self, command: Reserve, fulfilment: Fulfilment | None) -> Outcome:
        if fulfilment is None:
            plan = self._source(command, command.merchant_id, command.region_code, command.lines)
            if isinstance(plan, Refusal):
                fulfilment = self._create(command, HoldState.REJECTED)
                self._reject(fulfilment, plan, command)
                return Outcome("reserve", "rejected", fulfilment, None)
            fulfilment = self._create(command, HoldState.PENDING)
            self._stock.reserve(command.tenant_id, plan.allocations)
            self._allocate(fulfilment, plan)
            self._say(
                StockReserved,
                fulfilment,
                command,
                allocations=plan.allocations,
                expire_time=command.expire_time,
                sourcing=plan.reason,
            )
            return Outcome("reserve", "reserved", fulfilment, None)
        if fulfilment.is_tombstone():
            fulfilment.merchant_id = command.merchant_id
            fulfilment.region_code = command.region_code
            fulfilment.lines = command.lines
            self._reject(fulfilment, Refusal(Rejection.VOIDED_BEFORE), command)
            return Outcome("reserve", "voided_before", fulfilment, None)
        return Outcome("reserve", "repeated", fulfilment, None)

    def _post(self, command: Post | Remind, fulfilment: Fulfilment | None) -> Outcome:
        if fulfilment is None:
            return Outcome("post", "not_found", None, HoldNotFound(command.order_id))
        if fulfilment.state is HoldState.POSTED:
            return Outcome("post", "repeated", fulfilment, None)
        if fulfilment.state is HoldState.PENDING:
            self._take(fulfilment, command)
            return Outcome("post", "posted", fulfilment, None)
        if fulfilment.state is HoldState.EXPIRED:
            return self._revive(fulfilment, command)
        if command.by_event:
            # The order is paid for and its owner waits for parcels: it must learn that there will be none.
            reason = fulfilment.rejection or Rejection.VOIDED_BEFORE
            self._reject(fulfilment, Refusal(reason, fulfilment.shortages), command)
            return Outcome("post", "too_late", fulfilment, None)
        return Outcome("post", "state_wrong", None, HoldStateWrong(fulfilment.state))

    def _revive(self, fulfilment: Fulfilment, command: Command) -> Outcome:
        """Posts a hold that had expired, by reserving anew what is still there."""
        plan = self._source(command, fulfilment.merchant_id, fulfilment.region_code, fulfilment.lines)
        if isinstance(plan, Refusal):
            fulfilment.move(HoldState.REJECTED)
            self._reject(fulfilment, plan, command)
            return Outcome("post", "rejected", fulfilment, None)
        self._stock.reserve(fulfilment.tenant_id, plan.allocations)
        self._allocate(fulfilment, plan)
        self._take(fulfilment, command)
        return Outcome("post", "revived", fulfilment, None)

    def _void(self, command: Void, fulfilment: Fulfilment | None) -> Outcome:
        if fulfilment is None:
            fulfilment = self._create(command, HoldState.VOIDED)
            self._say(HoldVoided, fulfilment, command)
            return Outcome("void", "tombstone", fulfilment, None)
        if fulfilment.state is HoldState.PENDING:
            self._stock.release(fulfilment.tenant_id, fulfilment.allocations)
            fulfilment.move(HoldState.VOIDED)
            self._say(HoldVoided, fulfilment, command)
            return Outcome("void", "voided", fulfilment, None)
        if fulfilment.state is HoldState.POSTED and not command.by_event:
            return Outcome("void", "state_wrong", None, HoldStateWrong(fulfilment.state))
        # An order that was intercepted ends as cancelled too: by then there is nothing to give back.
        return Outcome("void", "unchanged", fulfilment, None)

    def _intercept(self, command: Intercept | Remind, fulfilment: Fulfilment | None) -> Outcome:
        """Always answers: the order waits for one of two facts."""
        if fulfilment is None:
            fulfilment = self._create(command, HoldState.VOIDED)
        elif fulfilment.state is HoldState.PENDING:
            self._stock.release(fulfilment.tenant_id, fulfilment.allocations)
            fulfilment.move(HoldState.VOIDED)
        elif fulfilment.state is HoldState.POSTED:
            states = {parcel.state for parcel in fulfilment.parcels}
            if not states <= {ParcelState.ALLOCATED, ParcelState.CANCELLED}:
                self._say(CancellationRefused, fulfilment, command)
                return Outcome("intercept", "refused", fulfilment, None)
            if ParcelState.ALLOCATED in states:
                self._put_back(fulfilment)
        self._say(FulfilmentCancelled, fulfilment, command)
        return Outcome("intercept", "cancelled", fulfilment, None)

    def _remind(self, command: Remind, fulfilment: Fulfilment | None) -> Outcome:
        """Does what the order waits for, unless that is done; where nothing came of it that is told, reports."""
        facts = len(self.changes.facts)
        self._catch_up(command, fulfilment)
        fulfilment = self._fulfilments[command.order_id]
        if len(self.changes.facts) > facts:
            return Outcome("remind", "caught_up", fulfilment, None)
        self._say(
            FulfilmentReported,
            fulfilment,
            command,
            state=fulfilment.state,
            sourcing=fulfilment.sourcing,
            reason=fulfilment.rejection
            or (Rejection.VOIDED_BEFORE if fulfilment.state is HoldState.VOIDED else None),
            shortages=fulfilment.shortages,
            parcels=fulfilment.parcels,
        )
        return Outcome("remind", "reported", fulfilment, None)

    def _catch_up(self, command: Remind, fulfilment: Fulfilment | None) -> None:
        if command.wanted is Wanted.INTERCEPTION:
            states = {parcel.state for parcel in fulfilment.parcels} if fulfilment is not None else set()
            if fulfilment is None or fulfilment.state in _OPEN or states == {ParcelState.ALLOCATED}:
                self._intercept(command, fulfilment)
            return
        if fulfilment is None or fulfilment.is_tombstone():
            fulfilment = self._reserve(command, fulfilment).hold
        if command.wanted is Wanted.PARCELS and fulfilment is not None and fulfilment.state in _OPEN:
            self._post(command, fulfilment)

    def _expire(self, fulfilment: Fulfilment, command: Command) -> None:
        self._stock.release(fulfilment.tenant_id, fulfilment.allocations)
        fulfilment.move(HoldState.EXPIRED)
        self._say(HoldExpired, fulfilment, command)

    def _take(self, fulfilment: Fulfilment, command: Command) -> None:
        """Posts: the goods leave stock, one parcel per warehouse is opened."""
        self._stock.pick(fulfilment.tenant_id, fulfilment.allocations, fulfilment.order_id)
        fulfilment.move(HoldState.POSTED)
        warehouse_ids = sorted({allocation.warehouse_id for allocation in fulfilment.allocations})
        fulfilment.parcels = tuple(
            [
                OpenedParcel(self._new_id(), warehouse_id, ParcelState.ALLOCATED)
                for warehouse_id in warehouse_ids
            ]
        )
        self.changes.opened += [
            NewParcel(parcel.parcel_id, parcel.warehouse_id, fulfilment) for parcel in fulfilment.parcels
        ]
        self._say(
            ParcelsAllocated, fulfilment, command, parcels=fulfilment.parcels, sourcing=fulfilment.sourcing
        )

    def _put_back(self, fulfilment: Fulfilment) -> None:
        """Cancels the parcels that are still open and returns their goods."""
        still_open = {
            parcel.warehouse_id for parcel in fulfilment.parcels if parcel.state is ParcelState.ALLOCATED
        }
        goods = [line for line in fulfilment.allocations if line.warehouse_id in still_open]
        self._stock.put_back(fulfilment.tenant_id, goods, fulfilment.order_id)
        fulfilment.parcels = tuple(
            [parcel._replace(state=ParcelState.CANCELLED) for parcel in fulfilment.parcels]
        )
        self.changes.intercepted.append(fulfilment.order_id)

    def _source(
        self, command: Command, merchant_id: str, region_code: str, lines: Sequence[Line]
    ) -> Plan | Refusal:
        if isinstance(command, Reserve) and not command.is_valid:
            return Refusal(Rejection.REQUEST_INVALID)
        network = self._networks.get(command.tenant_id)
        if network is None:
            return Refusal(Rejection.DESTINATION_NOT_SERVED)
        find, tenant_id = self._stock.find, command.tenant_id
        demands = []
        for sku, quantity, hazardous in lines:
            stock = find(tenant_id, sku)
            # Another merchant's goods are no stock of this order.
            owned = stock is not None and stock.merchant_id == merchant_id
            levels = stock.levels if stock is not None and owned else _NO_LEVELS
            demands.append(Demand(sku, quantity, hazardous, levels))
        return source(demands, network.routes_to(region_code))

    def _create(self, command: Command, state: HoldState) -> Fulfilment:
        if state not in BIRTHS:
            raise IllegalMove(f"{command.order_id}: begins as {state}")
        fulfilment = Fulfilment(command.order_id, command.tenant_id, command.merchant_id, state)
        if isinstance(command, Reserve):
            fulfilment.region_code = command.region_code
            fulfilment.expire_time = command.expire_time
            fulfilment.lines = command.lines
        self._fulfilments[command.order_id] = self.changes.created[command.order_id] = fulfilment
        return fulfilment

    def _allocate(self, fulfilment: Fulfilment, plan: Plan) -> None:
        fulfilment.allocations = plan.allocations
        fulfilment.sourcing = plan.reason
        self.changes.reallocated[fulfilment.order_id] = fulfilment
        self.changes.rewritten.add(fulfilment.order_id)

    def _reject(self, fulfilment: Fulfilment, refusal: Refusal, command: Command) -> None:
        fulfilment.rejection = refusal.reason
        fulfilment.shortages = refusal.shortages
        self.changes.rewritten.add(fulfilment.order_id)
        self._say(StockRejected, fulfilment, command, reason=refusal.reason, shortages=refusal.shortages)

    def _say(
        self, fact: Callable[..., Fact], fulfilment: Fulfilment, command: Command, **facts: object
    ) -> None:
        """One more fact, one more version: whatever changes a fulfilment says so."""
        fulfilment.version += 1
        self.changes.facts.append(
            fact(
                tenant_id=fulfilment.tenant_id,
                merchant_id=fulfilment.merchant_id,
                order_id=fulfilment.order_id,
                version=fulfilment.version,
                traceparent=command.traceparent,
                **facts,
            )
        )
        if fulfilment.order_id not in self.changes.created:
            self.changes.updated[fulfilment.order_id] = fulfilment


def _word(command: Command) -> str:
    return type(command).__name__.lower()
