"""The catalog as a process: set-up, refusal to start, drain, and what a crash leaves behind."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from typing import NamedTuple

import asyncpg
import grpc
import pytest
from sampan.catalog.v1 import merchant_service_pb2_grpc as merchant_grpc
from sampan.catalog.v1 import product_service_pb2_grpc as pb_grpc

from services.chassis.rpc.channel import make_channel
from tests import child
from tests.conftest import DatabaseFactory
from tests.integration.catalog.running import chunk_of, merchant_request, product_of

pytestmark = [pytest.mark.postgres, pytest.mark.kafka]

START_S_MAX = 30


class Catalog(NamedTuple):
    """A process and the port that it serves on."""

    process: child.Child
    grpc_port: int


async def started(dsn: str, bootstrap: str, *arguments: str, **variables: str) -> child.Child:
    """A process of the catalog; its output is a pipe."""
    environment = {
        **os.environ,
        "CATALOG_DSN": dsn,
        "KAFKA_BOOTSTRAP": bootstrap,
        "CATALOG_GRPC_PORT": "0",
        "CATALOG_ADMIN_PORT": "0",
        "CATALOG_DRAIN_WAIT_S": "0",
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        **variables,
    }
    return await child.start([sys.executable, "-m", "services.catalog", *arguments], env=environment)


@contextlib.asynccontextmanager
async def serving(dsn: str, bootstrap: str, **variables: str) -> AsyncIterator[Catalog]:
    """A serving process, killed at the end if it still runs."""
    process = await started(dsn, bootstrap, **variables)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(START_S_MAX):
            while True:
                line = json.loads(await process.stdout.readline())
                if line["event"] == "serving":
                    break
        yield Catalog(process, line["grpc_port"])
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def set_up(dsn: str, bootstrap: str) -> int:
    """The exit code of a set-up."""
    process = await started(dsn, bootstrap, "setup")
    await process.communicate()
    assert process.returncode is not None
    return process.returncode


async def outbox_rows(dsn: str) -> int:
    """Events not yet in Kafka."""
    connection = await asyncpg.connect(dsn)
    try:
        rows: int = await connection.fetchval("SELECT count(*) FROM outbox")
        return rows
    finally:
        await connection.close()


async def test_two_setups_at_once_then_a_service_that_drains(
    database_factory: DatabaseFactory, kafka_server: str
) -> None:
    dsn = database_factory(None)
    assert set(await asyncio.gather(set_up(dsn, kafka_server), set_up(dsn, kafka_server))) == {0}
    async with serving(dsn, kafka_server) as (process, port):
        async with make_channel(f"127.0.0.1:{port}", retryable_methods=()) as channel:
            await merchant_grpc.MerchantServiceStub(channel).CreateMerchant(merchant_request())
            requests = [chunk_of([product_of("p")])]
            answers = pb_grpc.ProductServiceStub(channel).ImportProducts(iter(requests))
            assert [answer.created async for answer in answers] == [1]
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 20) == 0
    assert await outbox_rows(dsn) == 0


async def test_without_its_schema_the_service_does_not_start(
    database_factory: DatabaseFactory, kafka_server: str
) -> None:
    process = await started(database_factory(None), kafka_server)
    output, _ = await asyncio.wait_for(process.communicate(), START_S_MAX)
    assert process.returncode == 1
    last = json.loads(output.splitlines()[-1])
    assert last["event"] == "cannot start"
    assert "python -m services.catalog setup" in last["cause"]


async def test_every_fault_of_the_configuration_is_told_at_once(kafka_server: str) -> None:
    process = await started("", kafka_server, CATALOG_POOL_SIZE_MAX="0", CATALOG_IMPORT_STREAMS_MAX="many")
    _, errors = await asyncio.wait_for(process.communicate(), START_S_MAX)
    assert process.returncode == 2
    for variable in (b"CATALOG_DSN", b"CATALOG_POOL_SIZE_MAX", b"CATALOG_IMPORT_STREAMS_MAX"):
        assert variable in errors


@pytest.mark.parametrize(
    "crash_point",
    [
        "catalog.write.before_outbox",
        "catalog.write.before_commit",
        "relay.before_send",
        "relay.before_delete",
    ],
)
async def test_a_crash_leaves_a_product_with_its_event_or_neither(
    database_factory: DatabaseFactory, kafka_server: str, crash_point: str
) -> None:
    dsn = database_factory("catalog")
    await set_up(dsn, kafka_server)
    rows = [product_of(f"p{number}") for number in range(100)]
    async with (
        serving(dsn, kafka_server, CRASH_POINTS=crash_point, TEST_CONFIGURATION="true") as (process, port),
        make_channel(f"127.0.0.1:{port}", retryable_methods=()) as channel,
    ):
        await merchant_grpc.MerchantServiceStub(channel).CreateMerchant(merchant_request())
        with contextlib.suppress(grpc.aio.AioRpcError):
            async for _ in pb_grpc.ProductServiceStub(channel).ImportProducts(iter([chunk_of(rows)])):
                break
        assert await asyncio.wait_for(process.wait(), 10) == -signal.SIGKILL
    stored = 0 if crash_point.startswith("catalog.") else 100
    assert await outbox_rows(dsn) == stored
    async with (
        serving(dsn, kafka_server) as (_, port),
        make_channel(f"127.0.0.1:{port}", retryable_methods=()) as channel,
    ):
        products = pb_grpc.ProductServiceStub(channel)
        (answer,) = [answer async for answer in products.ImportProducts(iter([chunk_of(rows)]))]
        assert (answer.created, answer.unchanged) == (100 - stored, stored)
        for _ in range(500):
            if not await outbox_rows(dsn):
                break
            await asyncio.sleep(0.02)
    assert await outbox_rows(dsn) == 0
