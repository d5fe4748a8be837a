"""Holds: one transaction decides a whole batch of commands, whoever they come from."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from prometheus_client import Counter, Histogram

from services.chassis import ids, log, metrics, outbox, trace
from services.chassis.crash import crash_point
from services.chassis.errors import DomainError, FieldInvalid
from services.chassis.pg import Connection, Database
from services.warehouse.commands.news import News
from services.warehouse.domain.decision import Changes, decide
from services.warehouse.domain.holds import (
    Command,
    Expire,
    Fact,
    Fulfilment,
    HoldExpired,
    HoldState,
    StockRejected,
)
from services.warehouse.errors import HoldNotFound, HoldStateWrong
from services.warehouse.store import changes as changes_store
from services.warehouse.store import holds as store
from services.warehouse.store import working_set

EXTENSION_MAX = timedelta(days=30)
LAG_BUCKETS_S = (0.1, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800, 3600)

_log = log.get(__name__)
_DECISIONS = metrics.Kept(
    Counter(
        "sampan_warehouse_decisions_total",
        "Commands decided, by kind and outcome; a transaction that is repeated counts again.",
        ["command", "outcome"],
    ),
    children_max=64,
)
_REJECTIONS = metrics.Kept(
    Counter("sampan_warehouse_rejections_total", "Orders told that nothing is held, by reason.", ["reason"]),
    children_max=8,
)
_BATCH = Histogram(
    "sampan_warehouse_decision_batch_commands", "Commands per transaction.", buckets=metrics.BATCH_BUCKETS
)
_EXPIRY_LAG_S = Histogram(
    "sampan_warehouse_hold_expiry_lag_seconds", "From a hold's deadline to its expiry.", buckets=LAG_BUCKETS_S
)


class Holds:
    """Reserve, post, void, intercept, expire, extend."""

    def __init__(self, database: Database, news: News) -> None:
        self._database = database
        self._news = news
        self._cache = working_set.NetworkCache()

    async def apply(self, connection: Connection, commands: Sequence[Command]) -> Changes:
        """Decides the commands in the caller's transaction and writes everything, events included."""
        loaded = await working_set.load(connection, commands, self._cache)
        changes = decide(commands, loaded, _new_parcel_id)
        await changes_store.flush(connection, changes)
        messages = self._news.messages_of(changes.facts, changes.stock.changed_skus())
        await outbox.append(connection, messages)
        _observe(changes, loaded.now)
        crash_point("warehouse.decide.before_commit")
        return changes

    async def decide_batch(self, commands: list[Command]) -> list[Fulfilment | DomainError]:
        """The flush of the micro-batcher: one transaction, an answer per command."""
        changes = await self._database.transact(lambda connection: self.apply(connection, commands))
        crash_point("warehouse.decide.after_commit")
        self._news.after_commit()
        return [_answer(outcome.hold, outcome.error) for outcome in changes.outcomes]

    async def expire_overdue(self, holds_max: int) -> int:
        """Expires pending holds whose deadline has passed, the oldest first; returns how many it looked at."""

        async def work(connection: Connection) -> int:
            commands = [
                Expire(order_id=order_id, tenant_id=tenant_id)
                for order_id, tenant_id in await store.lock_overdue(connection, holds_max)
            ]
            if commands:
                await self.apply(connection, commands)
                crash_point("warehouse.expire.before_commit")
            return len(commands)

        expired = await self._database.transact(work)
        if expired:
            crash_point("warehouse.expire.after_commit")
            self._news.after_commit()
        return expired

    async def extend(self, tenant_id: str, order_id: str, expire_time: datetime) -> Fulfilment:
        """Moves a pending hold's deadline later. It is no fact about the order's goods: the version stays."""

        async def work(connection: Connection) -> Fulfilment:
            now = await store.read_clock(connection)
            if not now < expire_time <= now + EXTENSION_MAX:
                raise FieldInvalid("expire_time", "in the future and at most 30 days away")
            extended = await store.extend(connection, tenant_id, order_id, expire_time)
            hold = await store.find(connection, tenant_id, order_id)
            if hold is None:
                raise HoldNotFound(order_id)
            if not extended:
                if hold.state is HoldState.PENDING and not hold.is_overdue(now):
                    raise FieldInvalid("expire_time", "later than the present deadline")
                raise HoldStateWrong(HoldState.EXPIRED if hold.is_overdue(now) else hold.state)
            return hold

        return await self._database.transact(work)

    async def measure_overdue(self, holds_max: int) -> tuple[int, float]:
        """How many pending holds are past their deadline, counted up to a bound, and the oldest's lag in seconds."""
        async with self._database.connection() as connection:
            return await store.measure_overdue(connection, holds_max)

    async def get(self, tenant_id: str, order_id: str) -> Fulfilment:
        """One hold."""
        async with self._database.connection() as connection:
            hold = await store.find(connection, tenant_id, order_id)
        if hold is None:
            raise HoldNotFound(order_id)
        return hold


def _answer(hold: Fulfilment | None, error: DomainError | None) -> Fulfilment | DomainError:
    if error is not None:
        return error
    assert hold is not None
    return hold


def _new_parcel_id() -> str:
    return str(ids.uuid7())


def _observe(changes: Changes, now: datetime) -> None:
    _BATCH.observe(len(changes.outcomes))
    for outcome in changes.outcomes:
        _DECISIONS[outcome.command, outcome.result].inc()
    for fact in changes.facts:
        if isinstance(fact, HoldExpired):
            # Reserved and used in one batch, its deadline long over: such a hold is no update.
            expired = changes.updated.get(fact.order_id) or changes.created[fact.order_id]
            deadline = expired.expire_time
            _EXPIRY_LAG_S.observe((now - deadline).total_seconds() if deadline is not None else 0)
        elif isinstance(fact, StockRejected):
            _REJECTIONS[fact.reason].inc()
        if trace.is_sampled(fact.traceparent):
            _tell(fact)


def _tell(fact: Fact) -> None:
    """One line per stage, for the orders whose trace is sampled."""
    _log.info(
        "fulfilment changed",
        stage=type(fact).__name__,
        order_id=fact.order_id,
        version=fact.version,
        **trace.fields(fact.traceparent),
    )
