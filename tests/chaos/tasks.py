"""Tasks that end when they are told to."""

import asyncio
from collections.abc import Iterable
from typing import Any

CANCEL_AGAIN_S = 0.5


async def end(tasks: Iterable["asyncio.Task[Any]"]) -> None:
    """Cancels tasks until they have ended, and leaves their results alone.

    Once may not be enough: a cancellation that meets a timeout further inside is taken for that timeout and lost.
    """
    wanted = list(tasks)
    while running := [task for task in wanted if not task.done()]:
        for task in running:
            task.cancel()
        await asyncio.wait(running, timeout=CANCEL_AGAIN_S)
    await asyncio.gather(*wanted, return_exceptions=True)
