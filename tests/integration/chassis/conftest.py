"""Fixtures of the chassis' own tests: a ledger database and topics of one's own."""

from collections.abc import AsyncIterator, Callable
from itertools import count

import pytest
import structlog

from services.chassis import kafka
from services.chassis.pg import Database

_numbers = count(1)

LEDGER = "tests.integration.chassis.ledger"


@pytest.fixture(autouse=True, scope="session")
def plain_logs() -> None:
    """Without this, structlog renders each traceback with all locals: seconds in which the event loop stands."""
    structlog.configure(
        processors=[structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )


@pytest.fixture
def ledger_dsn(database_factory: Callable[[str | None], str]) -> str:
    """An empty ledger."""
    return database_factory(LEDGER)


@pytest.fixture
async def ledger(ledger_dsn: str) -> AsyncIterator[Database]:
    """A pool to an empty ledger."""
    database = await Database.open(ledger_dsn, pool_size_max=6, name="ledger")
    yield database
    await database.close()


@pytest.fixture
async def topic(kafka_server: str) -> str:
    """A new topic of four partitions."""
    name = f"chassis.test.{next(_numbers)}.v1"
    await kafka.ensure_topics(kafka_server, [kafka.TopicSpec.events(name, 4)])
    return name
