"""Named places where a process can be told to die, so that tests can prove what a crash there leaves behind.

`CRASH_POINTS=orders.place.before_commit,relay.before_delete:3` kills the process the first time it passes
the first point and the third time it passes the second; a configuration that is not for tests
(`TEST_CONFIGURATION`) is refused with it. Empty, as it is in production, a point costs one lookup in an empty
dictionary.
"""

import os
import signal
import sys
from collections.abc import Iterable

_passes_left: dict[str, int] = {}


def passes_of(points: Iterable[str]) -> dict[str, int]:
    """At which pass each point kills, by name; raises ValueError for what is not `name` or `name:passes`."""
    armed: dict[str, int] = {}
    for point in points:
        name, colon, passes = point.partition(":")
        if not name or (colon and not (passes.isdecimal() and int(passes) > 0)):
            raise ValueError(f"{point} is not a name or name:passes")
        armed[name] = int(passes or 1)
    return armed


def configure(points: Iterable[str]) -> None:
    """Arms the points, each `name` or `name:passes`; replaces what was armed."""
    armed = passes_of(points)
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
