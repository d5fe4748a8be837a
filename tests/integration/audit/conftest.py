"""Databases of orders and the warehouse for each test."""

from collections.abc import Mapping

import pytest

from tests.conftest import DatabaseFactory


@pytest.fixture
def dsns(database_factory: DatabaseFactory) -> Mapping[str, str]:
    return {name: database_factory(name) for name in ("orders", "warehouse")}
