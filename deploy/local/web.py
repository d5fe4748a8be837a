"""The storefront's and the console's pages: built while the servers start, where Node.js is."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

from deploy.local.settings import ROOT, WEB_PAGES

BUILD_S_MAX = 300
LINES_SHOWN = 4


def are_built() -> bool:
    """Whether there are pages to serve."""
    return (WEB_PAGES / "build.json").exists()


class PagesBuild:
    """`python -m deploy.web --if-stale`, beside whatever else is done. The stack does without pages: a fault is told
    and nothing more."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "deploy.web", "--if-stale"],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def finish(self, say: Callable[[str], None]) -> None:
        """Wait for it, and tell what it said."""
        try:
            said, _ = self._process.communicate(timeout=BUILD_S_MAX)
        except subprocess.TimeoutExpired:
            self.stop()
            said = f"not built within {BUILD_S_MAX} s: `make web` tells more"
        for line in said.strip().splitlines()[:LINES_SHOWN]:
            say(line.removeprefix("web: "))

    def stop(self) -> None:
        """End it, if it still runs."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
