"""Parcels: moved on in batches, read."""

import copy
from collections.abc import Sequence
from datetime import datetime

from prometheus_client import Counter

from services.chassis import log, metrics, outbox, trace
from services.chassis.crash import crash_point
from services.chassis.errors import DomainError
from services.chassis.pg import Connection, Database
from services.warehouse.commands.news import News
from services.warehouse.domain.holds import ParcelAdvanced
from services.warehouse.domain.parcels import Advance, Parcel, advance
from services.warehouse.errors import ParcelNotFound, ParcelStateWrong
from services.warehouse.store import parcels as store

_log = log.get(__name__)
_ADVANCED = metrics.Kept(
    Counter("sampan_warehouse_parcels_advanced_total", "Wishes to move a parcel on, by outcome.", ["outcome"])
)


class Parcels:
    """The use cases of parcels."""

    def __init__(self, database: Database, news: News) -> None:
        self._database = database
        self._news = news

    async def advance(self, wishes: Sequence[Advance]) -> list[Parcel | DomainError]:
        """Moves parcels on, each by itself, all in one transaction; one answer per wish."""
        traceparent = trace.current_traceparent()

        async def work(connection: Connection) -> list[Parcel | DomainError]:
            parcels, versions, now = await store.lock(connection, wishes)
            facts: list[ParcelAdvanced] = []
            answers: list[Parcel | DomainError] = []
            for wish in wishes:
                parcel = parcels.get((wish.tenant_id, wish.parcel_id))
                answers.append(
                    ParcelNotFound(wish.parcel_id)
                    if parcel is None or now is None
                    else _advance(parcel, wish, now, versions, facts, traceparent)
                )
            if facts:
                moved = {fact.parcel_id for fact in facts}
                orders = {fact.order_id: fact.version for fact in facts}
                changed = [parcel for parcel in parcels.values() if parcel.parcel_id in moved]
                await store.write(connection, changed, orders)
                await outbox.append(connection, self._news.messages_of(facts, ()))
            crash_point("warehouse.parcels.before_commit")
            return answers

        answers = await self._database.transact(work)
        crash_point("warehouse.parcels.after_commit")
        self._news.after_commit()
        _observe(answers, traceparent)
        return answers

    async def get(self, tenant_id: str, parcel_id: str) -> Parcel:
        """One parcel."""
        async with self._database.connection() as connection:
            parcel = await store.find(connection, tenant_id, parcel_id)
        if parcel is None:
            raise ParcelNotFound(parcel_id)
        return parcel

    async def list_after(
        self, tenant_id: str, parcel_id: str, *, order_id: str, warehouse_id: str, state: str, rows_max: int
    ) -> list[Parcel]:
        """A page of parcels, in the order of their ids."""
        async with self._database.connection() as connection:
            return await store.list_after(
                connection,
                tenant_id,
                parcel_id,
                order_id=order_id,
                warehouse_id=warehouse_id,
                state=state,
                rows_max=rows_max,
            )


def _advance(
    parcel: Parcel,
    wish: Advance,
    now: datetime,
    versions: dict[str, int],
    facts: list[ParcelAdvanced],
    traceparent: str | None,
) -> Parcel | DomainError:
    moved = advance(parcel, wish, now)
    if moved is None:
        return ParcelStateWrong(parcel.state)
    if moved:
        versions[parcel.order_id] += 1
        facts.append(
            ParcelAdvanced(
                tenant_id=parcel.tenant_id,
                merchant_id=parcel.merchant_id,
                order_id=parcel.order_id,
                version=versions[parcel.order_id],
                traceparent=traceparent,
                parcel_id=parcel.parcel_id,
                state=parcel.state,
                carrier=parcel.carrier,
                tracking_number=parcel.tracking_number,
            )
        )
    # The same parcel may be moved again by a later wish of this batch: this answer must not change with it.
    return copy.copy(parcel)


def _observe(answers: Sequence[Parcel | DomainError], traceparent: str | None) -> None:
    sampled = trace.is_sampled(traceparent)
    for answer in answers:
        if isinstance(answer, DomainError):
            _ADVANCED["refused"].inc()
            continue
        _ADVANCED["answered"].inc()
        if sampled:
            _log.info(
                "parcel advanced",
                order_id=answer.order_id,
                parcel_id=answer.parcel_id,
                state=answer.state,
                **trace.fields(traceparent),
            )
