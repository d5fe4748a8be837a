"""The servers that everything else is tested on: real, durable, restartable, not root."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from deploy.local.kafka import Kafka
from deploy.local.postgres import Postgres
from deploy.local.settings import free_ports
from tests import servers


@pytest.fixture
def postgres(session_folder: Path) -> Iterator[Postgres]:
    """A server of this test's own."""
    server = Postgres(session_folder / "own-postgres", free_ports(1)[0])
    server.start()
    yield server
    server.remove()


@pytest.fixture
def kafka(session_folder: Path) -> Iterator[Kafka]:
    """A broker of this test's own."""
    broker = servers.kafka_server(session_folder / "own-kafka")
    broker.start()
    yield broker
    broker.remove()


async def test_what_postgresql_committed_survives_a_kill(postgres: Postgres) -> None:
    postgres.ensure_databases()
    postgres.ensure_databases()
    connection = await asyncpg.connect(postgres.dsn("orders"))
    assert await connection.fetchval("SHOW fsync") == "on"
    assert await connection.fetchval("SHOW synchronous_commit") == "on"
    await connection.execute("CREATE TABLE kept (id int); INSERT INTO kept VALUES (7)")
    postgres.kill()
    postgres.start()
    connection = await asyncpg.connect(postgres.dsn("orders"))
    assert await connection.fetchval("SELECT id FROM kept") == 7
    await connection.close()


async def test_postgresql_never_runs_as_root_and_asks_for_passwords(postgres: Postgres) -> None:
    pid = postgres.process.pid
    assert pid is not None
    assert psutil.Process(pid).uids().real != 0
    postgres.ensure_databases()
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(
            host="127.0.0.1", port=postgres.port, user="orders", password="", database="orders"
        )
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await asyncpg.connect(postgres.dsn("warehouse", role="orders"))


async def test_what_kafka_acknowledged_survives_a_kill(kafka: Kafka) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic("kept", num_partitions=1, replication_factor=1)])
    await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, enable_idempotence=True)
    await producer.start()
    await producer.send_and_wait("kept", b"7")
    await producer.stop()
    kafka.kill()
    kafka.start()
    consumer = AIOKafkaConsumer("kept", bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    assert (await consumer.getone()).value == b"7"
    await consumer.stop()
