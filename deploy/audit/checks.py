"""What a check is, what it tells, and how one is run."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import asyncpg

OFFENDERS_MAX = 5
STATEMENT_TIMEOUT_S = 600
CONSUMING_DATABASES = ("orders", "warehouse")
"""The catalog only speaks; it has no consumer's tables."""
CONNECT_TIMEOUT_S = 10

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Status = Literal["ok", "failed", "could not run"]


@dataclass(slots=True)
class Findings:
    """What an examination counted and whom it caught; keeps only the first offenders."""

    examined: int = 0
    failed: int = 0
    offenders: list[str] = field(default_factory=list)
    remark: str = ""

    def blame(self, offender: str) -> None:
        """One more that breaks the rule."""
        self.failed += 1
        if len(self.offenders) < OFFENDERS_MAX:
            self.offenders.append(offender)

    def blame_all(self, offenders: Iterable[str]) -> None:
        """Several at once."""
        for offender in offenders:
            self.blame(offender)


@dataclass(frozen=True, slots=True)
class Check:
    """An invariant: `id` is its number in the list of invariants with a word, `sentence` what must be true."""

    id: str
    sentence: str
    examine: Callable[[], Awaitable[Findings]]


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of one check."""

    id: str
    sentence: str
    status: Status
    examined: int
    failed: int
    offenders: tuple[str, ...]
    remark: str
    seconds: float

    def as_json(self) -> Mapping[str, Any]:
        """Plain values."""
        return {
            "id": self.id,
            "sentence": self.sentence,
            "status": self.status,
            "examined": self.examined,
            "failed": self.failed,
            "offenders": list(self.offenders),
            "remark": self.remark,
            "seconds": round(self.seconds, 3),
        }


async def run(check: Check) -> Result:
    """Runs one check; a database or broker that does not answer is "could not run", never a pass."""
    started = time.perf_counter()
    try:
        findings = await check.examine()
        status: Status = "failed" if findings.failed else "ok"
    except UNREACHABLE as error:
        findings = Findings(remark=f"{type(error).__name__}: {error}"[:500])
        status = "could not run"
    return Result(
        check.id,
        check.sentence,
        status,
        findings.examined,
        findings.failed,
        tuple(findings.offenders),
        findings.remark,
        time.perf_counter() - started,
    )


class BrokerUnreachable(Exception):
    """Kafka does not answer, or a topic does not exist."""


UNREACHABLE = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    # What a connection says of itself that was cut in the middle of an answer.
    asyncpg.InternalClientError,
    BrokerUnreachable,
    OSError,
    TimeoutError,
)


@asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[Connection]:
    """A connection for reading: one snapshot for the whole block, nothing can be written."""
    connection = await asyncpg.connect(
        dsn,
        timeout=CONNECT_TIMEOUT_S,
        command_timeout=STATEMENT_TIMEOUT_S,
        statement_cache_size=0,
        server_settings={"application_name": "sampan-audit", "jit": "off"},
    )
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            yield connection
    finally:
        await connection.close(timeout=CONNECT_TIMEOUT_S)


async def examine_rows(dsn: str, query: str, *parameters: object) -> Findings:
    """Counts the rows of a query that gives (offender, bad), in the database; fetches the first offenders only."""
    async with connected(dsn) as connection:
        row = await connection.fetchrow(
            "SELECT count(*) AS examined, count(*) FILTER (WHERE bad) AS failed, "
            f"(array_agg(offender) FILTER (WHERE bad))[1:{OFFENDERS_MAX}] AS offenders FROM ({query}) AS rows",
            *parameters,
        )
    assert row is not None, "an aggregate gives one row"
    return Findings(row["examined"], row["failed"], list(row["offenders"] or ()))
