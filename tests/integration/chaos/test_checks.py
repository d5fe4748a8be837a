"""The checks that only a chaos run makes, against a small system in which one thing is wrong."""

import pytest

from deploy.audit.checks import examine_rows
from tests.chaos.verify import ORPHANS
from tests.conftest import DatabaseFactory
from tests.integration.audit.world import CANCELLED, build, run_sql

pytestmark = pytest.mark.postgres


@pytest.mark.parametrize(
    "corruption",
    [
        f"DELETE FROM request_key WHERE order_id = '{CANCELLED}'",
        f"UPDATE request_key SET tenant_id = 'other' WHERE order_id = '{CANCELLED}'",
        f"UPDATE request_key SET route = 'pay' WHERE order_id = '{CANCELLED}'",
    ],
)
async def test_an_order_under_no_key_is_named(database_factory: DatabaseFactory, corruption: str) -> None:
    dsns = {name: database_factory(name) for name in ("orders", "warehouse")}
    await build(dsns["orders"], dsns["warehouse"])
    sound = await examine_rows(dsns["orders"], ORPHANS)
    assert (sound.examined, sound.failed) == (4, 0)
    await run_sql(dsns["orders"], corruption)
    found = await examine_rows(dsns["orders"], ORPHANS)
    assert (found.examined, found.offenders) == (4, [f"{CANCELLED}: made under no key"])
