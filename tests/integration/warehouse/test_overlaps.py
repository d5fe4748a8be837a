"""Transactions that overlap: what they leave is what some order of them would have left, and nobody deadlocks."""

from __future__ import annotations

import asyncio
import copy
import itertools
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import asyncpg
import pytest
import uvloop
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from services.chassis.clock import now_utc
from services.warehouse.commands.stock import Movement
from services.warehouse.domain.holds import Command, Expire, Wanted
from services.warehouse.domain.parcels import Advance, ParcelState
from services.warehouse.domain.stock import LedgerReason
from tests import laws
from tests.conftest import DatabaseFactory
from tests.integration.chassis.topics import eventually
from tests.integration.warehouse.scene import MERCHANT, TENANT, intercept, post, remind, reserve, void
from tests.integration.warehouse.side_by_side import (
    SideBySide,
    assert_lawful,
    content_of,
    movement,
    open_side_by_side,
    order_ids,
    read,
    refusal_of,
)
from tests.integration.warehouse.twin import Twin

pytestmark = [pytest.mark.postgres, *laws.marks()]

EXAMPLES = 75
STORMS = 10
ORDERS = order_ids(8)
NEW, HELD, LATE, POSTED = ORDERS[:3], ORDERS[3:5], ORDERS[5:6], ORDERS[6:]
OPENING = {"madrid": {"A": 6, "B": 4}, "paris": {"A": 3, "B": 4}, "xuchang": {"B": 2}}


@dataclass(frozen=True)
class Step:
    """Something about a parcel: which one is known only when it is there."""

    order_id: str
    state: ParcelState


Transaction: TypeAlias = tuple[Command, ...] | Movement | Step

sku = st.sampled_from("AB")
units = st.dictionaries(sku, st.integers(1, 6), min_size=1)
reservation = st.builds(reserve, st.sampled_from((*NEW, *ORDERS)), units)
about_any = st.one_of(
    reservation,
    reservation,
    st.builds(void, st.sampled_from(ORDERS), by_event=st.booleans()),
    st.builds(intercept, st.sampled_from((*POSTED, *ORDERS))),
    st.builds(lambda one: Expire(order_id=one, tenant_id=TENANT), st.sampled_from((*LATE, *HELD))),
    st.builds(remind, st.sampled_from(ORDERS), units, st.sampled_from(Wanted)),
)
# A post takes no lock on an order that is not there (docs/decisions/0029): its refusal may be older than the
# rest of its batch, which no order of whole batches explains.
command = about_any | st.builds(post, st.sampled_from((*HELD, *LATE, *POSTED)), by_event=st.booleans())
any_command = about_any | st.builds(post, st.sampled_from(ORDERS), by_event=st.booleans())
moved = st.builds(
    lambda units, way, warehouse_id, request_id: movement(
        [(sku, way[1] * count) for sku, count in units.items()],
        way[0],
        warehouse_id=warehouse_id,
        merchant_id=MERCHANT,
        request_id=request_id,
    ),
    units,
    st.sampled_from(((LedgerReason.INBOUND_RECEIVE, 1), (LedgerReason.COUNT_LOSS, -1))),
    st.sampled_from(("madrid", "paris")),
    st.sampled_from(("r1", "r2")),
)
step = st.builds(Step, st.sampled_from(POSTED), st.sampled_from((ParcelState.PACKED, ParcelState.SHIPPED)))
batch = st.lists(command, min_size=1, max_size=4).map(tuple)
any_batch = st.lists(any_command, min_size=1, max_size=4).map(tuple)
transaction = st.one_of(batch, batch, batch, batch, moved, step)
any_transaction = st.one_of(any_batch, any_batch, any_batch, any_batch, moved, step)

Run: TypeAlias = Callable[[Coroutine[Any, Any, Any]], Any]


def overlapping(examples_in_ci: int) -> settings:
    """What overlaps is not the same twice: there is nothing to make smaller."""
    return settings(max_examples=laws.examples(examples_in_ci), phases=[Phase.explicit, Phase.generate])


class Race:
    """A database in which the same beginning is made again and again."""

    def __init__(self, both: SideBySide) -> None:
        self.both = both

    async def begin(self) -> None:
        """Stock, two held orders, one whose deadline has passed, two that are posted."""
        both = self.both
        await both.clear()
        for name, units in OPENING.items():
            await both.move(
                movement(units.items(), warehouse_id=name, merchant_id=MERCHANT, request_id=f"opening {name}")
            )
        await both.run(*[reserve(one, {"A": 1, "B": 1}) for one in (*HELD, *LATE, *POSTED)])
        await both.run(*[post(one) for one in POSTED])
        await both.pass_deadline(LATE[0])
        await both.compare()

    def start(self, one: Transaction) -> Coroutine[Any, Any, object]:
        """A transaction on the database."""
        scene = self.both.scene
        if isinstance(one, Movement):
            return refusal_of(scene.stock.move(one))
        if isinstance(one, Step):
            return scene.parcels.advance([wish_of(self.both.twin, one)])
        return scene.run(*one)

    async def run(self, transactions: Sequence[Transaction]) -> None:
        """All at once, then looks for an order that explains what there is."""
        await self.begin()
        await asyncio.gather(*[self.start(one) for one in transactions])
        await assert_lawful(self.both.scene)
        found = comparable(await read(self.both.scene))
        tried = []
        for order in itertools.permutations(transactions):
            twin = copy.deepcopy(self.both.twin)
            for one in order:
                take(twin, one)
            tried.append(comparable(content_of(twin)))
            if tried[-1] == found:
                return
        differences = min(
            ({name: (found[name], one[name]) for name in found if found[name] != one[name]} for one in tried),
            key=len,
        )
        listed = "\n".join(map(repr, transactions))
        pytest.fail(f"no order of\n{listed}\nexplains this (found, expected): {differences}")


def wish_of(twin: Twin, one: Step) -> Advance:
    """The wish to move an order's only parcel."""
    parcel_id = next(parcel.parcel_id for parcel in twin.parcels.values() if parcel.order_id == one.order_id)
    return Advance(TENANT, parcel_id, one.state, "carrier", "1Z1")


def take(twin: Twin, one: Transaction) -> None:
    """The transaction, by the twin."""
    if isinstance(one, Movement):
        twin.move(one)
    elif isinstance(one, Step):
        twin.advance([wish_of(twin, one)], now_utc())
    else:
        numbers = itertools.count(len(twin.parcels))
        twin.decide(one, now_utc(), lambda: f"parcel {next(numbers)}")


def comparable(rows: dict[str, Any]) -> dict[str, Any]:
    """Without the ids of parcels, which each side draws for itself, and without what holds no order between SKUs."""
    return {
        "stock": rows["stock"],
        "holds": rows["holds"],
        "allocations": rows["allocations"],
        "parcels": Counter(rows["parcels"].values()),
        "ledger": rows["ledger"],
        "news": {
            order_id: [(told.type, told.version) for told in news] for order_id, news in rows["news"].items()
        },
        "snapshots": rows["snapshots"],
    }


async def deadlocks(dsn: str) -> int:
    """How often PostgreSQL had to break one in this database. Sessions tell of them when they end."""
    connection = await asyncpg.connect(dsn)
    try:
        sessions = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"

        async def alone() -> bool:
            return bool(await connection.fetchval(sessions) == 1)

        await eventually(alone)
        found: int = await connection.fetchval(
            "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        )
    finally:
        await connection.close()
    return found


@pytest.fixture
def race(database_factory: DatabaseFactory) -> Iterator[tuple[Race, Run]]:
    """A race and a way to run it; afterwards nobody may have waited for each other in a circle."""
    dsn = database_factory("warehouse")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        both = runner.run(open_side_by_side(dsn, pool_size_max=8))
        yield Race(both), runner.run
        runner.run(both.scene.database.close())
        assert runner.run(deadlocks(dsn)) == 0


def test_some_order_of_the_transactions_explains_what_they_leave(race: tuple[Race, Run]) -> None:
    together, run = race

    @overlapping(EXAMPLES)
    @given(st.lists(transaction, min_size=2, max_size=4))
    def hold(transactions: list[Transaction]) -> None:
        run(together.run(transactions))

    hold()


def test_a_storm_keeps_the_laws(race: tuple[Race, Run]) -> None:
    together, run = race

    async def storm(transactions: Sequence[Transaction]) -> None:
        await together.begin()
        scene = together.both.scene
        sweeps = [scene.holds.expire_overdue(2) for _ in range(5)]
        ends = await asyncio.gather(
            *[together.start(one) for one in transactions], *sweeps, return_exceptions=True
        )
        # All have ended before one is blamed: what still ran would meet the next beginning.
        for end in ends:
            if isinstance(end, BaseException):
                raise end
        await assert_lawful(scene)

    @overlapping(STORMS)
    @given(st.lists(any_transaction, min_size=30, max_size=50))
    def hold(transactions: list[Transaction]) -> None:
        run(storm(transactions))

    hold()
