"""Work that a service does over and over."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from services.chassis.errors import FailedPrecondition, Unavailable
from services.chassis.workers import repeat

WAIT_S = 5.0


class Ended(Exception):
    """The work has seen enough."""


def outcomes(*turns: int | Exception) -> Callable[[], Awaitable[int]]:
    """Work that has these outcomes, one after the other."""
    left = iter(turns)

    async def work() -> int:
        turn = next(left)
        if isinstance(turn, Exception):
            raise turn
        return turn

    return work


async def test_a_full_batch_is_followed_by_the_next_at_once() -> None:
    with pytest.raises(Ended):
        await asyncio.wait_for(repeat("test", outcomes(2, 3, Ended()), pause_s=3_600, full=2), WAIT_S)


@pytest.mark.parametrize("before", [1, Unavailable("DATABASE_UNAVAILABLE", "down")])
async def test_after_the_last_of_it_and_in_an_outage_there_is_a_pause(before: int | Exception) -> None:
    pausing = asyncio.create_task(repeat("test", outcomes(before, Ended()), pause_s=3_600, full=2))
    for _ in range(10):
        await asyncio.sleep(0)
    assert not pausing.done()
    pausing.cancel()


async def test_an_outage_is_waited_out_and_a_fault_of_ours_is_not() -> None:
    work = outcomes(
        Unavailable("DATABASE_UNAVAILABLE", "down"), FailedPrecondition("WRONG", "a fault of ours")
    )
    with pytest.raises(FailedPrecondition):
        await asyncio.wait_for(repeat("test", work, pause_s=0.01), WAIT_S)
