"""Names and addresses do not get out through what PostgreSQL says of a row that it refuses."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Sequence
from types import SimpleNamespace

import asyncpg
import pytest
from aiokafka import TopicPartition

from services.chassis.consumer import Event, list_parked, replay_parked
from services.chassis.consumer.batch import BatchProcessor, decode
from services.chassis.pg import Connection, Database
from services.chassis.pg_errors import describe
from tests.integration.chassis.topics import headers

pytestmark = pytest.mark.postgres

NAME = "José Núñez"
TABLE = "CREATE TABLE person (name text CONSTRAINT person_name_short CHECK (length(name) < 3), age integer)"

PROGRAM = """
import asyncio, logging, sys
import asyncpg
from services.chassis import log

_logger = log.get("demo")

async def provoke(dsn, statement, *arguments):
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement, *arguments)
    finally:
        await connection.close()

def main(dsn, name):
    log.configure("demo", "info")
    for number, (statement, arguments) in enumerate((
        ("INSERT INTO person (name) VALUES ($1)", (name,)),
        ("INSERT INTO person (name, age) SELECT $1::text, $1::text::integer", (name,)),
        ("INSERT INTO person (age) VALUES ($1)", (name,)),
    )):
        try:
            try:
                asyncio.run(provoke(dsn, statement, *arguments))
            except Exception as error:
                raise ExceptionGroup("several", [LookupError("one"), error]) from error
        except Exception as error:
            _logger.error("broke", exc_info=error)
            # One library that repeats itself is heard once a second.
            logging.getLogger(f"library-{number}").exception("broke too")
            assert name in str(error.__cause__), "the error itself stays as it was"

main(*sys.argv[1:])
"""


async def prepared(ledger: Database) -> None:
    async with ledger.connection() as connection:
        await connection.execute(TABLE)


async def test_tracebacks_in_the_log(ledger: Database) -> None:
    await prepared(ledger)
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", PROGRAM, ledger.dsn, NAME],
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["event"] for line in lines] == ["broke", "broke too"] * 3
    for line in lines:
        assert "José" not in json.dumps(line, ensure_ascii=False)
        assert "DETAIL" not in line["exception"]
        assert "Traceback" in line["exception"]
    assert "person_name_short" in lines[0]["exception"]
    assert "sqlstate=22P02" in lines[2]["exception"]


async def test_a_description_names_the_constraint_and_no_value(ledger: Database) -> None:
    await prepared(ledger)
    with pytest.raises(asyncpg.CheckViolationError) as caught:
        async with ledger.connection() as connection:
            await connection.execute("INSERT INTO person (name) VALUES ($1)", NAME)
    assert NAME in str(caught.value)
    told = describe(caught.value)
    assert told.startswith("CheckViolationError: ")
    assert "sqlstate=23514" in told
    assert "table_name=person" in told
    assert "constraint_name=person_name_short" in told
    assert "José" not in told
    assert "\n" not in told


async def test_the_detail_of_a_parked_event(ledger: Database, capsys: pytest.CaptureFixture[str]) -> None:
    await prepared(ledger)

    async def refuse(connection: Connection, events: Sequence[Event]) -> None:
        await connection.execute("INSERT INTO person (name) VALUES ($1)", NAME)

    place = TopicPartition("people", 0)
    processor = BatchProcessor(
        group="group", handler=refuse, db=ledger, after_commit=None, snapshot_topics=()
    )
    async with ledger.connection() as connection:
        await connection.execute(
            "INSERT INTO consumer_offset (grp, topic, part, next) VALUES ('group', 'people', 0, 0)"
        )
    processor.positions = {place: 0}
    record = SimpleNamespace(
        topic="people", partition=0, offset=0, timestamp=1, key=b"a", value=b"", headers=headers("a", 1)
    )
    await processor.process(decode(place, [record]))

    async def detail() -> str:
        (parked,) = await list_parked(ledger, "group")
        return parked.detail

    first = await detail()
    report = await replay_parked(ledger, "group", refuse, actor="alice")
    assert report.failures == {("people", "a"): await detail()}
    for text in (first, await detail()):
        assert "person_name_short" in text
        assert "José" not in text
    assert "event parked" in capsys.readouterr().out
