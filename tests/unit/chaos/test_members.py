"""Whose end is blamed: what the supervisor is told to expect, and what counts as legal."""

from pathlib import Path

import pytest

from deploy.local.processes import BackgroundProcess
from tests.chaos.cluster import Cluster
from tests.chaos.history import History
from tests.chaos.members import Member, UnaskedEnd


@pytest.fixture
def member(tmp_path: Path) -> Member:
    """One that does not run."""
    process = BackgroundProcess("orders-1", pid_file=tmp_path / "pid", log_file=tmp_path / "log")
    return Member("orders-1", process)


def test_all_ends_inside_the_block_are_excused_and_none_after_it(member: Member) -> None:
    with member.excused():
        assert member.is_excused
        member.end_is_seen = True
    assert (member.is_excused, member.expected_ends) == (False, 0)


def test_an_end_inside_the_block_that_is_noted_only_later_is_excused_once(member: Member) -> None:
    with member.excused():
        pass
    assert member.expected_ends == 1


async def test_overlapping_faults_take_back_their_own_variables_in_whatever_order_they_end(
    member: Member,
) -> None:
    first, second = (
        member.restarted_with(CRASH_POINTS="a", TEST_CONFIGURATION="true"),
        member.restarted_with(CRASH_POINTS="b"),
    )
    await first.__aenter__()
    await second.__aenter__()
    assert member.extra_environment == {"CRASH_POINTS": "b", "TEST_CONFIGURATION": "true"}
    await first.__aexit__(None, None, None)
    assert member.extra_environment == {"CRASH_POINTS": "b"}
    await second.__aexit__(None, None, None)
    assert member.extra_environment == {}


def test_an_end_is_excused_until_the_last_of_overlapping_blocks_is_left(member: Member) -> None:
    with member.excused():
        with member.excused():
            pass
        assert member.is_excused
    assert not member.is_excused


def test_an_end_is_blamed_unless_it_was_expected_or_is_excused(member: Member, tmp_path: Path) -> None:
    cluster = Cluster(tmp_path)
    cluster.history = History(tmp_path / "history")
    member.expected_ends = 1
    cluster._account(member)
    with member.excused():
        cluster._account(member)
    member.expected_ends = 0
    assert cluster.unasked_ends == []
    cluster._account(member)
    assert [end.name for end in cluster.unasked_ends] == ["orders-1"]


async def test_what_does_not_run_can_neither_be_killed_nor_stopped_nor_halted(member: Member) -> None:
    assert not await member.kill()
    assert not await member.stop()
    assert not member.pause()
    assert member.expected_ends == 0


@pytest.mark.parametrize(
    ("name", "last_words", "is_legal"),
    [
        ("orders-1", "stopped | failed: the database does not answer", True),
        ("orders-1", "failed: the database does not answer", True),
        ("orders-1", "crashed: ValueError: seven", False),
        ("gateway-2", "stopped", False),
        ("postgres", "PANIC: could not write", True),
        ("kafka", "nothing was logged", True),
    ],
)
def test_a_service_may_end_by_itself_only_where_it_starts_in_vain(
    name: str, last_words: str, is_legal: bool
) -> None:
    assert UnaskedEnd(name, 1.0, last_words).is_legal == is_legal
