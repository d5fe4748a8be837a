"""How far a consumer is behind, in records and in time, and whether it stands still. Pure: the clock is passed in."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from aiokafka import TopicPartition

SAMPLES_MAX = 4_096
RECENT_S = 10.0


@dataclass(frozen=True, slots=True)
class Lag:
    """Records not yet applied, and the age of the oldest of them."""

    records: int
    age_s: float


@dataclass(slots=True)
class _Place:
    position: int
    moved_at_s: float
    last_time_ms: int | None = None
    # When which end of the log was first seen: bounds the age of a record that was never fetched.
    ends: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=SAMPLES_MAX))


class Progress:
    """Follows the partitions of one consumer. Times are seconds of a monotonic clock, or Unix milliseconds."""

    def __init__(self) -> None:
        self._places: dict[TopicPartition, _Place] = {}

    def forget(self) -> None:
        """The partitions are gone."""
        self._places.clear()

    def excuse(self, now_s: float) -> None:
        """A known cause, such as a database that is down, explains why nothing moves: start to count anew."""
        for place in self._places.values():
            place.moved_at_s = now_s

    def stands_at(self, positions: Mapping[TopicPartition, int], now_s: float) -> None:
        """Takes over the current positions."""
        for partition, position in positions.items():
            place = self._places.get(partition)
            if place is None:
                self._places[partition] = _Place(position, now_s)
            elif place.position != position:
                place.position, place.moved_at_s = position, now_s

    def applied(self, partition: TopicPartition, time_ms: int) -> None:
        """Remembers the time of the last record applied."""
        place = self._places.get(partition)
        if place is not None:
            place.last_time_ms = time_ms

    def observe(
        self, ends: Mapping[TopicPartition, int], now_s: float, now_ms: int
    ) -> dict[TopicPartition, Lag]:
        """The lag per partition, given where the logs end."""
        lags = {}
        for partition, end in ends.items():
            place = self._places.get(partition)
            if place is None:
                continue
            if not place.ends or place.ends[-1][1] < end:
                place.ends.append((now_s, end))
            while place.ends and place.ends[0][1] <= place.position:
                place.ends.popleft()
            lags[partition] = Lag(max(0, end - place.position), _age_s(place, end, now_s, now_ms))
        return lags

    def stalled(
        self, ends: Mapping[TopicPartition, int], now_s: float, s_max: float
    ) -> TopicPartition | None:
        """A partition with records to apply whose position has not moved for longer than `s_max` seconds."""
        for partition, end in ends.items():
            place = self._places.get(partition)
            if place is None:
                continue
            if end <= place.position:
                place.moved_at_s = now_s
            elif now_s - place.moved_at_s > s_max:
                return partition
        return None


def _age_s(place: _Place, end: int, now_s: float, now_ms: int) -> float:
    if end <= place.position:
        return 0.0
    age_s = now_s - place.ends[0][0] if place.ends else 0.0
    if place.last_time_ms is not None and now_s - place.moved_at_s < RECENT_S:
        # Records are being applied right now: the next one is about as old as the last one.
        age_s = max(age_s, (now_ms - place.last_time_ms) / 1000)
    return max(0.0, age_s)
