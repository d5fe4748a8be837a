"""The arithmetic of the bench: what counts as oversold, unsold and exact, and the shape of its JSON."""

import pytest

from deploy.bench import shop
from deploy.bench.__main__ import HotOutcome, _figures
from deploy.bench.measure import Part
from deploy.bench.shop import Shop


@pytest.mark.parametrize(
    ("stock", "sold", "reserved", "oversold", "unsold", "is_exact"),
    [
        (60, 60, 60, 0, 0, True),
        (60, 61, 60, 1, -1, False),
        (60, 60, 62, 2, 0, False),
        (60, 58, 58, 0, 2, False),
        (60, 60, 59, 0, 0, False),
    ],
)
def test_exact_means_to_the_last_unit_and_by_both_books(
    stock: int, sold: int, reserved: int, oversold: int, unsold: int, is_exact: bool
) -> None:
    outcome = HotOutcome(stock, sold, reserved)
    assert (outcome.oversold, outcome.unsold, outcome.is_exact) == (oversold, unsold, is_exact)


def part(per_s: float) -> Part:
    cpu = {"orders": 0.5, "gateway": 0.25, "postgres": 1.0}
    return Part(10, 10, {201: 10}, 0, per_s, per_s, 1.0, 2.0, cpu, {"orders": 80.0, "kafka": 300.0})


def test_the_ratio_is_ours_over_plain_postgresql() -> None:
    figures = _figures(part(500.0), 2_000.0)
    assert (figures["per_s"], figures["raw_per_s"], figures["ratio"]) == (500.0, 2_000.0, 0.25)
    assert figures["cpu_ms_per_order_services"] == 0.75
    assert figures["memory_mb_services"] == 80.0


def test_without_pgbench_there_is_no_ratio() -> None:
    figures = _figures(part(500.0), None)
    assert (figures["raw_per_s"], figures["ratio"]) == (None, None)


def test_requests_are_the_same_for_a_seed_and_differ_by_key() -> None:
    make = shop.spread_requests
    one = make("http://127.0.0.1:1", "k", Shop("r"), "spread", 20, seed=1)
    assert one == make("http://127.0.0.1:1", "k", Shop("r"), "spread", 20, seed=1)
    assert one != make("http://127.0.0.1:1", "k", Shop("r"), "spread", 20, seed=2)
    assert len(set(one)) == 20
    lines = [request.count(b'"sku"') for request in one]
    assert set(lines) == {1, 2, 3}
