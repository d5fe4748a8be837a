"""What the bench's commands share: their exit codes, what they say to a person, and how they leave their figures."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from deploy.bench.bare import BareNotStarted
from deploy.bench.figures import all_faults
from deploy.bench.load import Broken
from deploy.bench.measure import NotDecided
from deploy.bench.raw import RawUnavailable
from deploy.bench.shop import ShopNotReady
from deploy.local.settings import StackError
from deploy.replay.client import PatienceEnded
from deploy.replay.settings import SettingsError

EXIT_MEASURED = 0
EXIT_WRONG = 1
EXIT_COULD_NOT_RUN = 2
CONCURRENCY = 128
"""Requests in flight: two cores are busy with them. Twice as many gave 7 % more, waiting twice as long (`--sweep`)."""

FAILURES = (
    *(StackError, SettingsError, ShopNotReady, NotDecided, Broken, PatienceEnded, BareNotStarted),
    *(RawUnavailable, OSError),
)
"""What keeps a bench from running or ending, told in one line."""


def say(text: str) -> None:
    """Progress, for a person."""
    print(f"bench: {text}", file=sys.stderr, flush=True)


def verdict(figures: Mapping[str, Any]) -> int:
    """Prints what no proof holds; the exit code."""
    faults = all_faults(figures)
    for fault in faults:
        print(f"bench: WRONG: {fault}", file=sys.stderr)
    return EXIT_WRONG if faults else EXIT_MEASURED


def write_json(path: Path | None, figures: Mapping[str, Any]) -> None:
    """Writes the figures where they were asked for."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(figures, indent=2) + "\n", "utf-8")


def console_of() -> Console:
    """As wide as the terminal; wide enough for the tables where there is none."""
    return Console(width=None if sys.stdout.isatty() else 170)
