"""Requests at a fixed rate, whatever the answers do: what a client sees whose customers do not wait for each other.

A closed loop sends less as soon as the server is slow, and so leaves out the very moments that hurt. Here every
request has its time on a schedule made beforehand, and its latency counts from that time, also where it could
not be sent at once.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from deploy.bench.load import HttpConnection, connect

CONNECTIONS_FIRST = 32
CONNECTIONS_MAX = 1_024
DECIDED = (b'"state":"awaiting_payment"', b'"state":"rejected"')
"""What the answer says of an order of the bench that is decided; waiting may also end with it still pending."""


@dataclass(slots=True)
class Arrival:
    """What became of one request."""

    status: int = 0
    latency_s: float = 0.0
    """From its time on the schedule to the end of its answer."""
    is_decided: bool = False
    """Whether the answer says what became of the order."""


async def send_at_rate(base_url: str, requests: Sequence[bytes], per_s: float) -> list[Arrival]:
    """Sends request n at n / per_s seconds; the arrivals are in the order of the requests. Raises Broken."""
    arrivals = [Arrival() for _ in requests]
    idle = [await connect(base_url) for _ in range(CONNECTIONS_FIRST)]
    opened = list(idle)
    freed = asyncio.Event()
    started = time.perf_counter()

    async def one(number: int, connection: HttpConnection) -> None:
        arrivals[number].status = await connection.exchange(requests[number])
        arrivals[number].latency_s = time.perf_counter() - (started + number / per_s)
        arrivals[number].is_decided = any(state in connection.last_piece for state in DECIDED)
        idle.append(connection)
        freed.set()

    try:
        async with asyncio.TaskGroup() as group:
            for number in range(len(requests)):
                early_s = started + number / per_s - time.perf_counter()
                if early_s > 0:
                    await asyncio.sleep(early_s)
                if not idle and len(opened) < CONNECTIONS_MAX:
                    idle.append(await connect(base_url))
                    opened.append(idle[-1])
                while not idle:
                    freed.clear()
                    await freed.wait()
                group.create_task(one(number, idle.pop()))
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    finally:
        for connection in opened:
            connection.close()
    return arrivals
