"""Fixtures for every test: real servers, started when the first test asks for them and stopped at the end.

`postgres_server` and `kafka_server` live as long as the session; `database_factory("orders")` gives a test a
database of its own with that service's schema. Fixtures are synchronous, so that each test keeps its own loop.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import uvloop

from tests import laws, servers

laws.register_profiles()

DatabaseFactory = Callable[[str | None], str]
"""Takes a service's name, or None for an empty database; returns a DSN."""


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run asynchronous tests on the loop that the services run on."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def session_folder() -> Iterator[Path]:
    """The folder of this session's servers."""
    folder = servers.session_folder()
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_server(session_folder: Path) -> Iterator[servers.PostgresServer]:
    """A real PostgreSQL server."""
    server = servers.PostgresServer(session_folder)
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="session")
def kafka_server(session_folder: Path) -> Iterator[str]:
    """A real Kafka broker; its bootstrap address. Topics are shared by all tests: give yours names of their own."""
    kafka = servers.kafka_server(session_folder)
    try:
        kafka.start()
        yield kafka.bootstrap
    finally:
        kafka.remove()


@pytest.fixture
def database_factory(postgres_server: servers.PostgresServer) -> Iterator[DatabaseFactory]:
    """Makes databases that are dropped after the test."""
    made: list[str] = []

    def make(service: str | None) -> str:
        name, dsn = postgres_server.new_database(service)
        made.append(name)
        return dsn

    yield make
    for name in made:
        postgres_server.drop_database(name)
