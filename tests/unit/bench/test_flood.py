"""The flood's figures."""

from __future__ import annotations

import asyncio
from collections import Counter
from itertools import islice, repeat
from typing import Any

import pytest

from deploy.bench import flood, shop
from deploy.bench.load import post_request


def test_a_phase_is_told_in_rates_and_latencies_of_accepted_and_refused_apart() -> None:
    seen = flood.Offered(2.0, Counter({201: 2, 429: 4}), [10.0, 20.0], [1.0, 1.0, 1.0, 3.0])
    figures = seen.figures()
    assert (figures["offered_per_s"], figures["accepted_per_s"], figures["refused_per_s"]) == (3.0, 1.0, 2.0)
    assert figures["accepted_p99_ms"] == 20.0
    assert figures["refused_p99_ms"] == 3.0
    assert figures["statuses"] == {"201": 2, "429": 4}


def test_no_two_orders_of_a_flood_share_a_key() -> None:
    requests = islice(flood._endless("http://127.0.0.1:1", "a-key", shop.Shop("r"), "flood"), 2_500)
    keys = {
        line
        for request in requests
        for line in request.split(b"\r\n")
        if line.startswith(b"Idempotency-Key:")
    }
    assert len(keys) == 2_500


async def test_a_connection_that_broke_is_replaced_in_the_next_phase() -> None:
    opened = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """The first connection breaks, the others answer."""
        nonlocal opened
        opened += 1
        answers = opened > 1
        while await reader.read(4_096) and answers:
            writer.write(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    running = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with running:
        url = f"http://127.0.0.1:{running.sockets[0].getsockname()[1]}"
        client = flood.Flood(url, repeat(post_request(url, "/v1/orders", "key", "one", b"{}")))
        first = await client.offer(60.0, connections=1)
        second = await client.offer(0.1, connections=1)
        client.close()
    assert (first.broken, dict(first.statuses)) == (1, {})
    assert second.broken == 0
    assert second.statuses[201] > 0


@pytest.mark.parametrize(
    ("changes", "is_right"),
    [
        ({}, True),
        ({"reserved": 9}, False),
        ({"reserved": 11}, False),
        ({"reserved": 11, "unknown": 1}, True),
        ({"oversold": 1}, False),
        ({"recovered_s": None}, False),
    ],
)
def test_a_flood_is_right_if_each_order_has_its_stock_and_the_rate_came_back(
    changes: dict[str, Any], is_right: bool
) -> None:
    figures = {"accepted": 10, "unknown": 0, "reserved": 10, "oversold": 0, "recovered_s": 0.0}
    assert flood.is_right({**figures, **changes}) is is_right
