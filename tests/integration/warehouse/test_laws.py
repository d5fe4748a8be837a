"""The pure decisions and PostgreSQL side by side: any steps in any order leave both with the same."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import uvloop
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from services.chassis.clock import now_utc
from services.warehouse.domain.holds import MOVES, Command, Wanted
from services.warehouse.domain.parcels import Advance, ParcelState
from services.warehouse.domain.stock import ADJUSTMENT_SIGNS, LedgerReason
from tests import laws
from tests.conftest import DatabaseFactory
from tests.integration.warehouse.scene import (
    MERCHANT,
    TENANT,
    in_future,
    intercept,
    post,
    remind,
    reserve,
    void,
)
from tests.integration.warehouse.side_by_side import (
    WAREHOUSES,
    SideBySide,
    movement,
    open_side_by_side,
    order_ids,
    pending,
)
from tests.integration.warehouse.twin import Twin

pytestmark = [pytest.mark.postgres, *laws.marks()]

EXAMPLES = 25
STEPS = 30

OPENING = {"madrid": {"A": 12, "B": 9}, "paris": {"A": 6, "C": 3}, "xuchang": {"B": 5, "C": 20}}
ORDERS = order_ids(30)
NEW_AT_ONCE = 4

sku = st.sampled_from(("A", "B", "C"))
units = st.dictionaries(sku, st.integers(1, 8), min_size=1)
warehouse_id = st.sampled_from([content.warehouse_id for content in WAREHOUSES])
# Another merchant's goods now and then.
merchant_id = st.sampled_from((MERCHANT,) * 7 + ("fans",))
by_event = st.booleans()

reserved_units = st.dictionaries(
    sku,
    # A quantity of nothing makes the whole request invalid.
    st.sampled_from((1, 2, 3, 5, 8, 13, 0)),
    min_size=1,
)
region_code = st.sampled_from(("ES", "ES", "ES", "FR", "BR", "US"))


def orders_of(twin: Twin) -> st.SearchStrategy[str]:
    """Mostly an order that something can still happen to, but any other too."""
    alive = [one.order_id for one in twin.fulfilments.values() if MOVES[one.state] or one.parcels]
    some = st.sampled_from(alive or ORDERS)
    return some | some | some | st.sampled_from(ORDERS)


def new_orders(twin: Twin) -> st.SearchStrategy[str]:
    """An order that the warehouse has not heard of."""
    unknown = [one for one in ORDERS if one not in twin.fulfilments][:NEW_AT_ONCE]
    return st.sampled_from(unknown or ORDERS)


def reservations(twin: Twin) -> st.SearchStrategy[Command]:
    """Mostly for an order that is new."""
    new = new_orders(twin)
    return st.builds(
        reserve,
        new | new | new | new | orders_of(twin),
        reserved_units,
        region_code,
        minutes=st.sampled_from((60, 60, 60, -1)),
        hazardous=st.sampled_from((False, False, False, True)),
        merchant_id=merchant_id,
    )


def posts(twin: Twin) -> st.SearchStrategy[Command]:
    """Confirmations."""
    return st.builds(post, orders_of(twin), by_event=by_event)


def voids(twin: Twin) -> st.SearchStrategy[Command]:
    """Ends before confirmation."""
    return st.builds(void, orders_of(twin), by_event=by_event)


def interceptions(twin: Twin) -> st.SearchStrategy[Command]:
    """Cancellations after confirmation."""
    return st.builds(intercept, orders_of(twin))


def reminders(twin: Twin) -> st.SearchStrategy[Command]:
    """Questions of orders that have waited too long, whose own events may have been lost."""
    return st.builds(
        remind,
        orders_of(twin) | orders_of(twin) | new_orders(twin),
        reserved_units,
        st.sampled_from(Wanted),
        region_code,
        merchant_id=merchant_id,
    )


def commands_for(twin: Twin) -> st.SearchStrategy[Command]:
    """Any of them."""
    return st.one_of(reservations(twin), posts(twin), voids(twin), interceptions(twin), reminders(twin))


class Warehouse(RuleBasedStateMachine):
    """Everything that can be asked of the warehouse."""

    def __init__(self, both: SideBySide, run: Callable[[Any], Any]) -> None:
        super().__init__()
        self.both = both
        self.wait_for = run
        self.commands: list[Command] = []
        self.wait_for(both.clear())

    @initialize(stocked=st.sampled_from((True, True, True, False)))
    def open(self, stocked: bool) -> None:
        """Mostly there is something to sell: one parcel's worth, two parcels' worth, and some at the origin."""
        for name, goods in OPENING.items() if stocked else ():
            self.wait_for(
                self.both.move(
                    movement(
                        goods.items(), warehouse_id=name, merchant_id=MERCHANT, request_id=f"opening {name}"
                    )
                )
            )

    @rule(data=st.data())
    def reserve(self, data: st.DataObject) -> None:
        some = st.lists(reservations(self.both.twin), min_size=1, max_size=5)
        self.wait_for(self.both.run(*data.draw(some)))

    @precondition(lambda self: bool(pending(self.both.twin)))
    @rule(data=st.data())
    def post(self, data: st.DataObject) -> None:
        self.wait_for(self.both.run(data.draw(posts(self.both.twin))))

    @rule(data=st.data())
    def void(self, data: st.DataObject) -> None:
        self.wait_for(self.both.run(data.draw(voids(self.both.twin))))

    @precondition(lambda self: bool(self.both.twin.parcels))
    @rule(data=st.data())
    def intercept(self, data: st.DataObject) -> None:
        self.wait_for(self.both.run(data.draw(interceptions(self.both.twin))))

    @rule(data=st.data())
    def remind(self, data: st.DataObject) -> None:
        self.wait_for(self.both.run(data.draw(reminders(self.both.twin))))

    @rule(data=st.data())
    def batch(self, data: st.DataObject) -> None:
        some = st.lists(commands_for(self.both.twin), min_size=2, max_size=8)
        self.commands = data.draw(some)
        self.wait_for(self.both.run(*self.commands))

    @precondition(lambda self: bool(self.commands))
    @rule()
    def repeat(self) -> None:
        self.wait_for(self.both.run(*self.commands))

    @rule(
        units=units,
        reason=st.sampled_from((LedgerReason.INBOUND_RECEIVE, *sorted(ADJUSTMENT_SIGNS))),
        warehouse_id=warehouse_id,
        merchant_id=merchant_id,
        request_id=st.integers(1, 30).map(str),
    )
    def move(
        self,
        units: dict[str, int],
        reason: LedgerReason,
        warehouse_id: str,
        merchant_id: str,
        request_id: str,
    ) -> None:
        sign = ADJUSTMENT_SIGNS.get(reason, 1)
        moved = movement(
            [(sku, sign * count) for sku, count in units.items()],
            reason,
            warehouse_id=warehouse_id,
            merchant_id=merchant_id,
            request_id=request_id,
        )
        self.wait_for(self.both.move(moved))

    @precondition(lambda self: bool(pending(self.both.twin)))
    @rule(data=st.data())
    def pass_deadline(self, data: st.DataObject) -> None:
        order_id = data.draw(st.sampled_from(pending(self.both.twin)))
        self.wait_for(self.both.pass_deadline(order_id))

    @precondition(lambda self: bool(pending(self.both.twin)))
    @rule(data=st.data(), minutes=st.integers(1, 90))
    def extend(self, data: st.DataObject, minutes: int) -> None:
        order_id = data.draw(orders_of(self.both.twin))
        self.wait_for(self.both.extend(order_id, in_future(minutes)))

    @precondition(lambda self: bool(self.both.twin.overdue(now_utc())))
    @rule()
    def sweep(self) -> None:
        self.wait_for(self.both.sweep())

    @precondition(lambda self: bool(self.both.twin.parcels))
    @rule(data=st.data())
    def advance(self, data: st.DataObject) -> None:
        wish = st.builds(
            Advance,
            st.just(TENANT),
            st.sampled_from(sorted(self.both.twin.parcels)),
            st.sampled_from((ParcelState.PACKED, ParcelState.SHIPPED, ParcelState.DELIVERED)),
            st.just("carrier"),
            st.sampled_from(("1Z1", "1Z2")),
        )
        self.wait_for(self.both.advance(data.draw(st.lists(wish, min_size=1, max_size=4))))

    @invariant()
    def the_same_on_both_sides(self) -> None:
        self.wait_for(self.both.compare())


def test_any_steps_leave_both_with_the_same(database_factory: DatabaseFactory) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        both = runner.run(open_side_by_side(database_factory("warehouse"), pool_size_max=2))
        try:
            laws.run_machine(lambda: Warehouse(both, runner.run), examples_in_ci=EXAMPLES, steps=STEPS)
        finally:
            runner.run(both.scene.database.close())
