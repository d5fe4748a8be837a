"""Which interpreter the virtual environment is made with."""

import sys
import sysconfig
from pathlib import Path

import pytest

from deploy.local.bootstrap import PROFILE, faster_python


def interpreter(folder: Path, *, answers: int) -> Path:
    """A program that answers whether it would do as an interpreter: 0 for yes."""
    path = folder / "python3"
    path.write_text(f"#!/bin/sh\nexit {answers}\n")
    path.chmod(0o755)
    return path


def test_the_systems_interpreter_is_taken_where_only_that_one_was_optimised(tmp_path: Path) -> None:
    system = interpreter(tmp_path, answers=0)

    assert faster_python("", system) == system
    assert faster_python(None, system) == system


def test_an_optimised_interpreter_stays(tmp_path: Path) -> None:
    assert faster_python("-fprofile-use", interpreter(tmp_path, answers=0)) is None


@pytest.mark.parametrize("answers", [1, 127])
def test_a_system_interpreter_that_is_old_bare_or_no_faster_is_not_taken(
    tmp_path: Path, answers: int
) -> None:
    assert faster_python("", interpreter(tmp_path, answers=answers)) is None


def test_a_machine_without_one_is_no_fault(tmp_path: Path) -> None:
    assert faster_python("", tmp_path / "python3") is None


def test_a_real_interpreter_tells_how_it_was_built() -> None:
    own = Path(sys.executable)

    assert faster_python("", own) == (own if sysconfig.get_config_var(PROFILE) else None)
