"""Sends the outbox to Kafka in per-aggregate order and deletes what is acknowledged.

Sixteen buckets of aggregates are shared out among all relays that live, in this process and in its replicas
(see `buckets`): one relay at a time serves a bucket. One round of a relay:

    SELECT the oldest rows -> one batch per partition at a time, each acknowledged before the next -> DELETE

A crash between acknowledgement and DELETE sends rows again: consumers drop what they have applied.

A relay that cannot reach Kafka leaves its buckets to those that can, and comes back when it reaches it again.

While there is always something to send, rounds begin `linger_s` apart: each is a handful of statements and
requests whether it carries one event or hundreds, so fewer and larger ones cost less for a little latency.
"""

import asyncio
from collections.abc import Collection, Sequence

import asyncpg
from prometheus_client import Counter, Gauge, Histogram

from services.chassis import log, metrics, pg
from services.chassis.config import DatabaseServiceSettings
from services.chassis.crash import crash_point
from services.chassis.lifecycle import Runtime
from services.chassis.outbox.append import BUCKETS
from services.chassis.outbox.buckets import BucketShare
from services.chassis.outbox.right import Right, RightLost
from services.chassis.outbox.sender import Row, Sender
from services.chassis.outbox.vacuum import Vacuum
from services.chassis.queries import load_queries

BUSY_AFTER_ROWS_S = 2.0
MEASURE_S = 2.0
MEASURE_ROWS_MAX = 100_000
RETRY_S_MAX = 5.0
PROVE_ALIVE_S = 4.0
LEAVE_AFTER_ROUNDS = 3
LEAVE_AFTER_S = 30.0
"""A relay leaves after so many rounds in a row of which Kafka took nothing, or after one that took so long."""
SESSION_SETTINGS = {
    # By the primary key.
    **pg.ONE_PLAN,
    # A relay that is frozen, or whose host is gone without a goodbye, must not keep its buckets.
    "idle_session_timeout": "15s",
}

_log = log.get(__name__)
_ROWS = Gauge("sampan_outbox_rows", f"Events not yet in Kafka, counted up to {MEASURE_ROWS_MAX}.")
_OLDEST_AGE_S = Gauge("sampan_outbox_oldest_age_seconds", "Age of the oldest event not yet in Kafka.")
_HELD = Gauge("sampan_outbox_buckets_held", f"Buckets that this process relays, of {BUCKETS}.")
_FAILURES = Counter("sampan_outbox_send_failures_total", "Rounds in which Kafka refused or did not answer.")
_BATCH = Histogram("sampan_outbox_batch_events", "Events read in one round.", buckets=metrics.BATCH_BUCKETS)
_ROUND_S = Histogram(
    "sampan_outbox_round_seconds", "One round: read, send, delete.", buckets=metrics.LATENCY_BUCKETS_S
)


class OutboxRelay:
    """Relays one database's outbox until stopped.

    `source` names the service in every event, such as "/sampan/orders". Of `snapshot_topics`, which are
    compacted, a snapshot that a newer one of the same read replaces is not sent.
    """

    def __init__(
        self,
        *,
        dsn: str,
        bootstrap: str,
        source: str,
        shards: int = 1,
        batch_rows_max: int = 1_000,
        snapshot_topics: Collection[str] = (),
        linger_s: float = 0.0,
        poll_busy_s: float = 0.01,
        poll_idle_s: float = 0.05,
        poll_alone_s: float = 0.25,
        send_alarm_s: float = 10.0,
        send_s_max: float = 120.0,
        name: str = "outbox",
    ) -> None:
        if not 1 <= shards <= BUCKETS:
            raise ValueError(f"shards must be 1 to {BUCKETS}")
        self._dsn = dsn
        self._batch_rows_max = batch_rows_max
        self._linger_s = linger_s
        self._poll_busy_s = max(poll_busy_s, linger_s)
        self._poll_idle_s = poll_idle_s
        self._poll_alone_s = poll_alone_s
        self._name = name
        self._queries = load_queries("services.chassis")
        self._stopping = asyncio.Event()
        self._stopped = asyncio.Event()
        self._shards = [
            _Shard(
                self,
                number,
                Sender(
                    bootstrap=bootstrap,
                    source=source.encode(),
                    snapshot_topics=snapshot_topics,
                    stopping=self._stopping,
                    alarm_s=send_alarm_s,
                    s_max=send_s_max,
                    name=f"{name}-{number}",
                ),
            )
            for number in range(shards)
        ]

    @property
    def held(self) -> list[int]:
        """The buckets that this relay serves now, sorted."""
        return sorted(bucket for shard in self._shards for bucket in shard.held)

    def wake(self) -> None:
        """Says that rows were committed, so that they are sent without waiting for the next poll."""
        for shard in self._shards:
            shard.woken.set()

    async def run(self) -> None:
        """Relays until `stop`; returns then. Outages of PostgreSQL and Kafka are waited out."""
        tasks = [
            asyncio.create_task(shard.run(), name=f"{self._name}-{shard.number}") for shard in self._shards
        ]
        tasks.append(asyncio.create_task(self._measure(), name=f"{self._name}-measure"))
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._stopped.set()

    async def stop(self, *, s_max: float = 10.0) -> None:
        """Finishes the round under way; what is left in the table is for the next relay."""
        self._stopping.set()
        self.wake()
        try:
            await asyncio.wait_for(self._stopped.wait(), s_max)
        except TimeoutError:
            _log.warning("relay still busy when stopped", relay=self._name)

    async def _measure(self) -> None:
        """Keeps the gauges; a failure shows as a missing update and in the shards' logs."""
        connection: pg.Connection | None = None
        try:
            while not self._stopping.is_set():
                try:
                    if connection is None or connection.is_closed():
                        connection = await pg.connect(self._dsn, name=f"{self._name}-measure")
                    row = await connection.fetchrow(self._queries["measure_outbox"], MEASURE_ROWS_MAX)
                    if row is not None:
                        _ROWS.set(row["rows"])
                        _OLDEST_AGE_S.set(max(0.0, row["oldest_age_s"]))
                except Exception as error:
                    if not pg.is_transient(error):
                        raise
                    _log.warning("outbox not measured", error=repr(error))
                _HELD.set(len(self.held))
                await _wait(self._stopping, MEASURE_S)
        finally:
            if connection is not None:
                connection.terminate()


def attach_relay(
    runtime: Runtime,
    settings: DatabaseServiceSettings,
    service: str,
    *,
    source: str,
    snapshot_topics: Collection[str] = (),
) -> OutboxRelay:
    """The relay of a serving process, at work until that ends."""
    relay = OutboxRelay(
        dsn=settings.dsn,
        bootstrap=settings.kafka_bootstrap,
        source=source,
        shards=settings.relay_shards,
        linger_s=settings.relay_linger_ms / 1000,
        snapshot_topics=snapshot_topics,
        name=f"{service}-outbox",
    )
    runtime.spawn(relay.run(), "outbox relay", stop=relay.stop)
    return relay


class _Shard:
    """One connection with its buckets, one producer."""

    def __init__(self, relay: OutboxRelay, number: int, sender: Sender) -> None:
        self.number = number
        self.woken = asyncio.Event()
        self._relay = relay
        self._sender = sender
        self._share: BucketShare | None = None
        self._vacuum = Vacuum()
        self._failures = 0
        self._rounds_in_vain = 0
        self._busy_until = 0.0

    @property
    def held(self) -> list[int]:
        """The buckets that it serves now."""
        return self._share.held if self._share is not None else []

    async def run(self) -> None:
        relay = self._relay
        try:
            while not relay._stopping.is_set():
                try:
                    if self._rounds_in_vain >= LEAVE_AFTER_ROUNDS:
                        await self._reach_kafka()
                    await self._hold_connection()
                except Exception as error:
                    # The locks went with the connection; another replica may have taken over.
                    if not pg.is_transient(error):
                        raise
                    _log.warning("relay lost its connection", shard=self.number, error=repr(error))
                    await _wait(relay._stopping, self._delay_s())
        finally:
            await self._sender.drop_producer()

    async def _hold_connection(self) -> None:
        relay = self._relay
        name = f"{relay._name}-{self.number}"
        connection = await pg.connect(relay._dsn, name=name, settings=SESSION_SETTINGS)
        share = self._share = BucketShare(connection, name=name)
        right = Right(connection)
        loop = asyncio.get_running_loop()
        try:
            await share.prepare()
            await connection.execute(relay._queries["read_outbox"], [], 0)
            await connection.execute(relay._queries["delete_outbox"], [])
            while not relay._stopping.is_set() and self._rounds_in_vain < LEAVE_AFTER_ROUNDS:
                was_woken = self.woken.is_set()
                self.woken.clear()
                await share.balance()
                began = loop.time()
                rows, more = await self._round(connection, share, right) if share.held else (0, False)
                if rows and not was_woken:
                    # Other processes fill the buckets that are served here: only polling finds their rows.
                    self._busy_until = loop.time() + BUSY_AFTER_ROWS_S
                if rows and not more:
                    await _wait(relay._stopping, began + relay._linger_s - loop.time())
                if not more:
                    await _wait(self.woken, self._poll_s(share))
        finally:
            self._share = None
            # Closing releases the locks; a connection that hangs is cut.
            try:
                await connection.close(timeout=2)
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
                connection.terminate()

    def _poll_s(self, share: BucketShare) -> float:
        """How long to wait for a call of `wake`, which the commits of this process make."""
        relay = self._relay
        if asyncio.get_running_loop().time() < self._busy_until:
            return relay._poll_busy_s
        return relay._poll_idle_s if share.living > len(relay._shards) else relay._poll_alone_s

    async def _reach_kafka(self) -> None:
        """Waits, holding nothing, until Kafka can be reached."""
        _log.warning("relay leaves its buckets to others", shard=self.number)
        while not self._relay._stopping.is_set():
            failure = await self._sender.probe()
            if failure is None:
                break
            _log.info("relay does not reach Kafka", shard=self.number, error=repr(failure))
            await _wait(self._relay._stopping, self._delay_s())
        self._rounds_in_vain = 0

    async def _round(self, connection: pg.Connection, share: BucketShare, right: Right) -> tuple[int, bool]:
        """One read, send and delete; how many rows were read, and whether there is more to send at once."""
        relay = self._relay
        rows = await connection.fetch(relay._queries["read_outbox"], share.held, relay._batch_rows_max)
        if not rows:
            return 0, False
        _BATCH.observe(len(rows))
        crash_point("relay.before_send")
        began_s = asyncio.get_running_loop().time()
        with _ROUND_S.time():
            acknowledged, failure = await self._send(right, rows)
            if isinstance(failure, RightLost):
                raise failure
            crash_point("relay.before_delete")
            if acknowledged:
                await connection.execute(relay._queries["delete_outbox"], acknowledged)
                await self._vacuum.after(connection, len(acknowledged))
            crash_point("relay.after_delete")
        if failure is None:
            self._failures = self._rounds_in_vain = 0
            return len(rows), len(rows) == relay._batch_rows_max
        _FAILURES.inc()
        _log.warning("Kafka did not take the outbox", shard=self.number, rows=len(rows), error=repr(failure))
        await self._sender.drop_producer()
        self._rounds_in_vain = 0 if acknowledged else self._rounds_in_vain + 1
        if asyncio.get_running_loop().time() - began_s >= LEAVE_AFTER_S:
            self._rounds_in_vain = LEAVE_AFTER_ROUNDS
        await _wait(relay._stopping, self._delay_s())
        return len(rows), True

    async def _send(self, right: Right, rows: Sequence[Row]) -> tuple[list[int], Exception | None]:
        """Sends rows, for as long as the connection, and with it the right to send them, is there."""
        sending = asyncio.create_task(self._sender.send(rows, right.confirm))
        losing = asyncio.create_task(right.lost.wait())
        try:
            while True:
                done, _ = await asyncio.wait(
                    [sending, losing], timeout=PROVE_ALIVE_S, return_when=asyncio.FIRST_COMPLETED
                )
                if sending in done:
                    return sending.result()
                await right.prove()
        finally:
            losing.cancel()
            if not sending.done():
                sending.cancel()
                await asyncio.wait([sending])
                await self._sender.drop_producer()

    def _delay_s(self) -> float:
        self._failures += 1
        return min(RETRY_S_MAX, 0.1 * 2.0**self._failures)


async def _wait(event: asyncio.Event, s_max: float) -> None:
    """Waits for the event, or for so long."""
    if event.is_set() or s_max <= 0:
        return
    try:
        async with asyncio.timeout(s_max):
            await event.wait()
    except TimeoutError:
        return
