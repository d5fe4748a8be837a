"""What the composition roots of all services with a database have in common: set-up, the pool, parked events.

async def serve(settings: OrdersSettings) -> None:
    async with Runtime(settings, name="orders") as runtime:
        db = await attach_database(runtime, settings, "orders")
        await runtime.serve(server, services=(*SERVICES, parked.attach(server, db, after_replay=relay.wake)))

parked = ParkedEvents("orders", lambda db: HANDLERS)
cli.run(cli.Service(..., list_parked=parked.list, replay_parked=parked.replay, discard_parked=parked.discard))
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import grpc

from services.chassis import kafka, migrations
from services.chassis.cli import ParkedQuery, Rows, Topics
from services.chassis.config import DatabaseServiceSettings, StoringServiceSettings
from services.chassis.consumer import Handler, discard_rows, parked_rows, replay_rows
from services.chassis.lifecycle import Runtime
from services.chassis.pg import Database
from services.chassis.rpc import parked_events


async def set_up(settings: DatabaseServiceSettings, service: str, topics: Topics) -> None:
    """Brings the database to the newest schema and creates the topics."""
    await migrations.upgrade(settings.dsn, service)
    await kafka.ensure_topics(
        settings.kafka_bootstrap,
        topics(partitions=settings.topic_partitions, replication=settings.topic_replication),
    )


async def open_database(settings: StoringServiceSettings, service: str) -> Database:
    """The pool that everything but the relay shares."""
    return await Database.open(
        settings.dsn,
        pool_size_max=settings.pool_size_max,
        statement_timeout_ms=settings.statement_timeout_ms,
        name=service,
    )


async def attach_database(runtime: Runtime, settings: StoringServiceSettings, service: str) -> Database:
    """The pool of a serving process, closed with it; raises `CannotStart` unless the schema is this code's."""
    database = await open_database(settings, service)
    runtime.on_close("database", database.close)
    runtime.add_ready_check("database", database.ping)
    await migrations.require_head(database, service)
    return database


@dataclass(frozen=True, slots=True)
class ParkedEvents:
    """What operators can do with a service's parked events. `handlers` gives the handler of each consumer group."""

    service: str
    handlers: Callable[[Database], Mapping[str, Handler]]

    def attach(self, server: grpc.aio.Server, database: Database, *, after_replay: Callable[[], None]) -> str:
        """Serves them by gRPC; the full name of the service. `after_replay` tells that there may be effects to send."""
        return parked_events.attach(server, database, self.handlers(database), after_replay=after_replay)

    async def list(self, settings: StoringServiceSettings, query: ParkedQuery) -> Rows:
        """Events that could not be handled."""
        async with self._opened(settings) as (database, handlers):
            return await parked_rows(
                database, handlers, group=query.group, aggregate_id=query.aggregate_id, limit=query.limit
            )

    async def replay(self, settings: StoringServiceSettings, query: ParkedQuery) -> Rows:
        """Hands parked events to the normal handler again; a serving process sends what comes of it."""
        async with self._opened(settings) as (database, handlers):
            return await replay_rows(
                database,
                handlers,
                group=query.group,
                aggregate_id=query.aggregate_id,
                limit=query.limit,
                actor=query.actor,
                across_gaps=query.across_gaps,
            )

    async def discard(self, settings: StoringServiceSettings, query: ParkedQuery) -> Rows:
        """Gives parked events up."""
        async with self._opened(settings) as (database, handlers):
            return await discard_rows(
                database, handlers, group=query.group, ids=query.ids, actor=query.actor, note=query.note
            )

    @asynccontextmanager
    async def _opened(
        self, settings: StoringServiceSettings
    ) -> AsyncIterator[tuple[Database, Mapping[str, Handler]]]:
        database = await open_database(settings, self.service)
        try:
            yield database, self.handlers(database)
        finally:
            await database.close()
