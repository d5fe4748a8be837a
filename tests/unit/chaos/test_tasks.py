"""Tasks end although a cancellation is lost inside of them."""

import asyncio

from tests.chaos import tasks


async def test_a_task_that_loses_its_first_cancellation_ends() -> None:
    lost = 0
    begun = asyncio.Event()

    async def work() -> None:
        nonlocal lost
        while True:
            try:
                begun.set()
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if lost:
                    raise
                lost += 1

    task = asyncio.create_task(work())
    await begun.wait()
    await tasks.end([task])
    assert task.cancelled()
    assert lost == 1


async def test_what_has_ended_stays_as_it_is() -> None:
    async def fail() -> None:
        raise ValueError("as it was")

    task = asyncio.create_task(fail())
    await asyncio.wait([task])
    await tasks.end([task])
    assert isinstance(task.exception(), ValueError)
