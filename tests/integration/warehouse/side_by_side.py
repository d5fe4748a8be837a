"""A database and its twin: every step is taken by both, and their answers and all that they hold are compared."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Awaitable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from services.chassis.clock import now_utc
from services.chassis.errors import DomainError
from services.warehouse import events
from services.warehouse.commands.stock import ADJUST, RECEIVE, Movement
from services.warehouse.domain.holds import Command, Fulfilment, HoldState
from services.warehouse.domain.parcels import Advance
from services.warehouse.domain.stock import LedgerReason
from services.warehouse.domain.warehouses import Network
from tests.integration.warehouse.scene import INVARIANTS, TENANT, Scene, open_scene, warehouse
from tests.integration.warehouse.twin import LETTERS, Twin, is_life

EUROPE = ("ES", "FR", "DE")
WAREHOUSES = (
    warehouse("madrid", "ES", EUROPE),
    warehouse("paris", "FR", EUROPE),
    warehouse("xuchang", "CN", (*EUROPE, "BR"), ships_hazards=False),
)
TABLES = ("ledger", "stock", "stock_owners", "fulfilments", "allocations", "parcels", "request_key", "outbox")
TOPIC = events.FULFILMENTS_TOPIC

Rows = dict[str, Any]


class Told(NamedTuple):
    """An event about an order."""

    type: str
    version: int
    payload: bytes


@dataclass(slots=True)
class SideBySide:
    """One database and what it should hold."""

    scene: Scene
    twin: Twin

    async def run(self, *commands: Command) -> None:
        """A batch of commands in one transaction."""
        changes = await self.scene.run(*commands)
        # Parcels get the ids that the database's side has drawn; one more than it opened has none.
        ids: Iterator[str] = iter([opened.parcel_id for opened in changes.opened])
        expected = self.twin.decide(commands, now_utc(), ids.__next__)
        assert next(ids, None) is None, "the same parcels"
        assert [_outcome(one) for one in changes.outcomes] == [_outcome(one) for one in expected.outcomes]
        assert changes.facts == expected.facts

    async def sweep(self) -> None:
        """Expires what is overdue."""
        overdue = self.twin.overdue(now_utc())
        assert await self.scene.holds.expire_overdue(1_000) == len(overdue)
        self.twin.decide(overdue, now_utc(), _no_id)

    async def pass_deadline(self, order_id: str) -> None:
        """Time flies, for one hold."""
        now = now_utc()
        self.twin.pass_deadline(order_id, now)
        await self.scene.fetch(
            "UPDATE fulfilments SET expire_time = $2 WHERE order_id = $1",
            order_id,
            self.twin.fulfilments[order_id].expire_time,
        )

    async def extend(self, order_id: str, expire_time: datetime) -> None:
        """A later deadline."""
        extended = self.twin.extend(order_id, expire_time, now_utc())
        assert bool(await refusal_of(self.scene.holds.extend(TENANT, order_id, expire_time))) != extended

    async def advance(self, wishes: Sequence[Advance]) -> None:
        """Parcels move on."""
        expected = self.twin.advance(wishes, now_utc())
        answers = await self.scene.parcels.advance(wishes)
        assert [isinstance(answer, DomainError) for answer in answers] == [one is None for one in expected]

    async def move(self, movement: Movement) -> None:
        """Goods come in or are corrected."""
        expected = self.twin.move(movement)
        assert await refusal_of(self.scene.stock.move(movement)) == expected

    async def compare(self) -> None:
        """Everything that is stored is what it should be, and sound by itself."""
        await assert_lawful(self.scene)
        rows = await read(self.scene)
        twin = content_of(self.twin)
        for name, expected in twin.items():
            assert rows[name] == expected, name

    async def clear(self) -> None:
        """Begins anew, with the warehouses that there are."""
        await clear(self.scene)
        self.twin = new_twin()


async def refusal_of(step: Awaitable[object]) -> str:
    """The reason for which a step is refused, or nothing."""
    try:
        await step
    except DomainError as error:
        return error.reason
    return ""


async def open_side_by_side(dsn: str, *, pool_size_max: int = 8) -> SideBySide:
    """A scene with the warehouses and an empty twin."""
    scene = await open_scene(dsn, pool_size_max)
    for content in WAREHOUSES:
        await scene.warehouses.create(TENANT, content)
    return SideBySide(scene, new_twin())


def new_twin() -> Twin:
    """A twin with the warehouses and nothing in them."""
    return Twin(Network(WAREHOUSES))


async def clear(scene: Scene) -> None:
    """Forgets everything but the warehouses."""
    async with scene.database.connection() as connection:
        await connection.execute("".join(f"DELETE FROM {table};" for table in TABLES))


async def assert_lawful(scene: Scene) -> None:
    """What holds for the tables whatever was done: the sums, the bounds, and one end per hold."""
    checks = ", ".join(f"({query})" for query in INVARIANTS.values())
    found = await scene.fetchrow(f"SELECT {checks}")
    assert dict(zip(INVARIANTS, found, strict=True)) == dict.fromkeys(INVARIANTS, 0)
    lives: dict[str, str] = defaultdict(str)
    for row in await scene.fetch("SELECT aggregate_id, type FROM outbox WHERE topic = $1 ORDER BY id", TOPIC):
        lives[row["aggregate_id"]] += LETTERS[row["type"].rpartition(".")[2]]
    wrong = {order_id: life for order_id, life in lives.items() if not is_life(life)}
    assert wrong == {}, "every hold has exactly one end"


async def read(scene: Scene) -> Rows:
    """All that is stored, by a name for each kind."""
    async with scene.database.connection() as connection:
        stock = await connection.fetch(
            """SELECT s.sku, s.warehouse_id, s.merchant_id, o.merchant_id AS owner, s.on_hand, s.reserved, s.version
               FROM stock s FULL JOIN stock_owners o USING (tenant_id, sku) WHERE tenant_id = $1""",
            TENANT,
        )
        holds = await connection.fetch("SELECT * FROM fulfilments")
        allocations = await connection.fetch("SELECT order_id, sku, warehouse_id, quantity FROM allocations")
        parcels = await connection.fetch("SELECT * FROM parcels")
        ledger = await connection.fetch("SELECT * FROM ledger")
        told = await connection.fetch(
            "SELECT topic, aggregate_id, type, version, payload FROM outbox ORDER BY id"
        )
    news: dict[str, list[Told]] = defaultdict(list)
    snapshots: dict[str, bytes] = {}
    for row in told:
        if row["topic"] == TOPIC:
            news[row["aggregate_id"]].append(Told(row["type"], row["version"], row["payload"]))
        elif row["topic"] == events.AVAILABILITY_TOPIC:
            snapshots[row["aggregate_id"]] = row["payload"]
    return {
        "stock": {
            (row["sku"], row["warehouse_id"]): (
                row["merchant_id"],
                row["owner"],
                row["on_hand"],
                row["reserved"],
                row["version"],
            )
            for row in stock
        },
        "holds": {
            str(row["order_id"]): (
                row["hold_state"],
                row["version"],
                row["merchant_id"],
                row["region_code"],
                row["expire_time"],
                json.loads(row["lines"]),
                row["sourcing"],
                row["rejection"],
                json.loads(row["shortages"] or "[]"),
            )
            for row in holds
        },
        "allocations": {(str(order_id), *rest) for order_id, *rest in allocations},
        "parcels": {
            str(row["parcel_id"]): (
                str(row["order_id"]),
                row["warehouse_id"],
                row["merchant_id"],
                row["region_code"],
                row["state"],
                row["carrier"],
                row["tracking_number"],
            )
            for row in parcels
        },
        # Without their order: an order's lines are stored by SKU and warehouse, and planned by nearness.
        "ledger": Counter(
            (row["sku"], row["warehouse_id"], row["delta"], row["reason"], row["document"], row["actor"])
            for row in ledger
        ),
        "news": dict(news),
        "snapshots": snapshots,
    }


def content_of(twin: Twin) -> Rows:
    """The same of a twin."""
    news: dict[str, list[Told]] = defaultdict(list)
    for message in events.messages_of(twin.facts, ()):
        news[message.aggregate_id].append(Told(message.type, message.version, message.payload))
    return {
        "stock": {
            (stock.sku, name): (
                stock.merchant_id,
                stock.merchant_id,
                level.on_hand,
                level.reserved,
                level.version,
            )
            for stock in twin.stocks.values()
            for name, level in stock.levels.items()
        },
        "holds": {hold.order_id: _hold(hold) for hold in twin.fulfilments.values()},
        "allocations": {
            (hold.order_id, *line) for hold in twin.fulfilments.values() for line in hold.allocations
        },
        "parcels": {
            parcel.parcel_id: (
                parcel.order_id,
                parcel.warehouse_id,
                parcel.merchant_id,
                parcel.region_code,
                parcel.state,
                parcel.carrier,
                parcel.tracking_number,
            )
            for parcel in twin.parcels.values()
        },
        "ledger": Counter(
            (entry.sku, entry.warehouse_id, entry.delta, entry.reason, entry.document, entry.actor)
            for entry in twin.ledger
        ),
        "news": dict(news),
        "snapshots": twin.snapshots,
    }


def movement(
    units: Iterable[tuple[str, int]],
    reason: LedgerReason = LedgerReason.INBOUND_RECEIVE,
    *,
    warehouse_id: str,
    merchant_id: str,
    request_id: str,
) -> Movement:
    """Goods that come in, or a correction."""
    listed = tuple(units)
    route = RECEIVE if reason is LedgerReason.INBOUND_RECEIVE else ADJUST
    return Movement(
        TENANT,
        route,
        request_id,
        warehouse_id,
        merchant_id,
        "document",
        reason,
        "operator",
        listed,
        tuple(range(len(listed))),
    )


def pending(twin: Twin) -> list[str]:
    """The orders whose units are held."""
    return [hold.order_id for hold in twin.fulfilments.values() if hold.state is HoldState.PENDING]


def _hold(hold: Fulfilment) -> tuple[object, ...]:
    return (
        hold.state,
        hold.version,
        hold.merchant_id,
        hold.region_code,
        hold.expire_time,
        [list(line) for line in hold.lines],
        hold.sourcing,
        hold.rejection,
        [list(short) for short in hold.shortages],
    )


def _outcome(outcome: Any) -> tuple[object, ...]:
    hold = outcome.hold
    return (
        outcome.command,
        outcome.result,
        type(outcome.error),
        hold and (hold.order_id, hold.state, hold.version),
    )


def _no_id() -> str:
    raise AssertionError("no parcel is opened")


def order_ids(count: int) -> list[str]:
    """Ids that are the same every time, so that what is generated is too."""
    return [str(UUID(int=number + 1, version=4)) for number in range(count)]
