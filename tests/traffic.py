"""Orders that flow while something is done to the system: replays of made-up sales, one after the other.

A replay sends its orders through the API, repeats what is not answered, carries every one to delivery and accounts for
each; so whatever is lost, doubled or left behind while a test goes on shows in its outcome.
"""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from tests.chaos.sales import write_sales
from tests.chaos.system import System

ORDERS_PER_REPLAY = 300
ORDERS_AT_ONCE = "8"
REPLAY_S_MAX = 400.0
WAIT_S_MAX = 300.0
POLL_S = 0.1


class Traffic:
    """Replays until the block ends; then waits for the one under way. A replay that fails is told by `check`."""

    def __init__(self, system: System, folder: Path, *, name: str) -> None:
        self._system = system
        self._folder = folder
        self._name = name
        self._sales = write_sales(folder / f"{name}.csv", ORDERS_PER_REPLAY)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._replay, name=name)
        self.histories: list[Path] = []
        """What was sent and answered, by replay; for an audit."""
        self._failures: list[str] = []
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Traffic:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        if kind is not None and self._process is not None:
            # A system that is broken would be asked for as long as a replay is patient.
            self._process.kill()
        self._thread.join()
        if kind is None:
            self.check()

    def placed(self) -> int:
        """Orders that are stored by now; 0 while nobody can tell."""
        return self._system.fetch("orders", "SELECT count(*) FROM orders") or 0

    def flow(self, orders: int = 50) -> None:
        """Returns when so many orders more have been placed."""
        target = self.placed() + orders
        self._await(lambda: self.placed() >= target, f"{orders} more orders")

    def check(self) -> None:
        """Fails where a replay did."""
        assert not self._failures, "\n".join(self._failures)

    def _await(self, condition: Callable[[], bool], what: str) -> None:
        waiting = threading.Event()
        waited_s = 0.0
        while not condition():
            self.check()
            assert waited_s < WAIT_S_MAX, f"no {what} in {WAIT_S_MAX:g} s"
            waiting.wait(POLL_S)
            waited_s += POLL_S

    def _replay(self) -> None:
        while not self._ending.is_set() and not self._failures:
            number = len(self.histories) + 1
            history = self._folder / f"{self._name}-{number}.jsonl"
            log = self._folder / f"{self._name}-{number}.log"
            self.histories.append(history)
            replay = self._process = self._system.start(
                "deploy.replay",
                self._sales,
                *("--run", f"{self._name}-{number}", "--history", history),
                *("--concurrency", ORDERS_AT_ONCE, "--no-audit"),
                log_file=log,
            )
            try:
                code = replay.wait(REPLAY_S_MAX)
            except subprocess.TimeoutExpired:
                replay.kill()
                code = replay.wait()
            if code != 0:
                self._failures.append(f"replay {number} ended with {code}: {log.read_text()[-4000:]}")
