"""Topics that exist before they are set up."""

import dataclasses

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from services.chassis import kafka

pytestmark = pytest.mark.kafka


async def _settings(bootstrap: str, topic: str) -> dict[str, str]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        (described,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    finally:
        await admin.close()
    ((_, _, _, _, entries),) = described.resources
    return {name: value for name, value, *_ in entries}


async def test_a_topic_of_an_earlier_release_takes_records_of_a_clock_that_is_ahead(
    kafka_server: str, topic: str
) -> None:
    """Nothing else of it changes, its operator's retention least of all."""
    name = f"{topic}.earlier"
    wanted = kafka.TopicSpec.events(name, 1)
    config = {key: value for key, value in wanted.config.items() if key != kafka.TIMESTAMP_AHEAD}
    await kafka.ensure_topics(
        kafka_server, [dataclasses.replace(wanted, config=config | {"retention.ms": "7777777"})]
    )
    before = await _settings(kafka_server, name)
    assert before[kafka.TIMESTAMP_AHEAD] == "3600000"
    for _ in range(2):
        await kafka.ensure_topics(kafka_server, [wanted])
        after = await _settings(kafka_server, name)
        assert after == before | {kafka.TIMESTAMP_AHEAD: wanted.config[kafka.TIMESTAMP_AHEAD]}
        assert after["retention.ms"] == "7777777"
