"""PostgreSQL: one bounded pool per process, short transactions, every wait with an end.

What the pool promises: a dead socket, a full server or a restart becomes `Unavailable` within seconds; a
serialization failure or deadlock is repeated a bounded number of times; a commit that has begun is not torn
apart by the caller's cancellation. A commit whose answer was lost is *unknown* and also raises `Unavailable`:
callers make their work repeatable by a request id.

Connections carry no session state between users (no temporary tables, no session locks), so they are given
back without a round trip.
"""

import asyncio
import contextlib
import functools
import random
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, TypeAlias, TypeVar, cast

import asyncpg
from asyncpg.pool import PoolConnectionProxy
from prometheus_client import Counter, Gauge, Histogram

from services.chassis import log, metrics, trace
from services.chassis.errors import DomainError, ResourceExhausted, Unavailable

T = TypeVar("T")
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Pooled: TypeAlias = "PoolConnectionProxy[asyncpg.Record]"

CONFLICTS = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)
FAILOVER_SQLSTATES = frozenset({"25006", "57P01", "57P02", "57P03"})
# 08 connection, 40 rollback by the server, 53 resources, 57 operator intervention (also a statement timeout),
# 58 input/output, 25 wrong transaction state (a read-only replica), 55P03 lock timeout.
UNAVAILABLE_CLASSES = frozenset({"08", "40", "53", "57", "58", "25"})
# The schema, the role or the database is not what the code expects: a fault of the deployment, never of the data.
DEPLOYMENT_CLASSES = frozenset({"28", "3D", "3F", "42"})
ONE_PLAN = {"plan_cache_mode": "force_generic_plan", "enable_seqscan": "off"}
"""For sessions whose statements have one right plan, however empty or full the tables are: planning them each time
costs more than running them, and statistics of an empty table would have it read as a whole."""
RETRY_DELAY_S = 0.01
RETRY_AFTER_S = 1.0
ROLLBACK_S_MAX = 5.0
COMMAND_MARGIN_S = 5.0
QUERIES_PER_CONNECTION_MAX = 1_000_000_000
IDLE_CONNECTION_S_MAX = 300.0
SPAN_ATTRIBUTES = {"db.system.name": "postgresql"}

_log = log.get(__name__)
_RETRIES = Counter(
    "sampan_pg_retries_total", "Transactions repeated after a serialization failure or deadlock."
)
_UNAVAILABLE = Counter("sampan_pg_unavailable_total", "Calls that found no usable connection.")
_WAITERS = Gauge("sampan_pg_waiters", "Callers waiting for a connection.")
_TRANSACTION_S = Histogram(
    "sampan_pg_transaction_seconds",
    "Time from BEGIN to the answer of COMMIT.",
    buckets=metrics.LATENCY_BUCKETS_S,
)


def is_unavailable(error: BaseException) -> bool:
    """The database, not the statement, is at fault: waiting helps."""
    if isinstance(error, asyncpg.PostgresError):
        state = error.sqlstate or ""
        return state[:2] in UNAVAILABLE_CLASSES or state == "55P03"
    if isinstance(error, asyncpg.InterfaceError):
        text = str(error)
        return not isinstance(error, ValueError) and any(
            word in text for word in ("closed", "closing", "released")
        )
    return isinstance(error, OSError | TimeoutError | asyncpg.InternalClientError)


def is_timeout(error: BaseException) -> bool:
    """The statement ran too long: less work at a time may help."""
    cause = error.__cause__ if isinstance(error, Unavailable) else error
    return isinstance(cause, asyncpg.QueryCanceledError)


def is_transient(error: BaseException) -> bool:
    """Repeating the same work later may succeed: nothing says that the data is at fault."""
    if isinstance(error, DomainError):
        return error.retryable
    if isinstance(error, asyncpg.PostgresError) and (error.sqlstate or "")[:2] in DEPLOYMENT_CLASSES:
        return True
    return isinstance(error, MemoryError) or is_unavailable(error)


def server_settings(
    *, name: str, statement_timeout_ms: int, lock_timeout_ms: int, idle_in_transaction_timeout_ms: int
) -> dict[str, str]:
    """The session's settings, sent with the connection's start-up message."""
    return {
        "application_name": name,
        "statement_timeout": str(statement_timeout_ms),
        "lock_timeout": str(lock_timeout_ms),
        "idle_in_transaction_session_timeout": str(idle_in_transaction_timeout_ms),
        "jit": "off",
        # A plan kept from when a table was empty reads all of it when it is not: a batch is worth a plan of its own.
        "plan_cache_mode": "force_custom_plan",
        "timezone": "UTC",
    }


async def connect(
    dsn: str,
    *,
    name: str,
    statement_timeout_ms: int = 30_000,
    connect_s_max: float = 5.0,
    settings: Mapping[str, str] | None = None,
) -> Connection:
    """A connection outside any pool, for session locks; the caller closes it.

    `settings` are PostgreSQL's own, on top of those that every session has.
    """
    connection = await asyncpg.connect(
        dsn,
        timeout=connect_s_max,
        command_timeout=statement_timeout_ms / 1000 + COMMAND_MARGIN_S,
        server_settings=server_settings(
            name=name,
            statement_timeout_ms=statement_timeout_ms,
            lock_timeout_ms=statement_timeout_ms,
            idle_in_transaction_timeout_ms=60_000,
        )
        | dict(settings or {}),
        max_cached_statement_lifetime=0,
    )
    keep_socket_alive(connection)
    return connection


def keep_socket_alive(connection: Any) -> None:
    """Lets the kernel notice a peer that vanished without a goodbye, within about 30 s."""
    transport = getattr(connection, "_transport", None)
    peer = transport.get_extra_info("socket") if transport is not None else None
    if peer is None or peer.family not in (socket.AF_INET, socket.AF_INET6):
        return
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        ("TCP_KEEPIDLE", 10),
        ("TCP_KEEPINTVL", 5),
        ("TCP_KEEPCNT", 4),
        ("TCP_USER_TIMEOUT", 30_000),
    ):
        # Not every platform has every one of them.
        if hasattr(socket, option):
            peer.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


async def _prepare_connection(connection: Any) -> None:
    keep_socket_alive(connection)


async def _leave_session_as_it_is(connection: Any) -> None:
    """Replaces asyncpg's reset query: there is no session state to clear, and it would cost a round trip."""


class Database:
    """A pool of connections to one database. Make it by `open`, end it by `close`."""

    def __init__(
        self, pool: "asyncpg.Pool[asyncpg.Record]", dsn: str, *, acquire_s_max: float, waiters_max: int
    ) -> None:
        self.dsn = dsn
        self._pool = pool
        self._acquire_s_max = acquire_s_max
        self._waiters_max = waiters_max
        self._waiters = 0

    @classmethod
    async def open(
        cls,
        dsn: str,
        *,
        pool_size_max: int = 8,
        pool_size_min: int = 1,
        statement_timeout_ms: int = 10_000,
        lock_timeout_ms: int = 5_000,
        idle_in_transaction_timeout_ms: int = 30_000,
        connect_s_max: float = 5.0,
        acquire_s_max: float = 2.0,
        waiters_max: int = 1_000,
        open_s_max: float = 30.0,
        name: str = "sampan",
        session: Mapping[str, str] | None = None,
    ) -> "Database":
        """Connects, waiting up to `open_s_max` seconds for a server that is still starting.

        `session` are settings of PostgreSQL's own, on top of those that every session has.
        """

        deadline = asyncio.get_running_loop().time() + open_s_max
        settings = server_settings(
            name=name,
            statement_timeout_ms=statement_timeout_ms,
            lock_timeout_ms=lock_timeout_ms,
            idle_in_transaction_timeout_ms=idle_in_transaction_timeout_ms,
        ) | dict(session or {})
        pool: asyncpg.Pool[asyncpg.Record] | None = None
        while pool is None:
            try:
                pool = await asyncpg.create_pool(
                    dsn,
                    min_size=pool_size_min,
                    max_size=pool_size_max,
                    max_queries=QUERIES_PER_CONNECTION_MAX,
                    max_inactive_connection_lifetime=IDLE_CONNECTION_S_MAX,
                    timeout=connect_s_max,
                    command_timeout=statement_timeout_ms / 1000 + COMMAND_MARGIN_S,
                    max_cached_statement_lifetime=0,
                    init=_prepare_connection,
                    reset=_leave_session_as_it_is,
                    server_settings=settings,
                )
            except Exception as error:
                if not is_unavailable(error) or asyncio.get_running_loop().time() > deadline:
                    raise
                _log.warning("database not ready", pool=name, error=repr(error))
                await asyncio.sleep(0.5)
        metrics.watch_pool(name, pool)
        return cls(pool, dsn, acquire_s_max=acquire_s_max, waiters_max=waiters_max)

    async def close(self) -> None:
        """Waits a little for borrowed connections, then closes all."""
        try:
            await asyncio.wait_for(self._pool.close(), ROLLBACK_S_MAX)
        except TimeoutError:
            self._pool.terminate()

    async def ping(self) -> None:
        """Raises `Unavailable` unless the server answers a query."""
        async with self.connection() as connection:
            await connection.fetchval("SELECT 1")

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection for reading; each statement is its own transaction."""
        pooled = await self._acquire()
        try:
            yield cast(Connection, pooled)
        except asyncio.CancelledError:
            pooled.terminate()
            raise
        except Exception as error:
            await self._translate(error)
            raise
        finally:
            await self._release(pooled)

    async def transact(self, work: Callable[[Connection], Awaitable[T]], *, attempts_max: int = 5) -> T:
        """Runs `work` in a transaction and commits; `work` may run several times and must not have effects elsewhere.

        Raises what `work` raises, after rolling back; `Unavailable` when the database is down, too slow or
        contended beyond `attempts_max` attempts.
        """
        with trace.ending(trace.start("transaction", "client", attributes=SPAN_ATTRIBUTES)):
            return await self._repeated(functools.partial(self._transact_once, work), attempts_max)

    async def transact_statement(
        self, query: str, *arguments: object, attempts_max: int = 5
    ) -> "list[asyncpg.Record]":
        """Runs one statement that is a transaction by itself, in one round trip; returns its rows.

        Raises as `transact` does. Once sent it is not torn apart by the caller's cancellation, but its connection
        is dropped then: what became of it is unknown.
        """

        async def once() -> "list[asyncpg.Record]":
            async with self._borrowed() as pooled:
                with _TRANSACTION_S.time():
                    try:
                        return list(await pooled.fetch(query, *arguments))
                    except asyncio.CancelledError:
                        pooled.terminate()
                        raise

        with trace.ending(trace.start("transaction", "client", attributes=SPAN_ATTRIBUTES)):
            return await self._repeated(once, attempts_max)

    async def _repeated(self, attempt_once: Callable[[], Awaitable[T]], attempts_max: int) -> T:
        attempt = 1
        while True:
            try:
                return await attempt_once()
            except CONFLICTS as error:
                if attempt >= attempts_max:
                    raise Unavailable(
                        "DEPENDENCY_UNAVAILABLE",
                        "too many transactions changed the same rows",
                        metadata={"cause": "DATABASE_CONTENDED"},
                        retry_after_s=RETRY_AFTER_S,
                    ) from error
            _RETRIES.inc()
            await asyncio.sleep(random.uniform(0, RETRY_DELAY_S * 2**attempt))
            attempt += 1

    async def _transact_once(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        async with self._borrowed() as pooled:
            with _TRANSACTION_S.time():
                transaction = pooled.transaction()
                await transaction.start()
                try:
                    result = await work(cast(Connection, pooled))
                except asyncio.CancelledError:
                    # The query may still run on the server: the connection is of no further use.
                    pooled.terminate()
                    raise
                except BaseException:
                    await _roll_back(pooled, transaction)
                    raise
                await _commit(transaction)
                return result

    @contextlib.asynccontextmanager
    async def _borrowed(self) -> AsyncIterator[Pooled]:
        """A connection for writing; conflicts pass as they are, for they are repeated."""
        pooled = await self._acquire()
        try:
            yield pooled
        except CONFLICTS:
            raise
        except Exception as error:
            await self._translate(error)
            raise
        finally:
            await self._release(pooled)

    async def _acquire(self) -> Pooled:
        if self._waiters >= self._waiters_max:
            raise ResourceExhausted(
                "OVERLOADED",
                "too many callers wait for the database",
                metadata={"cause": "DATABASE_QUEUE_FULL"},
                retry_after_s=RETRY_AFTER_S,
            )
        self._waiters += 1
        _WAITERS.inc()
        try:
            return await self._pool.acquire(timeout=self._acquire_s_max)
        except Exception as error:
            await self._translate(error)
            raise
        finally:
            self._waiters -= 1
            _WAITERS.dec()

    async def _release(self, pooled: Pooled) -> None:
        try:
            await self._pool.release(pooled, timeout=ROLLBACK_S_MAX)
        except (
            asyncpg.PostgresError,
            asyncpg.InterfaceError,
            # The connection was cut after the work and freed its place by itself; what was committed stays so.
            asyncpg.InternalClientError,
            OSError,
            TimeoutError,
        ) as error:
            # asyncpg has terminated the connection; the pool replaces it.
            _log.warning("connection lost on release", error=repr(error))

    async def _translate(self, error: Exception) -> None:
        """Raises `Unavailable` for a fault of the database; returns for any other."""
        if isinstance(error, asyncpg.PostgresError) and error.sqlstate in FAILOVER_SQLSTATES:
            # Every pooled connection leads to the same server that is going away or was demoted.
            await self._pool.expire_connections()
        if is_unavailable(error):
            _UNAVAILABLE.inc()
            raise Unavailable(
                "DEPENDENCY_UNAVAILABLE",
                "the database does not answer",
                metadata={"cause": "DATABASE_UNAVAILABLE"},
                retry_after_s=RETRY_AFTER_S,
            ) from error


async def _roll_back(pooled: Pooled, transaction: Any) -> None:
    """Rolls back, or drops a connection on which that is impossible."""
    if pooled.is_closed():
        return
    try:
        await asyncio.wait_for(transaction.rollback(), ROLLBACK_S_MAX)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
        pooled.terminate()


async def _commit(transaction: Any) -> None:
    """Commits; once begun, the caller's cancellation waits for the answer."""
    commit = asyncio.ensure_future(transaction.commit())
    try:
        await asyncio.shield(commit)
    except asyncio.CancelledError:
        await asyncio.wait([commit])
        if not commit.cancelled() and commit.exception() is not None:
            _log.warning("commit failed after cancellation", error=repr(commit.exception()))
        raise
