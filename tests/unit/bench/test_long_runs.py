"""What growth, memory and replicas conclude from their measurements."""

import signal
from pathlib import Path

import pytest

from deploy.bench.growth import fill
from deploy.bench.growth.compare import compare, cpu_ms
from deploy.bench.growth.measure import Skus, bench_skus, past_order_id
from deploy.bench.memory import SAMPLES_MIN, judge, unaccepted
from deploy.bench.own import own_stacks, settings_of
from deploy.bench.replicas import arrangements, bound_by, by_part, explained
from deploy.local.settings import StackError


def test_ten_million_skus_are_named_without_being_made() -> None:
    skus = bench_skus(10_000_000)
    assert (len(skus), skus[0], skus[9_999]) == (10_000, "sku.00000000", "sku.09999000")
    assert len(bench_skus(10_000)) == 10_000
    assert Skus(3, 5)[1:] == ["sku.00000005", "sku.00000010"]
    with pytest.raises(IndexError):
        Skus(3, 5)[3]


def test_a_past_order_has_the_id_that_the_statement_makes() -> None:
    assert past_order_id(255) == "01900000-0000-7000-8000-0000000000ff"


def test_too_little_disk_is_refused_before_anything_is_filled(tmp_path: Path) -> None:
    fill.check_space(tmp_path / "not" / "yet", 0, -(fill.SERVERS_BYTES // fill.ORDER_BYTES))
    with pytest.raises(StackError, match=r"past orders need about .* GB free: choose smaller SKUS"):
        fill.check_space(tmp_path / "not" / "yet", 10**15, 10**15)


def test_every_statement_of_the_filling_is_used_once() -> None:
    groups = (fill.BY_SKU, fill.BY_ORDER, fill.BY_SKU_LAST)
    used = [name for group in groups for names in group.values() for name in names]
    assert sorted(used) == sorted(fill.statements())
    assert all(
        name.startswith(f"{database}_") for group in groups for database in group for name in group[database]
    )


def run(per_s: float, **cpu: float) -> dict[str, object]:
    return {
        "per_s": per_s,
        "cpu_ms_per_order": {"orders": 0.5, "load generator": 9.0, **cpu},
        "others_cpu_share": 0.0,
    }


def test_growth_compares_the_medians_of_what_an_order_costs() -> None:
    small = [run(1_000.0, postgres=0.5), run(500.0, postgres=1.5), run(1_000.0, postgres=0.5)]
    large = [run(800.0, postgres=0.7)] * 3
    cpu, wall = compare("order", small, large)
    assert (cpu.small, cpu.large, cpu.ratio) == (1.0, 1.2, 1.2)
    assert (wall.small, wall.large) == (1.0, 1.25)
    assert cpu_ms({"cpu_ms_per_request": {"gateway": 0.1, "load generator": 1.0}}) == 0.1


def test_memory_that_fills_caches_first_and_then_stays_is_flat() -> None:
    judged = judge([(0, 300.0), (100, 400.0), (200, 410.0), (300, 410.0), (400, 411.0), (500, 410.0)])
    assert judged.is_flat
    assert judged.is_bounded
    assert judged.highest_mb == 411.0


def test_memory_that_goes_on_rising_is_not_flat() -> None:
    judged = judge([(count, 300.0 + count / 10) for count in range(0, 600, 100)])
    assert not judged.is_flat
    assert judged.rise_mb == pytest.approx(20.0)


def test_a_few_samples_are_bounded_or_not_and_never_flat() -> None:
    few = judge([(count, 300.0) for count in range(SAMPLES_MIN - 1)])
    assert (few.is_bounded, few.is_flat) == (True, None)
    assert "not judged" in few.words()
    enough = judge([(count, 300.0) for count in range(SAMPLES_MIN)])
    assert enough.is_flat
    assert "reached" in enough.words()


def test_memory_with_orders_that_nobody_took_is_not_proven() -> None:
    assert unaccepted("memory0", 100, 100) == []
    assert unaccepted("memory0", 100, 99) == ["memory0: 100 sent, 99 accepted"]


def test_memory_above_the_bound_is_named_even_if_it_falls_again() -> None:
    assert not judge([(0, 300.0), (1, 601.0), (2, 300.0), (3, 300.0)]).is_bounded


def test_one_service_after_the_other_gets_replicas_then_all() -> None:
    found = dict(arrangements(2))
    assert list(found) == ["1 of each", "2 gateway", "2 orders", "2 warehouse", "2 of each"]
    rest = {"access": 1, "webhooks": 1}
    assert found["2 orders"] == rest | {"catalog": 1, "orders": 2, "warehouse": 1, "gateway": 1}
    assert found["2 of each"] == rest | {"catalog": 2, "orders": 2, "warehouse": 2, "gateway": 2}


def test_replicas_are_added_up_by_their_service() -> None:
    assert by_part({"orders-1": 0.1, "orders-2": 0.2, "kafka": 0.3, "load generator": 0.4}) == pytest.approx(
        {"orders": 0.3, "kafka": 0.3, "load generator": 0.4}
    )


@pytest.mark.parametrize(
    ("shares", "busiest", "words"),
    [
        (
            {"orders": 0.4, "postgres": 0.3, "kafka": 0.25},
            {"orders": 0.8},
            "CPU: 95% of 2 cores, most of it orders",
        ),
        ({"orders": 0.45, "postgres": 0.2}, {"orders": 0.9}, "one core: orders is at 90% of it"),
        (
            {"orders": 0.2, "postgres": 0.2},
            {"orders": 0.4, "postgres": 0.9},
            "waiting: 60% of 2 cores are idle",
        ),
    ],
)
def test_the_bound_is_the_machine_or_a_process_or_neither(
    shares: dict[str, float], busiest: dict[str, float], words: str
) -> None:
    assert bound_by(shares, busiest, 2).startswith(words)


def test_shares_are_of_all_cores_and_the_busiest_process_of_one() -> None:
    figures = run(1_000.0, **dict.fromkeys(("catalog-1", "warehouse-1", "gateway-1"), 0.0))
    figures["cpu_ms_per_order"] = {
        **{f"{name}-1": 0.0 for name in ("catalog", "warehouse", "gateway")},
        "orders-1": 0.6,
        "orders-2": 0.2,
    }
    found = explained(figures, 2)
    assert found["shares"]["orders"] == pytest.approx(0.4)
    assert found["busiest_process"]["orders"] == pytest.approx(0.6)
    assert found["cpu_ms_per_order_services"] == pytest.approx(0.8)


def test_stacks_of_the_bench_share_no_port_and_no_folder() -> None:
    one, two = settings_of(["small", "large"], "growth", {})
    assert not set(one.ports.values()) & set(two.ports.values())
    assert one.folder != two.folder
    assert one.folder.parent.name == "growth"


def test_asked_to_end_the_bench_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAMPAN_LOCAL_DIR", str(tmp_path))
    before = signal.getsignal(signal.SIGTERM)

    def interrupted() -> None:
        with own_stacks(["stack"], "memory", lambda _: None) as (stack,):
            stack.settings.data.mkdir(parents=True)
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(SystemExit):
        interrupted()
    assert list(tmp_path.iterdir()) == []
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_stack_that_may_still_run_is_not_started_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAMPAN_LOCAL_DIR", str(tmp_path))
    pids = tmp_path / "bench" / "memory" / "stack" / "run"
    pids.mkdir(parents=True)
    (pids / "kafka.pid").write_text("{}")
    with pytest.raises(StackError, match="may still run"), own_stacks(["stack"], "memory", lambda _: None):
        pass
    assert (pids / "kafka.pid").exists()
