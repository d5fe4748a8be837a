"""Times on the wire."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from services.chassis import clock


def test_rfc3339_is_utc() -> None:
    moment = datetime(2026, 3, 1, 17, 30, tzinfo=timezone(timedelta(hours=8)))
    assert clock.rfc3339(moment) == "2026-03-01T09:30:00.000000Z"
    assert clock.now_utc().tzinfo is UTC


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="zone"):
        clock.rfc3339(datetime.now(UTC).replace(tzinfo=None))
