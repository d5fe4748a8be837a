"""Several coroutines at once, of which the first failure is the failure of all."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable


async def run_together(work: Iterable[Callable[[], Awaitable[None]]]) -> None:
    """Runs all to their end; on the first failure the others are cancelled and it is raised as it is."""
    try:
        async with asyncio.TaskGroup() as group:
            for one in work:
                group.create_task(_run(one))
    except BaseExceptionGroup as failures:
        first: BaseException = failures
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        raise first from None


async def _run(work: Callable[[], Awaitable[None]]) -> None:
    await work()
