"""The capacity table is arithmetic on measured costs: each of its numbers can be computed by hand."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.bench.capacity import Assumptions, OrderCost, cost_of, main, needs, steps

GIVEN = Assumptions(
    headroom=0.5,
    database_cores=10,
    database_log_mb_per_s=100.0,
    broker_cores=10,
    broker_network_mb_per_s=1_000.0,
    replication=3,
    readers=2,
    replicas_min=2,
)
COST = OrderCost(
    services_cpu_ms={"gateway": 0.25, "orders": 0.5, "warehouse": 0.25},
    databases_cpu_ms={"orders": 0.3, "warehouse": 0.2},
    log_bytes=1_000.0,
    kafka_cpu_ms=0.1,
    kafka_bytes=1_000.0,
)
FIGURES = {
    "orders_spread": {
        "cpu_ms_per_order": {
            "gateway": 0.25,
            "orders": 0.5,
            "warehouse": 0.25,
            "postgres": 0.5,
            "kafka": 0.1,
        },
        "cpu_ms_per_order_databases": {"orders": 0.24, "warehouse": 0.16, "catalog": 0.0},
        "wal_bytes_per_order": 1_000,
        "kafka_bytes_per_order": 1_000,
    }
}


def units(cost: OrderCost, per_s: float, given: Assumptions = GIVEN) -> dict[str, int]:
    return {need.part: need.units for need in needs(cost, per_s, given)}


def test_units_are_the_rate_over_half_of_what_one_is_full_at() -> None:
    # orders: 2,000/s fill a core, half of that is planned for: 10,000/s need 10.
    assert units(COST, 10_000)["orders"] == 10
    assert units(COST, 10_001)["orders"] == 11
    assert units(COST, 10_000)["gateway"] == 5
    # PostgreSQL of orders: 33,333/s fill ten cores.
    assert units(COST, 100_000)["PostgreSQL of orders"] == 6
    # Kafka: three copies of 0.1 ms on ten cores: 33,333/s.
    assert units(COST, 100_000)["Kafka"] == 6


def test_there_is_never_less_than_survives_a_failure() -> None:
    assert units(COST, 1) == {
        "gateway": 2,
        "orders": 2,
        "warehouse": 2,
        "PostgreSQL of orders": 1,
        "PostgreSQL of warehouse": 1,
        "Kafka": 3,
    }


def test_faster_cores_and_less_headroom_need_fewer_units() -> None:
    assert units(COST, 10_000, replace(GIVEN, core_speed=2.0))["orders"] == 5
    assert units(COST, 10_000, replace(GIVEN, headroom=0.0))["orders"] == 5


def test_the_disk_or_the_network_counts_where_it_is_full_before_the_cpu() -> None:
    heavy = replace(COST, log_bytes=100_000.0, kafka_bytes=100_000.0)
    found = {need.part: need for need in needs(heavy, 1_000, GIVEN)}
    # 60,000 of the bytes are the orders database's: 1,666/s fill 100 MB/s.
    assert found["PostgreSQL of orders"].bound == "log"
    assert found["PostgreSQL of orders"].full_at_per_s == pytest.approx(100e6 / 60_000)
    assert found["Kafka"].bound == "network"
    assert found["Kafka"].full_at_per_s == pytest.approx(1e9 / 400_000)
    assert {need.bound for need in needs(COST, 1_000, GIVEN)} == {"CPU"}


def test_the_first_bottleneck_is_what_the_step_before_has_least_of() -> None:
    one, two = steps(COST, GIVEN, (1_000, 100_000))
    # The local stack has one of each: orders are full at 2,000/s.
    assert (one.first_bottleneck, one.bottleneck_at_per_s) == ("orders", 2_000)
    # At 1,000/s there are two replicas of orders, but the gateway's two are full at 8,000/s.
    assert (two.first_bottleneck, two.bottleneck_at_per_s) == ("orders", 4_000)


def test_partitions_leave_room_for_twice_the_replicas() -> None:
    one, two = steps(COST, GIVEN, (1_000, 10_000))
    assert (one.partitions, two.partitions) == (4, 32)


def test_what_belongs_to_no_database_is_shared_out() -> None:
    cost = cost_of(FIGURES)
    assert cost.databases_cpu_ms == pytest.approx({"orders": 0.3, "warehouse": 0.2})
    assert cost.services_cpu_ms == COST.services_cpu_ms


@pytest.mark.parametrize(
    "figures", [{}, {"orders_spread": {}}, {"orders_spread": {"cpu_ms_per_order": None}}]
)
def test_figures_that_lack_something_are_refused(figures: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="lack"):
        cost_of(figures)


def test_the_command_prints_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "figures.json"
    path.write_text(json.dumps(FIGURES))
    assert main([str(path), "--headroom", "0.5"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("| part | one unit is full at, orders/s | 1,000/s | 10,000/s | 500,000/s |")
    assert any(line.startswith("| orders, replicas | 2,000 (CPU) | 2 | 10 | 500 |") for line in lines)
    assert main([str(tmp_path / "missing.json")]) == 2
