"""Kept label children are made once and bounded in number."""

from prometheus_client import CollectorRegistry, Counter, Histogram

from services.chassis import metrics


def test_children_are_kept_and_overflow_into_one() -> None:
    registry = CollectorRegistry()
    counter = Counter("demo", "Demo.", ["kind", "code"], registry=registry)
    kept = metrics.Kept(counter, children_max=2)
    assert kept["a", "1"] is kept["a", "1"]
    for kind in "abcde":
        kept[kind, "1"].inc()
    assert len(kept) == 2
    assert registry.get_sample_value("demo_total", {"kind": "a", "code": "1"}) == 1
    assert registry.get_sample_value("demo_total", {"kind": "other", "code": "other"}) == 3


def test_known_children_are_there_before_anything_has_happened() -> None:
    registry = CollectorRegistry()
    kept = metrics.Kept(
        Counter("demo_rare", "Demo.", ["kind"], registry=registry), children_max=2, known=("a",)
    )
    assert registry.get_sample_value("demo_rare_total", {"kind": "a"}) == 0
    kept["a"].inc()
    assert registry.get_sample_value("demo_rare_total", {"kind": "a"}) == 1
    assert registry.get_sample_value("demo_rare_total", {"kind": "b"}) is None


def test_a_bound_counts_every_child_and_every_bucket() -> None:
    metrics.Kept(Histogram("demo_bounded_seconds", "Demo.", ["kind"], buckets=(1, 2)), children_max=3)
    metrics.Kept(Counter("demo_bounded", "Demo.", ["kind"]), children_max=3)
    # Three values and "other"; of a histogram each with two buckets, the last one, a sum and a count.
    bounds = metrics.series_max()
    assert bounds["demo_bounded_seconds"] == 4 * 5
    assert bounds["demo_bounded"] == 4
