"""The commands of `python -m services.<service>`, the same for every service: what its container runs.

    serve           run until told to stop (the default)
    setup           migrate the database and create the topics; safe to repeat and to run twice at once
    list-parked     events that could not be handled, one JSON object per line
    replay-parked   hand parked events to their handler again, in order
    discard-parked  give parked events up for good; their aggregates go on without them
    publish-snapshots
                    tell the state of everything anew, as after the loss of a compacted topic
    config          the values in force, secrets masked; with --markdown, the table of all variables

The commands on parked events and snapshots print JSON lines to stdout and log to stderr; the others log to stdout.
Exit codes: 0 done, 1 failed (the last line of the log says why), 2 wrong configuration or arguments.
"""

import argparse
import getpass
import json
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, NoReturn, Protocol, TypeVar

import uvloop

from services.chassis import config, kafka, log, tls
from services.chassis.errors import DomainError
from services.chassis.kafka import TopicSpec
from services.chassis.lifecycle import CannotStart

S = TypeVar("S", bound=config.ProcessSettings)

PARKED_LIMIT_DEFAULT = 100
PRINTING = frozenset({"list-parked", "replay-parked", "discard-parked", "publish-snapshots"})

_logger = log.get(__name__)


@dataclass(frozen=True, slots=True)
class ParkedQuery:
    """Which parked events an operator means, and who asks: what is done is recorded with its actor.

    `ids` and `note` are those of `discard-parked`: the events to give up, and why. `across_gaps` is that of
    `replay-parked`: to apply events although others before them are missing.
    """

    group: str | None
    aggregate_id: str | None
    limit: int
    actor: str
    ids: tuple[int, ...] = ()
    note: str = ""
    across_gaps: bool = False


class Topics(Protocol):
    """The topics that a service owns, with so many partitions and copies."""

    def __call__(self, *, partitions: int, replication: int) -> Sequence[TopicSpec]:
        """The topics."""


Hook = Callable[[S], Awaitable[None]]
Rows = Iterable[Mapping[str, object]]
ParkedHook = Callable[[S, ParkedQuery], Awaitable[Rows]]
SnapshotsHook = Callable[[S], Awaitable[Rows]]


@dataclass(frozen=True, slots=True)
class Service(Generic[S]):
    """What a service does for each command; a command without a hook does not exist for it.

    A service's `__main__` holds its own as COMMANDS, where the operators' command line finds it too (deploy/cli).
    """

    name: str
    settings: type[S]
    serve: Hook[S]
    setup: Hook[S] | None = None
    topics: Topics | None = None
    list_parked: ParkedHook[S] | None = None
    replay_parked: ParkedHook[S] | None = None
    discard_parked: ParkedHook[S] | None = None
    publish_snapshots: SnapshotsHook[S] | None = None


def run(service: Service[S], arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs the command that the arguments name and exits."""
    chosen = _parser(service).parse_args(arguments)
    if chosen.command == "config" and chosen.markdown:
        sys.stdout.write(config.markdown_table(service.settings))
        raise SystemExit(0)
    settings = config.load(service.settings)
    if chosen.command == "config":
        sys.stdout.writelines(f"{name}={value}\n" for name, value in config.current_values(settings).items())
        raise SystemExit(0)
    # What a command prints is data for the next program: its log must not stand between the rows.
    log.configure(
        service.name, settings.log_level, file=sys.stderr if chosen.command in PRINTING else sys.stdout
    )
    try:
        uvloop.run(_run(service, settings, chosen))
    except (CannotStart, tls.Unusable) as error:
        _logger.error("cannot start", cause=str(error))
    except DomainError as error:
        _logger.error("failed", command=chosen.command, reason=error.reason, cause=error.message)
    except Exception:
        _logger.exception("crashed", command=chosen.command)
    else:
        raise SystemExit(0)
    raise SystemExit(1)


async def _run(service: Service[S], settings: S, chosen: argparse.Namespace) -> None:
    kafka.configure(settings)
    if chosen.command in ("list-parked", "replay-parked"):
        hook = service.list_parked if chosen.command == "list-parked" else service.replay_parked
        assert hook is not None
        query = ParkedQuery(
            chosen.group,
            chosen.aggregate_id,
            chosen.limit,
            chosen.actor,
            across_gaps=getattr(chosen, "across_gaps", False),
        )
        _print(await hook(settings, query))
    elif chosen.command == "discard-parked":
        assert service.discard_parked is not None
        ids = tuple(chosen.ids)
        query = ParkedQuery(chosen.group, None, len(ids), chosen.actor, ids, chosen.note)
        _print(await service.discard_parked(settings, query))
    elif chosen.command == "publish-snapshots":
        assert service.publish_snapshots is not None
        _print(await service.publish_snapshots(settings))
    elif chosen.command == "setup":
        assert service.setup is not None
        await service.setup(settings)
    else:
        await service.serve(settings)


def _print(rows: Rows) -> None:
    for row in rows:
        sys.stdout.write(json.dumps(row, default=str, ensure_ascii=False) + "\n")


def _parser(service: Service[S]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m services.{service.name}")
    parser.set_defaults(command="serve")
    commands = parser.add_subparsers(metavar="command", title="commands")

    def add(command: str, text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(command, help=text, description=text)
        added.set_defaults(command=command)
        return added

    add("serve", "Run until told to stop (the default).")
    if service.setup is not None:
        add("setup", "Migrate the database and create the topics; safe to repeat.")
    for command, hook, text in (
        ("list-parked", service.list_parked, "List events that could not be handled, as JSON lines."),
        ("replay-parked", service.replay_parked, "Hand parked events to their handler again, in order."),
    ):
        if hook is not None:
            parked = add(command, text)
            parked.add_argument("--group", help="only those of this consumer group")
            parked.add_argument("--aggregate-id", help="only those of this aggregate")
            parked.add_argument("--limit", type=int, default=PARKED_LIMIT_DEFAULT, help="at most so many")
            parked.add_argument("--actor", default=_who(), help="who does it, for the record")
            if command == "replay-parked":
                parked.add_argument(
                    "--across-gaps", action="store_true", help="give up what is missing before an event"
                )
    if service.discard_parked is not None:
        discard = add(
            "discard-parked", "Give parked events up for good; their aggregates go on without them."
        )
        discard.add_argument("ids", type=int, nargs="+", metavar="id", help="an id that list-parked shows")
        discard.add_argument("--group", required=True, help="the consumer group that they are parked in")
        discard.add_argument("--note", type=_note, required=True, help="why, for the record")
        discard.add_argument("--actor", default=_who(), help="who does it, for the record")
    if service.publish_snapshots is not None:
        add("publish-snapshots", "Tell the state of everything anew, as after the loss of a compacted topic.")
    add("config", "Show the values in force.").add_argument(
        "--markdown", action="store_true", help="instead, the table of all variables"
    )
    return parser


def _note(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("say why")
    return text


def _who() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"
