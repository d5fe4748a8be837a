"""A fault of aiokafka (0.14) under uvloop, mended where it begins.

Where the peer has just gone, asyncio's own transports drop what is written; uvloop's raise RuntimeError until the
connection is told. `AIOKafkaConnection.send` takes only OSError for a broken connection: the RuntimeError ends the
client's metadata task, its other tasks then wait for an update that nobody makes, and closing the client raises.
"""

from typing import Any

from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError

_send_unmended = AIOKafkaConnection.send


def mend() -> None:
    """Lets every connection of aiokafka take a write that its transport refuses for a broken connection."""
    AIOKafkaConnection.send = _send


def _send(connection: AIOKafkaConnection, request: Any, expect_response: bool = True) -> Any:
    try:
        return _send_unmended(connection, request, expect_response=expect_response)
    except RuntimeError as error:
        connection.close(reason=CloseReason.CONNECTION_BROKEN)
        place = f"{connection.host}:{connection.port}"
        raise KafkaConnectionError(f"Connection at {place} broken: {error}") from error
