"""Progress for people: a bar on a terminal, a plain line every few seconds elsewhere."""

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

LINE_PERIOD_S = 5.0


class Bar:
    """Counts towards a total; a context manager."""

    def __init__(self, label: str, total: int) -> None:
        self._label = label
        self._total = total
        self._done = 0
        self._started = time.monotonic()
        self._next_line = self._started + LINE_PERIOD_S
        self._progress: Progress | None = None
        self._task = TaskID(0)

    def __enter__(self) -> "Bar":
        if sys.stderr.isatty():
            self._progress = Progress(
                TextColumn("{task.description:<10}"),
                BarColumn(bar_width=None),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]:>8}/s"),
                TimeRemainingColumn(),
                console=Console(stderr=True),
            )
            self._progress.start()
            self._task = self._progress.add_task(self._label, total=self._total, rate="0")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._progress.stop()
        elif kind is None:
            self._line()

    def advance(self, count: int = 1) -> None:
        """Counts on."""
        self._done += count
        now = time.monotonic()
        if self._progress is not None:
            self._progress.update(self._task, completed=self._done, rate=f"{self._rate(now):,.0f}")
        elif now >= self._next_line:
            self._next_line = now + LINE_PERIOD_S
            self._line()

    def _line(self) -> None:
        rate = self._rate(time.monotonic())
        text = f"{self._label}: {self._done:,} of {self._total:,} ({rate:,.0f}/s)"
        print(text, file=sys.stderr, flush=True)

    def _rate(self, now: float) -> float:
        return self._done / max(now - self._started, 1e-9)
