"""A connection to Kafka that is lost at the moment of a write, on the loop that the services run on."""

import asyncio

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.metadata import MetadataRequest

from services.chassis import kafka

pytestmark = pytest.mark.kafka


async def test_a_write_to_a_lost_connection_is_an_outage(kafka_server: str, topic: str) -> None:
    """It is no RuntimeError, which ended the client's metadata task, and with it the process."""
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=kafka_server)
    await consumer.start()
    try:
        connection = next(iter(consumer._client._conns.values()))
        connection._writer.transport.abort()
        # Once round the loop: the transport is closed, whoever reads the connection has not yet heard of it.
        await asyncio.sleep(0)
        with pytest.raises(KafkaConnectionError, match="broken"):
            await connection.send(MetadataRequest([]))
    finally:
        await kafka.stop_consumer(consumer)
