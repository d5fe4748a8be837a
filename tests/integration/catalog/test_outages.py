"""A database that is gone, and comes back."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest
from sampan.catalog.v1 import product_service_pb2 as pb

from tests.conftest import DatabaseFactory
from tests.integration.catalog.running import TENANT, Client, eventually, product_of, refused, running

pytestmark = pytest.mark.postgres


class Cable:
    """A TCP proxy to the database that can be cut."""

    def __init__(self, dsn: str) -> None:
        self._address = urlsplit(dsn)
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self.port = 0

    @property
    def dsn(self) -> str:
        """The database's address through the cable."""
        host = f"{self._address.username}:{self._address.password}@127.0.0.1:{self.port}"
        return self._address._replace(netloc=host).geturl()

    async def plug(self) -> None:
        """Lets connections through, on the same port each time."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def cut(self) -> None:
        """Ends every connection and takes no new one."""
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream = await asyncio.open_connection(self._address.hostname, self._address.port)
        self._writers |= {writer, upstream[1]}
        try:
            await asyncio.gather(_pump(reader, upstream[1]), _pump(upstream[0], writer))
        finally:
            self._writers -= {writer, upstream[1]}
            writer.close()
            upstream[1].close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()


@contextlib.asynccontextmanager
async def running_by_cable(dsn: str) -> AsyncIterator[tuple[Client, Cable]]:
    """A catalog that reaches its database through a cable."""
    cable = Cable(dsn)
    await cable.plug()
    async with running(cable.dsn) as client:
        yield client, cable
        cable.cut()


async def test_without_its_database_the_catalog_is_unavailable(database_factory: DatabaseFactory) -> None:
    async with running_by_cable(database_factory("catalog")) as (client, cable):
        await client.create(product_of("p"))
        cable.cut()
        for call in (
            lambda: client.get("p"),
            lambda: client.create(product_of("q")),
            lambda: client.update(product_of("p"), etag="*"),
            lambda: client.load([product_of("q")]),
            lambda: client.products.ListProducts(pb.ListProductsRequest(tenant_id=TENANT)),
        ):
            with refused("UNAVAILABLE", "DEPENDENCY_UNAVAILABLE") as seen:
                await call()
            assert seen[0].retry_after_s == 1
        with refused("INVALID_ARGUMENT", "FIELD_INVALID", "hs_code"):
            await client.create(product_of("q", hs_code="bad"))
        await cable.plug()
        assert (await eventually(lambda: client.get("p"), reason="DEPENDENCY_UNAVAILABLE")).version == 1


async def test_an_import_goes_on_after_an_outage_where_it_stopped(database_factory: DatabaseFactory) -> None:
    async with running_by_cable(database_factory("catalog")) as (client, cable):
        chunks = [[product_of(f"p{chunk}-{row}") for row in range(50)] for chunk in range(20)]
        answered = 0
        with refused("UNAVAILABLE", "DEPENDENCY_UNAVAILABLE"):
            requests = [pb.ImportProductsRequest(tenant_id=TENANT) for _ in chunks]
            for request, chunk in zip(requests, chunks, strict=True):
                request.rows.extend(pb.ImportRow(line=1, product=product) for product in chunk)
            async for _ in client.products.ImportProducts(iter(requests)):
                answered += 1
                if answered == 5:
                    cable.cut()
        assert 5 <= answered < 20
        await cable.plug()
        await eventually(lambda: client.load(*chunks[answered:]), reason="DEPENDENCY_UNAVAILABLE")
        async with client.database.connection() as connection:
            assert await connection.fetchval("SELECT count(*) FROM products WHERE version = 1") == 1_000
            assert await connection.fetchval("SELECT count(*) FROM outbox") == 1_000
