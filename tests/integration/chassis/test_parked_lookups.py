"""What is looked up of parked events for each batch is found by an index, however many were ever parked."""

import pytest

from services.chassis import pg
from services.chassis.queries import load_queries
from tests.conftest import DatabaseFactory

pytestmark = pytest.mark.postgres


@pytest.mark.parametrize("service", ["orders", "warehouse"])
@pytest.mark.parametrize(
    ("query", "index"),
    [("find_blocked", "parked_event_open"), ("look_up_discarded", "parked_event_discarded")],
)
async def test_parked_events_of_an_aggregate_are_found_by_an_index(
    database_factory: DatabaseFactory, service: str, query: str, index: str
) -> None:
    connection = await pg.connect(database_factory(service), name="test", settings={"enable_seqscan": "off"})
    plan = await connection.fetch(
        f"EXPLAIN {load_queries('services.chassis')[query]}", "group", ["topic"], ["aggregate"]
    )
    assert index in "\n".join(line[0] for line in plan)
    await connection.close()
