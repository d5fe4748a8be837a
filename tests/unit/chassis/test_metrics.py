"""Kept label children are made once and bounded in number."""

from prometheus_client import CollectorRegistry, Counter

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
