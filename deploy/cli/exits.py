"""How the command line ends: the exit codes, and which fault becomes which of them."""

import sys
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import NoReturn, TypeVar

import aiohttp
import asyncpg
import typer
import uvloop
from aiokafka.errors import KafkaError

from deploy.audit.checks import BrokerUnreachable
from deploy.local.settings import StackError
from deploy.replay.client import PatienceEnded
from deploy.replay.following import UnexpectedAnswer
from deploy.replay.prepare import PreparationFailed
from deploy.replay.retail import UnreadableFile
from deploy.replay.settings import SettingsError
from services.chassis import tls
from services.chassis.errors import DomainError
from services.chassis.kafka import TopicMismatch
from services.chassis.lifecycle import CannotStart
from services.chassis.migrations import MigrationFault
from services.chassis.pg import is_unavailable

T = TypeVar("T")

DONE = 0
FOUND = 1
REFUSED = 2
UNREACHABLE = 3
INTERRUPTED = 130

MEANINGS = {
    DONE: "Done; where something was looked for, nothing was found.",
    FOUND: "Something was found: an invariant is broken, a topic differs, a schema is behind, rows were refused, "
    "events stay parked; for a list, only with `--fail`.",
    REFUSED: "The arguments or the configuration are wrong, or what was asked for was refused.",
    UNREACHABLE: "A database, Kafka or the API could not be reached: nothing is known, ask again.",
    INTERRUPTED: "Interrupted.",
}
"""By exit code; anything else is a fault of the program, with a traceback."""


class Refusal(Exception):
    """What was asked for cannot be had; the text says why."""


REFUSALS = (
    Refusal,
    StackError,
    SettingsError,
    TopicMismatch,
    MigrationFault,
    CannotStart,
    tls.Unusable,
    UnreadableFile,
    UnexpectedAnswer,
    PreparationFailed,
)
OUTAGES = (PatienceEnded, BrokerUnreachable, KafkaError, aiohttp.ClientError, OSError, TimeoutError)


def end(code: int, text: str) -> NoReturn:
    """Says why on stderr and ends."""
    sys.stderr.write(f"sampan: {text}\n")
    raise typer.Exit(code)


def run(work: Awaitable[T]) -> T:
    """Carries out a command's work; a known fault ends the process with its code."""
    with told():
        return uvloop.run(_awaited(work))


async def _awaited(work: Awaitable[T]) -> T:
    return await work


@contextmanager
def told() -> Iterator[None]:
    """Turns known faults into a line on stderr and an exit code."""
    try:
        yield
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    except DomainError as error:
        end(UNREACHABLE if error.retryable else REFUSED, str(error))
    except REFUSALS as error:
        end(REFUSED, str(error))
    except OUTAGES as error:
        end(UNREACHABLE, _described(error))
    except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
        # A role, a database or a table that is not there: waiting does not help.
        end(UNREACHABLE if is_unavailable(error) else REFUSED, _described(error))


def _described(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".rstrip(": ")
