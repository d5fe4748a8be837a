"""The commands that every service has."""

import asyncio
import json
import logging
from collections.abc import Iterable, Iterator, Mapping

import pytest
import structlog

from services.chassis import cli, log
from services.chassis.config import ProcessSettings
from services.chassis.errors import Unavailable
from services.chassis.lifecycle import CannotStart


@pytest.fixture(autouse=True)
def own_logging() -> Iterator[None]:
    """Puts the logging of the test process back as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


async def serve(settings: ProcessSettings) -> None:
    await asyncio.sleep(0)


async def parked(settings: ProcessSettings, query: cli.ParkedQuery) -> Iterable[Mapping[str, object]]:
    return [
        {"group": query.group, "aggregate_id": query.aggregate_id, "limit": query.limit, "actor": query.actor}
    ]


async def discarded(settings: ProcessSettings, query: cli.ParkedQuery) -> Iterable[Mapping[str, object]]:
    return [{"group": query.group, "ids": query.ids, "note": query.note, "actor": query.actor}]


async def published(settings: ProcessSettings) -> Iterable[Mapping[str, object]]:
    return [{"topic": "demo.things.v1", "snapshots": 3}]


def exit_code(service: cli.Service[ProcessSettings], *arguments: str) -> object:
    with pytest.raises(SystemExit) as stop:
        cli.run(service, arguments)
    return stop.value.code


SERVICE = cli.Service(
    name="demo",
    settings=ProcessSettings,
    serve=serve,
    list_parked=parked,
    replay_parked=parked,
    discard_parked=discarded,
    publish_snapshots=published,
)


@pytest.mark.parametrize("arguments", [(), ("serve",), ("config",)])
def test_serving_is_the_default(arguments: tuple[str, ...]) -> None:
    assert exit_code(SERVICE, *arguments) == 0


@pytest.mark.parametrize(
    "arguments", [("setup",), ("fly",), ("serve", "--fast"), ("list-parked", "--limit", "x")]
)
def test_what_a_service_does_not_know_is_refused(arguments: tuple[str, ...]) -> None:
    assert exit_code(SERVICE, *arguments) == 2


def test_parked_events_are_printed_one_per_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(SERVICE, "replay-parked", "--group", "orders", "--limit", "5", "--actor", "li") == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line) == {"group": "orders", "aggregate_id": None, "limit": 5, "actor": "li"}


def test_what_was_told_anew_is_printed_by_topic(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(SERVICE, "publish-snapshots") == 0
    assert json.loads(capsys.readouterr().out) == {"topic": "demo.things.v1", "snapshots": 3}
    silent = cli.Service(name="silent", settings=ProcessSettings, serve=serve)
    assert exit_code(silent, "publish-snapshots") == 2


def test_a_log_line_does_not_stand_between_the_rows(capsys: pytest.CaptureFixture[str]) -> None:
    async def chatty(settings: ProcessSettings, query: cli.ParkedQuery) -> Iterable[Mapping[str, object]]:
        log.get(__name__).warning("database not ready")
        return [{"replayed": 1}]

    service = cli.Service(name="demo", settings=ProcessSettings, serve=serve, replay_parked=chatty)
    assert exit_code(service, "replay-parked") == 0
    printed = capsys.readouterr()
    assert [json.loads(line) for line in printed.out.splitlines()] == [{"replayed": 1}]
    assert "database not ready" in printed.err


def test_events_are_given_up_one_by_one_and_with_a_reason(capsys: pytest.CaptureFixture[str]) -> None:
    named = ("discard-parked", "7", "9", "--group", "orders", "--actor", "li")
    assert exit_code(SERVICE, *named, "--note", "sent twice") == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line) == {"group": "orders", "ids": [7, 9], "note": "sent twice", "actor": "li"}
    assert exit_code(SERVICE, *named) == 2
    assert exit_code(SERVICE, *named, "--note", " ") == 2


@pytest.mark.parametrize(
    ("error", "event"),
    [
        (CannotStart("the schema is behind"), "cannot start"),
        (Unavailable("DATABASE_DOWN", "no connection"), "failed"),
        (RuntimeError("unforeseen"), "crashed"),
    ],
)
def test_a_failure_is_logged_and_exits_with_1(
    error: Exception, event: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async def broken(settings: ProcessSettings) -> None:
        raise error

    assert exit_code(cli.Service(name="demo", settings=ProcessSettings, serve=broken)) == 1
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["event"] == event
