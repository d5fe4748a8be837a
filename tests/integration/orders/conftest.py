"""What the tests of orders share."""

import pytest

from tests.conftest import DatabaseFactory


@pytest.fixture
def dsn(database_factory: DatabaseFactory) -> str:
    """An orders database."""
    return database_factory("orders")
