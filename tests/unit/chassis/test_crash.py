"""Crash points kill only where they are armed."""

import subprocess
import sys

import pytest

from services.chassis import crash

PROGRAM = """
import sys
from services.chassis import crash
crash.configure(sys.argv[1].split(","))
for _ in range(3):
    crash.crash_point("demo.commit")
    print("passed", flush=True)
"""


@pytest.mark.parametrize(
    ("points", "passes", "code"), [("demo.commit", 0, -9), ("demo.commit:3", 2, -9), ("other", 3, 0)]
)
def test_the_process_dies_at_the_pass_that_was_named(points: str, passes: int, code: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, points], capture_output=True, text=True, check=False
    )
    assert done.returncode == code
    assert done.stdout.count("passed") == passes


def test_nothing_happens_without_configuration() -> None:
    crash.configure(())
    crash.crash_point("demo.commit")
