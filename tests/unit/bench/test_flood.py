"""The flood's figures."""

from __future__ import annotations

from collections import Counter
from itertools import islice

from deploy.bench import flood, shop


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
