"""Lag in records and in time, and the alarm."""

from aiokafka import TopicPartition

from services.chassis.consumer.progress import Progress

PLACE = TopicPartition("t", 0)


def test_no_lag_has_no_age() -> None:
    """At the end of the log nothing is waiting, however old the last record is."""
    progress = Progress()
    progress.stands_at({PLACE: 10}, 0)
    progress.applied(PLACE, 1_000)
    lag = progress.observe({PLACE: 10}, 500, 10_000_000)[PLACE]
    assert (lag.records, lag.age_s) == (0, 0)


def test_a_record_after_a_quiet_time_is_young() -> None:
    """The age of what was applied long ago says nothing about what has just come."""
    progress = Progress()
    progress.stands_at({PLACE: 10}, 0)
    progress.applied(PLACE, 1_000)
    assert progress.observe({PLACE: 11}, 10_000, 10_000_000)[PLACE].age_s == 0
    assert progress.observe({PLACE: 12}, 10_007, 10_007_000)[PLACE].age_s == 7
    # The first of the two is applied: the second was first seen at 10,007.
    progress.stands_at({PLACE: 11}, 10_030)
    assert progress.observe({PLACE: 12}, 10_050, 10_050_000)[PLACE].age_s == 43


def test_a_backlog_is_as_old_as_what_is_being_applied() -> None:
    """While records of an hour ago are applied, the next one is about an hour old."""
    progress = Progress()
    progress.stands_at({PLACE: 0}, 0)
    progress.stands_at({PLACE: 500}, 5)
    progress.applied(PLACE, 1_000_000)
    lag = progress.observe({PLACE: 90_000}, 6, 4_600_000)[PLACE]
    assert (lag.records, lag.age_s) == (89_500, 3_600)


def test_standing_still_with_records_raises_the_alarm() -> None:
    """Only with something to do, only after the time, and anew after progress or a known excuse."""
    progress = Progress()
    progress.stands_at({PLACE: 10}, 0)
    assert progress.stalled({PLACE: 10}, 1_000, 60) is None
    assert progress.stalled({PLACE: 11}, 1_050, 60) is None
    assert progress.stalled({PLACE: 11}, 1_061, 60) == PLACE
    progress.excuse(1_100)
    assert progress.stalled({PLACE: 11}, 1_150, 60) is None
    progress.stands_at({PLACE: 11}, 1_155)
    assert progress.stalled({PLACE: 20}, 1_210, 60) is None
    assert progress.stalled({PLACE: 20}, 1_216, 60) == PLACE
    progress.forget()
    assert progress.stalled({PLACE: 20}, 9_999, 60) is None
