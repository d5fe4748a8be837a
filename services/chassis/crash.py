"""Named places where a process can be told to die, so that tests can prove what a crash there leaves behind.

`CRASH_POINTS=orders.place.before_commit,relay.before_delete:3` kills the process the first time it passes
the first point and the third time it passes the second. Empty, as it is in production, a point costs one
lookup in an empty dictionary.
"""

import os
import signal
import sys
from collections.abc import Iterable

_passes_left: dict[str, int] = {}


def configure(points: Iterable[str]) -> None:
    """Arms the points, each `name` or `name:passes`; replaces what was armed."""
    armed: dict[str, int] = {}
    for point in points:
        name, _, passes = point.partition(":")
        armed[name] = int(passes or 1)
    _passes_left.clear()
    _passes_left.update(armed)


def crash_point(name: str) -> None:
    """Dies here by SIGKILL, without any clean-up, if the configuration says so."""
    if name not in _passes_left:
        return
    _passes_left[name] -= 1
    if _passes_left[name] <= 0:
        sys.stderr.write(f"crash point {name}\n")
        sys.stderr.flush()
        os.kill(os.getpid(), signal.SIGKILL)
