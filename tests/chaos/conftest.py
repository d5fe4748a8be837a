"""One whole system for all crash tests, and the sales that are sent through it while it is being crashed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import servers
from tests.chaos.sales import write_sales
from tests.chaos.system import ORDERS_PER_RUN, System


@pytest.fixture(scope="session")
def system(session_folder: Path) -> Iterator[System]:
    """All servers and services, started once; every test leaves them running."""
    stack = servers.whole_stack(session_folder / "chaos")
    try:
        stack.up()
        yield System(stack)
    finally:
        stack.remove()


@pytest.fixture(scope="session")
def sales_file(session_folder: Path) -> Path:
    """A file of sales in the Online Retail format, the same in every session."""
    return write_sales(session_folder / "sales.csv", ORDERS_PER_RUN)
