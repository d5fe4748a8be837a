"""Poison is what it is called, and nothing that a reader could mistake for an event of its own."""

import random
from types import SimpleNamespace
from uuid import UUID

import pytest

from services.chassis.envelope import EnvelopeError, decode_record
from tests.chaos.poison import GROUPS, KINDS, Poison, kinds_of, poison

UNREADABLE = {
    *("key not UTF-8", "no headers", "no version", "no type", "no subject", "specversion", "id no UUID"),
    *("version zero", "version negative", "version no number", "version too large"),
}
CASES = [(kind, topic) for topic in GROUPS for kind in kinds_of(topic)]


def read(made: Poison) -> bool:
    record = SimpleNamespace(
        topic="t", partition=0, offset=0, timestamp=0, key=made.key, value=made.value, headers=made.headers
    )
    try:
        decode_record(record)
    except EnvelopeError:
        return False
    return True


@pytest.mark.parametrize(("kind", "topic"), CASES)
def test_the_envelope_is_readable_where_only_the_content_is_bad(kind: str, topic: str) -> None:
    assert read(poison(kind, topic, random.Random(1))) == (kind not in UNREADABLE)


@pytest.mark.parametrize(("kind", "topic"), CASES)
def test_what_cannot_be_read_is_parked_by_every_group(kind: str, topic: str) -> None:
    made = poison(kind, topic, random.Random(1))
    assert made.groups in ((), GROUPS[topic])
    if kind in UNREADABLE:
        assert made.groups == GROUPS[topic]


def test_two_are_never_about_the_same() -> None:
    rng = random.Random(1)
    made = [poison(kind, topic, rng) for kind, topic in CASES]
    assert len({one.aggregate_id for one in made}) == len(made)
    assert all(UUID(one.aggregate_id.rpartition("/")[2]) for one in made)


def test_every_kind_has_a_topic() -> None:
    assert all(topics for _, topics in KINDS.values())
