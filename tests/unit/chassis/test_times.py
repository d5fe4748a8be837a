"""Times as protobuf messages."""

from datetime import UTC, datetime

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.rpc import times


@given(st.datetimes(timezones=st.timezones()))
def test_they_are_what_protobuf_makes_of_them_and_come_back(moment: datetime) -> None:
    try:
        moment = moment.astimezone(UTC)
        expected = Timestamp()
        expected.FromDatetime(moment)
    except (OverflowError, ValueError):
        return
    assert times.to_proto(moment) == expected
    assert times.from_proto(expected) == moment


def test_no_time_leaves_the_field_unset() -> None:
    message = Timestamp()
    times.write(message, None)
    assert message == Timestamp()


@pytest.mark.parametrize(("seconds", "nanos"), [(2**63 - 1, 0), (253_402_300_800, 0), (0, 10**9), (0, -1)])
def test_what_is_no_time_is_refused(seconds: int, nanos: int) -> None:
    with pytest.raises((ValueError, OverflowError)):
        times.from_proto(Timestamp(seconds=seconds, nanos=nanos))
