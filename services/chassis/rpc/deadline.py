"""The time that the request at hand has left, for the calls that it makes in turn.

gRPC does not pass deadlines on by itself. The server's interceptor notes when the caller gives up; a channel
of ours allows an outgoing call what is left of it, less a margin for the way back.
"""

import asyncio
from contextvars import ContextVar

MARGIN_S = 0.02
DEFAULT_S = 10.0
LEAST_S = 0.001

_due: ContextVar[float | None] = ContextVar("deadline", default=None)


def begin(seconds: float) -> None:
    """Notes that the request of this task has so much time."""
    _due.set(asyncio.get_running_loop().time() + seconds)


def forget() -> None:
    """Unties this task from the request that started it. For work that outlives or merges requests."""
    _due.set(None)


def remaining_s() -> float | None:
    """Seconds that the request of this task has left, possibly negative; None outside of one."""
    due = _due.get()
    return None if due is None else due - asyncio.get_running_loop().time()


def allowance_s(wanted_s: float | None) -> float:
    """The timeout for an outgoing call: what is wanted, by default `DEFAULT_S`, but no more than is left."""
    wanted = DEFAULT_S if wanted_s is None else wanted_s
    left = remaining_s()
    return wanted if left is None else max(LEAST_S, min(wanted, left - MARGIN_S))
