"""Kafka clients with the settings that durability needs, and the creation of topics."""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from services.chassis import kafka_connection, log, tls
from services.chassis.errors import Unavailable
from services.chassis.transport import TransportSettings

PRODUCE_REQUEST_BYTES_MAX = 1_000_000
PRODUCE_BATCH_BYTES_MAX = 512 * 1024
REQUEST_TIMEOUT_MS = 15_000
RETRY_BACKOFF_MS = 100
STOP_S_MAX = 10.0
DAY_MS = 86_400_000
TIMESTAMP_AHEAD = "message.timestamp.after.max.ms"
SET_FOR_THE_TOPIC = 1
"""Where a setting of a topic comes from, in Kafka's protocol: it is the topic's own."""

_log = log.get(__name__)
_security: Mapping[str, Any] = {}

kafka_connection.mend()


def configure(settings: TransportSettings) -> None:
    """Decides how every client that is made from now on reaches the brokers; by default in plain text.

    Raises `tls.Unusable`.
    """
    global _security
    protocol = settings.kafka_security_protocol
    chosen: dict[str, Any] = {"security_protocol": protocol}
    if protocol.endswith("SSL"):
        files = tls.Files(settings.kafka_cert_file, settings.kafka_key_file, settings.kafka_ca_file)
        chosen["ssl_context"] = tls.RotatingContext(tls.Watched("kafka", files, files.client_context))
    if protocol.startswith("SASL"):
        chosen["sasl_mechanism"] = settings.kafka_sasl_mechanism
        chosen["sasl_plain_username"] = settings.kafka_sasl_username
        chosen["sasl_plain_password"] = settings.kafka_sasl_password
    _security = chosen


def security() -> Mapping[str, Any]:
    """The arguments that every client of aiokafka needs to reach the brokers, as `configure` decided."""
    return _security


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic as its owner wants it. The partition count is for ever: keys would move."""

    name: str
    partitions: int
    replication: int = 1
    config: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def events(
        cls, name: str, partitions: int, replication: int = 1, *, retention_days: int = 7
    ) -> "TopicSpec":
        """A topic of events, deleted after a time."""
        config = {"cleanup.policy": "delete", "retention.ms": str(retention_days * DAY_MS)}
        return cls(name, partitions, replication, config | _durability(replication))

    @classmethod
    def snapshots(cls, name: str, partitions: int, replication: int = 1) -> "TopicSpec":
        """A topic of full states, of which the newest per key is kept for ever."""
        config = {
            "cleanup.policy": "compact",
            "min.cleanable.dirty.ratio": "0.2",
            "segment.ms": str(DAY_MS),
            "max.compaction.lag.ms": str(DAY_MS),
        }
        return cls(name, partitions, replication, config | _durability(replication))


def _durability(replication: int) -> dict[str, str]:
    return {
        "min.insync.replicas": str(2 if replication >= 3 else 1),
        "unclean.leader.election.enable": "false",
        "message.timestamp.type": "CreateTime",
        # By default a broker refuses records from more than an hour ahead: what a service wrote while its clock was
        # wrong would hold up its outbox for as long, and all other events of the bucket with it.
        TIMESTAMP_AHEAD: str(2**63 - 1),
    }


class TopicMismatch(RuntimeError):
    """A topic exists with another partition count than its owner's setting says."""


def make_producer(
    bootstrap: str,
    *,
    client_id: str = "sampan",
    linger_ms: int = 0,
    batch_bytes_max: int = PRODUCE_BATCH_BYTES_MAX,
    request_timeout_ms: int = REQUEST_TIMEOUT_MS,
) -> AIOKafkaProducer:
    """An idempotent producer that waits for all in-sync replicas; the caller starts and stops it."""
    return AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        client_id=client_id,
        enable_idempotence=True,
        acks="all",
        linger_ms=linger_ms,
        max_batch_size=batch_bytes_max,
        max_request_size=PRODUCE_REQUEST_BYTES_MAX,
        request_timeout_ms=request_timeout_ms,
        retry_backoff_ms=RETRY_BACKOFF_MS,
        metadata_max_age_ms=60_000,
        **_security,
    )


async def abandon_producer(producer: AIOKafkaProducer, *, s_max: float = STOP_S_MAX) -> None:
    """Ends a producer without delivering what it still holds.

    `AIOKafkaProducer.stop` waits for every pending batch, and idempotent batches never expire: after a
    failure or without a broker it would wait for ever. There is no public way to drop them (aiokafka 0.14).
    """
    producer._closed = True
    sender_task = producer._sender.sender_task
    if sender_task is not None:
        sender_task.cancel()
    await producer.client.close()
    if sender_task is not None:
        await asyncio.wait([sender_task], timeout=s_max)


async def stop_consumer(consumer: AIOKafkaConsumer, *, s_max: float = STOP_S_MAX) -> None:
    """Leaves the group and closes; gives up on a broker that does not answer."""
    try:
        async with asyncio.timeout(s_max):
            await consumer.stop()
    except (KafkaError, TimeoutError, OSError) as error:
        _log.warning("consumer not stopped cleanly", error=repr(error))
        with contextlib.suppress(KafkaError, OSError):
            await consumer._client.close()


class Difference(NamedTuple):
    """How a topic is not as wanted. `setting`: "topic", "partitions", "replication", or what Kafka calls it."""

    topic: str
    setting: str
    wanted: str
    found: str | None


async def differences(
    bootstrap: str, topics: Sequence[TopicSpec], *, client_id: str = "sampan-cli"
) -> list[Difference]:
    """How the topics differ from what their owners want; changes nothing. Raises Kafka's errors.

    A topic without a setting that its broker is too old to know is not blamed for it.
    """
    admin = AIOKafkaAdminClient(
        bootstrap_servers=bootstrap,
        client_id=client_id,
        request_timeout_ms=REQUEST_TIMEOUT_MS,
        **_security,
    )
    try:
        await admin.start()
        existing = set(await admin.list_topics())
        found = [
            Difference(spec.name, "topic", "present", None) for spec in topics if spec.name not in existing
        ]
        for spec in topics:
            if spec.name in existing:
                found += await _compare(admin, spec)
        return found
    finally:
        await admin.close()


async def _compare(admin: AIOKafkaAdminClient, spec: TopicSpec) -> list[Difference]:
    (described,) = await admin.describe_topics([spec.name])
    partitions = described["partitions"]
    copies = min((len(partition["replicas"]) for partition in partitions), default=0)
    values = {name: value for name, value, *_ in await _settings_of(admin, spec.name)}
    compared = [
        ("partitions", str(spec.partitions), str(len(partitions))),
        ("replication", str(spec.replication), str(copies)),
        *((name, wanted, values[name]) for name, wanted in spec.config.items() if name in values),
    ]
    return [Difference(spec.name, *one) for one in compared if one[1] != one[2]]


async def _settings_of(admin: AIOKafkaAdminClient, topic: str) -> Sequence[Sequence[Any]]:
    """A topic's settings as Kafka describes them: name, value, whether it is fixed, where it comes from, ..."""
    (described,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    ((code, _, _, _, entries),) = described.resources
    if code:
        raise for_code(code)(f"the settings of topic {topic} could not be read")
    return entries  # type: ignore[no-any-return]


async def ensure_topics(
    bootstrap: str, topics: Sequence[TopicSpec], *, s_max: float = 60.0, client_id: str = "sampan-setup"
) -> None:
    """Creates the topics that are missing and waits for their leaders; safe to run by several at once.

    Of a topic that exists nothing is changed but how far ahead of the broker's clock its records may be dated: that is
    no taste of its operator's, and a topic made by an earlier release lacks it.

    Raises `TopicMismatch` where one exists with another partition count, `Unavailable` after `s_max` seconds.
    """
    try:
        async with asyncio.timeout(s_max):
            admin = await _connected_admin(bootstrap, client_id)
            try:
                await _create_missing(admin, topics)
                await _await_leaders(admin, topics)
                await _let_in_the_future(admin, topics)
            finally:
                await admin.close()
    except TimeoutError as error:
        raise Unavailable(
            "DEPENDENCY_UNAVAILABLE",
            f"Kafka at {bootstrap} was not ready within {s_max:g} s",
            metadata={"cause": "KAFKA_UNAVAILABLE"},
        ) from error


async def _connected_admin(bootstrap: str, client_id: str) -> AIOKafkaAdminClient:
    while True:
        admin = AIOKafkaAdminClient(
            bootstrap_servers=bootstrap,
            client_id=client_id,
            request_timeout_ms=REQUEST_TIMEOUT_MS,
            **_security,
        )
        try:
            await admin.start()
        except (KafkaError, OSError) as error:
            _log.info("Kafka not ready", error=repr(error))
            await admin.close()
            await asyncio.sleep(0.5)
        else:
            return admin


async def _create_missing(admin: AIOKafkaAdminClient, topics: Sequence[TopicSpec]) -> None:
    wanted = {spec.name: spec for spec in topics}
    while True:
        missing = [wanted[name] for name in sorted(wanted.keys() - set(await admin.list_topics()))]
        if not missing:
            return
        try:
            response = await admin.create_topics(
                [
                    NewTopic(spec.name, spec.partitions, spec.replication, topic_configs=dict(spec.config))
                    for spec in missing
                ]
            )
        except (KafkaError, OSError) as error:
            _log.info("topics not created yet", error=repr(error))
        else:
            for name, code, *_ in response.topic_errors:
                failure = for_code(code)
                if code == 0:
                    _log.info("topic created", topic=name)
                elif failure is not TopicAlreadyExistsError and not failure.retriable:
                    raise failure(f"topic {name} could not be created")
        await asyncio.sleep(0.2)


async def _await_leaders(admin: AIOKafkaAdminClient, topics: Sequence[TopicSpec]) -> None:
    while True:
        described = {
            topic["topic"]: topic for topic in await admin.describe_topics([spec.name for spec in topics])
        }
        waiting = False
        for spec in topics:
            partitions = described.get(spec.name, {}).get("partitions", [])
            led = [partition for partition in partitions if partition.get("leader", -1) >= 0]
            if partitions and len(partitions) != spec.partitions:
                raise TopicMismatch(
                    f"topic {spec.name} has {len(partitions)} partitions, the setting says {spec.partitions}: "
                    "a partition count never changes; set it back or make a topic of another name"
                )
            waiting = waiting or not partitions or len(led) < len(partitions)
        if not waiting:
            return
        await asyncio.sleep(0.1)


async def _let_in_the_future(admin: AIOKafkaAdminClient, topics: Sequence[TopicSpec]) -> None:
    for spec in topics:
        wanted = spec.config.get(TIMESTAMP_AHEAD)
        if wanted is None:
            continue
        entries = await _settings_of(admin, spec.name)
        values = {name: value for name, value, *_ in entries}
        # Brokers before 3.6 do not know it.
        if values.get(TIMESTAMP_AHEAD, wanted) == wanted:
            continue
        # The request sets all that is the topic's own: what is left out would go back to the broker's default.
        own = {name: value for name, value, _, source, *_ in entries if source == SET_FOR_THE_TOPIC}
        resource = ConfigResource(ConfigResourceType.TOPIC, spec.name, own | {TIMESTAMP_AHEAD: wanted})
        (altered,) = await admin.alter_configs([resource])
        ((code, *_),) = altered.resources
        if code:
            raise for_code(code)(f"the settings of topic {spec.name} could not be changed")
        _log.info("topic changed", topic=spec.name, setting=TIMESTAMP_AHEAD)


def partitions_of(consumer: AIOKafkaConsumer, topics: Sequence[str]) -> list[TopicPartition]:
    """All partitions of the topics that the client knows of; empty for a topic without metadata yet."""
    return [
        TopicPartition(topic, partition)
        for topic in topics
        for partition in sorted(consumer.partitions_for_topic(topic) or ())
    ]
