"""UUIDv7: valid, unique, and in the order of their making."""

import time

import pytest

from services.chassis import ids


def test_they_are_version_7_and_strictly_increasing() -> None:
    made = [ids.uuid7() for _ in range(20_000)]
    assert all(one.version == 7 and one.variant == "specified in RFC 4122" for one in made[:100])
    assert made == sorted(set(made))
    assert [str(one) for one in made] == sorted(str(one) for one in made)


def test_the_order_survives_a_clock_that_steps_back(monkeypatch: pytest.MonkeyPatch) -> None:
    before = ids.uuid7()
    earlier_ns = time.time_ns() - 3_600_000_000_000
    monkeypatch.setattr(time, "time_ns", lambda: earlier_ns)
    assert ids.uuid7() > before
