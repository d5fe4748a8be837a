"""Which interpreter the virtual environment is made with."""

import sys
from pathlib import Path

import pytest

from deploy.local.bootstrap import faster_python, loop_s


def interpreter(folder: Path, name: str, answer: str) -> Path:
    """A program that answers what an interpreter does: how long its loop took, or that it would not do."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{answer}\n")
    path.chmod(0o755)
    return path


def test_the_systems_interpreter_is_taken_where_it_is_clearly_faster(tmp_path: Path) -> None:
    own, system = interpreter(tmp_path, "own", "echo 0.009"), interpreter(tmp_path, "system", "echo 0.005")

    assert faster_python(own, system) == system


@pytest.mark.parametrize("answer", ["echo 0.0085", "echo 0.02", "exit 1", "echo hello"])
def test_one_that_is_no_faster_or_would_not_do_is_not_taken(tmp_path: Path, answer: str) -> None:
    own, system = interpreter(tmp_path, "own", "echo 0.009"), interpreter(tmp_path, "system", answer)

    assert faster_python(own, system) is None


def test_one_without_ensurepip_gives_way_to_one_that_has_it(tmp_path: Path) -> None:
    own, system = interpreter(tmp_path, "own", "exit 1"), interpreter(tmp_path, "system", "echo 0.009")

    assert faster_python(own, system) == system


def test_a_machine_without_another_one_is_no_fault(tmp_path: Path) -> None:
    assert faster_python(sys.executable, tmp_path / "python3") is None


def test_an_interpreter_is_not_held_against_itself(tmp_path: Path) -> None:
    own = interpreter(tmp_path, "python3.11", f"echo . >> {tmp_path}/asked; echo 0.009")
    system = tmp_path / "python3"
    system.symlink_to(own)

    assert faster_python(own, system) is None
    assert not (tmp_path / "asked").exists()


def test_a_real_interpreter_tells_its_time() -> None:
    seconds = loop_s(sys.executable)

    assert seconds is not None
    assert seconds > 0
