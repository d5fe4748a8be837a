"""A scene with three warehouses: Madrid and Paris in Europe, Xuchang at the origin."""

from collections.abc import AsyncIterator, Callable

import pytest

from tests.integration.warehouse.client import Client, open_client
from tests.integration.warehouse.scene import Scene, open_scene

EUROPE = ("ES", "FR", "DE")


@pytest.fixture
async def scene(database_factory: Callable[[str | None], str]) -> AsyncIterator[Scene]:
    """The use cases on a database of their own."""
    opened = await open_scene(database_factory("warehouse"))
    await opened.add_warehouse("madrid", "ES", EUROPE)
    await opened.add_warehouse("paris", "FR", EUROPE)
    await opened.add_warehouse("xuchang", "CN", (*EUROPE, "BR"), ships_hazards=False)
    yield opened
    await opened.database.close()


@pytest.fixture
async def client(scene: Scene) -> AsyncIterator[Client]:
    """Stubs of the services in front of the scene."""
    async with open_client(scene) as opened:
        yield opened
