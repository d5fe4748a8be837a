"""What each service refuses, as a process: an old schema, a wrong configuration, careless commands on parked events."""

import asyncio
import json
import os
import sys
from typing import NamedTuple

import asyncpg
import pytest

from tests import child
from tests.conftest import DatabaseFactory

pytestmark = pytest.mark.postgres

START_S_MAX = 60
GIVEN_UP_BY = "orders"
"""The commands on parked events are one code for all services: one is enough where only their arguments differ."""
GROUPS = {"orders": "orders.fulfilments", "warehouse": "warehouse.orders"}
PARK = (
    'INSERT INTO parked_event (grp, topic, part, "offset", record_time, record_key, header_names, header_values, '
    "payload, aggregate_id, version, type, cause, detail) "
    "VALUES ($1, 'topic', 0, 4, now(), '', '{}', '{}', '', 'a', 3, 'sampan.Happened', 'FAILED', 'of a bug') "
    "RETURNING id"
)


class Ended(NamedTuple):
    """A process that has ended."""

    code: int | None
    output: list[dict[str, object]]
    errors: str


async def run(service: str, dsn: str, *arguments: str, **variables: str) -> Ended:
    """Runs a service or one of its commands to its end. No broker is needed for any of this."""
    prefix = service.upper()
    environment = {
        **os.environ,
        f"{prefix}_DSN": dsn,
        f"{prefix}_GRPC_PORT": "0",
        f"{prefix}_ADMIN_PORT": "0",
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        **variables,
    }
    process = await child.start([sys.executable, "-m", f"services.{service}", *arguments], env=environment)
    output, errors = await asyncio.wait_for(process.communicate(), START_S_MAX)
    lines = [json.loads(line) for line in output.splitlines() if line.startswith(b"{")]
    return Ended(process.returncode, lines, (errors or b"").decode())


async def parked(dsn: str, service: str) -> int:
    """Parks an event; its id."""
    connection = await asyncpg.connect(dsn)
    try:
        number: int = await connection.fetchval(PARK, GROUPS[service])
        return number
    finally:
        await connection.close()


async def fate(dsn: str) -> tuple[str, str | None, str | None]:
    """State, who ended it, and why."""
    connection = await asyncpg.connect(dsn)
    try:
        row = await connection.fetchrow("SELECT state, resolved_by, resolve_note FROM parked_event")
        assert row is not None
        return row["state"], row["resolved_by"], row["resolve_note"]
    finally:
        await connection.close()


@pytest.mark.parametrize("service", GROUPS)
@pytest.mark.parametrize("schema", ["none", "older"])
async def test_without_its_schema_the_service_does_not_start(
    database_factory: DatabaseFactory, service: str, schema: str
) -> None:
    """A newer one is that of the next release, which runs beside this one."""
    dsn = database_factory(None if schema == "none" else service)
    if schema != "none":
        connection = await asyncpg.connect(dsn)
        await connection.execute("UPDATE alembic_version SET version_num = '0000'")
        await connection.close()
    ended = await run(service, dsn)
    assert ended.code == 1
    assert ended.output[-1]["event"] == "cannot start"
    assert f"python -m services.{service} setup" in str(ended.output[-1]["cause"])


@pytest.mark.parametrize("service", GROUPS)
async def test_every_fault_of_the_configuration_is_told_at_once(service: str) -> None:
    prefix = service.upper()
    wrong = {f"{prefix}_POOL_SIZE_MAX": "0", f"{prefix}_CONSUMER_BATCH_RECORDS_MAX": "many"}
    ended = await run(service, "", **wrong)
    assert ended.code == 2
    for variable in (f"{prefix}_DSN", *wrong):
        assert variable in ended.errors


@pytest.mark.parametrize("service", GROUPS)
async def test_parked_events_are_listed_and_given_up_with_a_record(
    database_factory: DatabaseFactory, service: str
) -> None:
    dsn = database_factory(service)
    number = await parked(dsn, service)
    listed = await run(service, dsn, "list-parked")
    assert listed.code == 0
    assert [row["id"] for row in listed.output if "id" in row] == [number]
    chosen = ("--group", GROUPS[service], str(number))
    done = await run(service, dsn, "discard-parked", *chosen, "--note", "a bug", "--actor", "someone")
    assert done.code == 0
    assert done.output[-1] == {"group": GROUPS[service], "discarded": 1}
    assert await fate(dsn) == ("DISCARDED", "someone", "a bug")


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["--group", "GROUP", "ID"], 2, "--note"),
        (["--group", "GROUP", "ID", "--note", "  "], 2, "say why"),
        (["--note", "a bug", "ID"], 2, "--group"),
        (["--group", "GROUP", "--note", "a bug"], 2, "id"),
        (["--group", "GROUP", "--note", "a bug", "all"], 2, "invalid int"),
        (["--group", "nobody", "--note", "a bug", "ID"], 1, "GROUP_UNKNOWN"),
    ],
)
async def test_a_careless_command_gives_nothing_up(
    database_factory: DatabaseFactory, arguments: list[str], code: int, told: str
) -> None:
    dsn = database_factory(GIVEN_UP_BY)
    words = {"GROUP": GROUPS[GIVEN_UP_BY], "ID": str(await parked(dsn, GIVEN_UP_BY))}
    ended = await run(GIVEN_UP_BY, dsn, "discard-parked", *(words.get(word, word) for word in arguments))
    assert ended.code == code
    assert told in ended.errors + json.dumps(ended.output)
    assert await fate(dsn) == ("PARKED", None, None)
