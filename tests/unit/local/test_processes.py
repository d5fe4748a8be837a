"""Background processes: started once, never mistaken for somebody else's, gone when stopped."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.processes import BackgroundProcess, plain, start_mark
from deploy.local.settings import StackError

READY = "import time; print('ready', flush=True); time.sleep(60)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {READY}"
PARENT = (
    "import subprocess, sys, time; child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); "
    "print('child', child.pid, flush=True); time.sleep(60)"
)


@pytest.fixture
def process(tmp_path: Path) -> Iterator[BackgroundProcess]:
    """A process that is not started yet and is gone after the test."""
    made = BackgroundProcess("sleeper", pid_file=tmp_path / "sleeper.pid", log_file=tmp_path / "sleeper.log")
    yield made
    made.kill()


def start(process: BackgroundProcess, code: str, words: str = "ready") -> int:
    """Start Python code and wait for its words; return the pid."""
    process.start([sys.executable, "-c", code])
    process.wait_until(
        lambda: words in process.log_text() and process.log_text().endswith("\n"), timeout_s=20
    )
    pid = process.pid
    assert pid is not None
    return pid


def test_a_second_start_leaves_the_running_process_alone(process: BackgroundProcess) -> None:
    pid = start(process, READY)
    process.start([sys.executable, "-c", READY])
    assert process.pid == pid


def test_another_object_finds_the_process_by_its_pid_file(process: BackgroundProcess) -> None:
    pid = start(process, READY)
    other = BackgroundProcess("sleeper", pid_file=process.pid_file, log_file=process.log_file)
    assert other.pid == pid
    other.stop()
    assert process.pid is None


def test_a_recycled_pid_is_never_signalled(process: BackgroundProcess) -> None:
    noted = {"pid": os.getpid(), "start_mark": "an earlier boot", "fingerprint": ""}
    process.pid_file.write_text(json.dumps(noted))
    assert process.pid is None
    process.stop()
    process.kill()  # would end this very test run


def test_stop_kills_what_does_not_listen(process: BackgroundProcess) -> None:
    pid = start(process, STUBBORN)
    process.stop(grace_s=0.2)
    assert start_mark(pid) is None


def test_kill_takes_the_children_along(process: BackgroundProcess) -> None:
    start(process, PARENT, "child")
    child = int(process.log_text().split()[1])
    process.kill()
    assert start_mark(child) is None


def test_a_frozen_process_runs_on_when_thawed(process: BackgroundProcess) -> None:
    pid = start(process, READY)
    process.freeze()
    process.thaw()
    assert process.pid == pid


def test_an_early_end_is_told_with_the_last_words(process: BackgroundProcess) -> None:
    process.start([sys.executable, "-c", "raise SystemExit('no such database')"])
    with pytest.raises(StackError, match="sleeper ended at its start: no such database"):
        process.wait_until(lambda: False, timeout_s=20)


def test_a_zombie_does_not_run() -> None:
    with subprocess.Popen(["true"]) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert start_mark(child.pid) is None


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("plain text", "plain text"),
        ('{"event": "cannot start", "cause": "no database", "level": "error"}', "cannot start: no database"),
        (
            '{"event": "crashed", "exception": "Traceback\\n  File x\\nValueError: wrong"}',
            "crashed: ValueError: wrong",
        ),
        ("[1]", "[1]"),
    ],
)
def test_a_log_line_is_told_in_plain_words(line: str, words: str) -> None:
    assert plain(line) == words
