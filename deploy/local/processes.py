"""Background processes with a pid file and a log file, started once and stopped within a bound.

The pid file carries the process's start time as well, so that a pid which the system has given to
somebody else meanwhile is never signalled.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from deploy.local.settings import ROOT, StackError

POLL_INTERVAL_S = 0.05
KILL_TIMEOUT_S = 10.0


def start_mark(pid: int) -> str | None:
    """Return a text that identifies this run of `pid`, or None when it does not run (a zombie does not)."""
    try:
        # Ticks since boot never shift with the clock, unlike the start time that portable calls derive.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return None if fields[0] in "ZX" else f"{boot}:{fields[19]}"
    except (FileNotFoundError, ProcessLookupError):
        if Path("/proc/self/stat").exists():
            return None
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else f"{process.create_time():.2f}"
    except psutil.NoSuchProcess:
        return None


class BackgroundProcess:
    """One detached process that outlives the command which started it."""

    def __init__(
        self, name: str, *, pid_file: Path, log_file: Path, stop_signal: int = signal.SIGTERM
    ) -> None:
        self.name = name
        self.pid_file = pid_file
        self.log_file = log_file
        self.stop_signal = stop_signal
        self._child: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    @property
    def pid(self) -> int | None:
        """Return the pid while the process that was started here still runs."""
        if self._child is not None:
            self._child.poll()  # reaps it, when it is our child and has ended
        noted = self._noted()
        if noted is None:
            return None
        pid = int(noted["pid"])
        return pid if start_mark(pid) == noted["start_mark"] else None

    @property
    def fingerprint(self) -> str | None:
        """Return what was given as fingerprint when the running process was started."""
        noted = self._noted()
        return None if noted is None or self.pid is None else noted["fingerprint"]

    def start(
        self,
        command: Sequence[str | Path],
        *,
        environment: Mapping[str, str] | None = None,
        folder: Path = ROOT,
        user: tuple[int, int] | None = None,
        fingerprint: str = "",
    ) -> None:
        """Start `command` unless it runs already; `user` is the (uid, gid) to run as."""
        if self.pid is not None:
            return
        self.pid_file.parent.mkdir(parents=True, exist_ok=True)
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        identity: dict[str, Any] = {}
        if user is not None:
            identity = {"user": user[0], "group": user[1], "extra_groups": []}
        with self.log_file.open("ab") as log:
            self._log_start = log.tell()
            child = subprocess.Popen(
                list(map(str, command)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env=None if environment is None else dict(environment),
                start_new_session=True,
                **identity,
            )
        self._child = child
        temporary = self.pid_file.with_suffix(".new")
        temporary.write_text(
            json.dumps({"pid": child.pid, "start_mark": start_mark(child.pid), "fingerprint": fingerprint})
        )
        temporary.replace(self.pid_file)

    def wait_until(self, ready: Callable[[], bool], *, timeout_s: float) -> None:
        """Wait until `ready()`; raise StackError with the log's last lines when the process ends or time is up."""
        deadline = time.monotonic() + timeout_s
        while not ready():
            if self.pid is None:
                raise StackError(
                    f"{self.name} ended at its start: {self.last_words()} (whole log: {self.log_file})"
                )
            if time.monotonic() > deadline:
                raise StackError(
                    f"{self.name} is not ready after {timeout_s:.0f} s: {self.last_words()} (log: {self.log_file})"
                )
            time.sleep(POLL_INTERVAL_S)

    def stop(self, *, grace_s: float = 20.0) -> None:
        """Ask the process to end, wait at most `grace_s`, then kill it."""
        pid = self.pid
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, self.stop_signal)
            deadline = time.monotonic() + grace_s
            while self.pid is not None and time.monotonic() < deadline:
                time.sleep(POLL_INTERVAL_S / 2)
            if self.pid is not None:
                self.kill()
        self.pid_file.unlink(missing_ok=True)

    def kill(self) -> None:
        """End the process and its children at once, as a power cut would; return when they are gone."""
        pid = self.pid
        if pid is None:
            return
        try:
            family = [psutil.Process(pid)]
            family += family[0].children(recursive=True)
        except psutil.NoSuchProcess:
            return
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        deadline = time.monotonic() + KILL_TIMEOUT_S
        while self.pid is not None or any(start_mark(process.pid) for process in family[1:]):
            if time.monotonic() > deadline:
                raise StackError(f"{self.name} (pid {pid}) cannot be killed")
            time.sleep(POLL_INTERVAL_S / 5)
        self.pid_file.unlink(missing_ok=True)

    def freeze(self) -> None:
        """Halt the process without ending it: a machine that hangs."""
        if (pid := self.pid) is not None:
            os.kill(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen process go on."""
        if (pid := self.pid) is not None:
            os.kill(pid, signal.SIGCONT)

    def memory_bytes(self) -> int:
        """Return the resident memory of the process, 0 when it does not run."""
        pid = self.pid
        if pid is None:
            return 0
        try:
            return int(psutil.Process(pid).memory_info().rss)
        except psutil.Error:
            return 0

    def _noted(self) -> dict[str, str] | None:
        try:
            noted = json.loads(self.pid_file.read_text())
            return {name: str(noted[name]) for name in ("pid", "start_mark", "fingerprint")}
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def log_text(self) -> str:
        """Return what was logged since this object started the process (all, when it did not)."""
        try:
            with self.log_file.open("rb") as log:
                log.seek(self._log_start)
                return log.read().decode(errors="replace")
        except FileNotFoundError:
            return ""

    def last_words(self, *, characters_max: int = 600) -> str:
        """Return the end of the log on one line, for a message."""
        lines = [plain(line.strip()) for line in self.log_text().splitlines() if line.strip()]
        return " | ".join(lines[-3:])[-characters_max:] or "nothing was logged"


def plain(line: str) -> str:
    """Return the words of a log line: of a JSON one its event, its cause and the last line of its traceback."""
    try:
        entry = json.loads(line)
    except ValueError:
        return line
    if not isinstance(entry, dict):
        return line
    traceback_end = str(entry.get("exception", "")).strip().rpartition("\n")[2]
    words = (str(entry.get("event", "")), str(entry.get("cause", "")), traceback_end)
    return ": ".join(word for word in words if word) or line
