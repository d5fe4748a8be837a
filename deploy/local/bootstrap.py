"""Make the virtual environment and install the locked packages. Standard library only: it runs before all else.

The hashes of every package are checked. Nothing is done when the lock is the one last installed.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import time
import venv
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
LOCK = ROOT / "requirements.txt"
STAMP = VENV / "installed.sha256"
ANY_PYTHON = "--any-python"
"""Said where the caller chose the interpreter: it is taken as it is."""
SYSTEM_PYTHON = Path("/usr/bin/python3")
ANSWER_S_MAX = 30.0
CLEARLY = 1.2
"""How many times as long a loop has to take for another interpreter to be worth it."""
LOOP = """
import ensurepip, sys, timeit
if sys.version_info < (3, 11):
    sys.exit(1)
class Pair:
    def __init__(self, a, b):
        self.a, self.b = a, b
def work():
    for i in range(10_000):
        pair = Pair(i, str(i))
        [*{"a": pair.a, "b": pair.b}.items()]
print(min(timeit.repeat(work, number=1, repeat=7)))
"""
"""Objects and dictionaries, as the services make them all day."""


def say(text: str) -> None:
    """Print one line of progress at once, also into a pipe."""
    print(f"setup: {text}", flush=True)


def lines_of(package: str) -> str:
    """Return the lock's lines for one package, so that the installer itself is verified like the rest."""
    taken: list[str] = []
    for line in LOCK.read_text().splitlines(keepends=True):
        if line.startswith(f"{package}==") or (taken and line.startswith("    --hash")):
            taken.append(line)
        elif taken:
            break
    return "".join(taken)


def version_of_venv() -> str | None:
    """Return the version of .venv's interpreter; None where there is none that starts, or none with pip."""
    question = "import importlib.util, platform; print(importlib.util.find_spec('pip') and platform.python_version())"
    answer = answer_of(PYTHON, question)
    return None if answer in (None, "None") else answer


def answer_of(python: str | Path, program: str) -> str | None:
    """Return what a program prints in an interpreter; None where it cannot be run to its end in time."""
    try:
        done = subprocess.run(
            [python, "-I", "-c", program], capture_output=True, text=True, check=False, timeout=ANSWER_S_MAX
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return None if done.returncode else done.stdout.strip()


def package_source() -> dict[str, str]:
    """Return the environment that makes uv use the package mirror that pip uses, and trust whom this machine trusts."""
    environment = {"UV_SYSTEM_CERTS": "true", **os.environ}
    if "UV_DEFAULT_INDEX" not in environment:
        answer = subprocess.run(
            [PYTHON, "-m", "pip", "config", "get", "global.index-url"],
            capture_output=True,
            text=True,
            check=False,
        )
        mirror = os.environ.get("PIP_INDEX_URL") or answer.stdout.strip()
        if mirror:
            environment["UV_DEFAULT_INDEX"] = mirror
    return environment


def loop_s(python: str | Path) -> float | None:
    """Return the seconds that a loop takes in an interpreter; None where it is none that .venv could be made with."""
    try:
        return float(answer_of(python, LOOP) or "")
    except ValueError:
        return None


def faster_python(own: str | Path, system: Path) -> Path | None:
    """Return the system's interpreter where it is clearly faster than this one, or this one would not do.

    How one was built, it does not tell: version managers compile with the defaults of `configure`, which costs a tenth
    more CPU per order (docs/decisions/0077).
    """
    if Path(own).resolve() == system.resolve():
        return None
    # In turn, so that a moment in which the machine is slow makes neither of them the slower one.
    own_1, system_1, own_2, system_2 = (loop_s(one) for one in (own, system, own, system))
    if system_1 is None or system_2 is None:
        return None
    if own_1 is None or own_2 is None:
        return system
    return system if min(system_1, system_2) * CLEARLY < min(own_1, own_2) else None


def take_the_faster_python() -> None:
    """Go on in the system's interpreter where that is the one to take and the caller has not chosen."""
    if ANY_PYTHON in sys.argv:
        return
    taken = faster_python(sys.executable, SYSTEM_PYTHON)
    if taken is not None:
        say(f"taking {taken} rather than {sys.executable}: it is the faster one")
        os.execv(taken, [str(taken), *sys.argv, ANY_PYTHON])


def install_venv_package() -> None:
    """Install what `venv` lacks on a bare Debian, where this process may: as root."""
    if find_spec("ensurepip") is not None or os.geteuid() != 0 or shutil.which("apt-get") is None:
        return
    package = f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"
    say(f"installing {package} by apt-get")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update"], ["install", "--yes", "--no-install-recommends", package]):
        subprocess.run(
            ["apt-get", "-qq", *arguments], env=environment, stdout=subprocess.DEVNULL, check=False
        )


def make_venv() -> bool:
    """Make .venv anew; return whether it is there. What is left of an earlier one goes."""
    take_the_faster_python()
    version = platform.python_version()
    if sys.version_info < (3, 11):
        say(
            f"Python {version} is too old: install Python 3.11 or newer, or name one: make setup PYTHON=python3.12"
        )
        return False
    say(f"making .venv with Python {version}")
    install_venv_package()
    shutil.rmtree(VENV, ignore_errors=True)
    try:
        venv.create(VENV, with_pip=True)
    except (subprocess.CalledProcessError, OSError) as error:
        shutil.rmtree(VENV, ignore_errors=True)
        say(f"the virtual environment cannot be made ({error}); on Debian: apt-get install python3-venv")
        return False
    return True


def main() -> int:
    """Bring .venv to the state of the lock; return 0 when it is there."""
    started = time.monotonic()
    version = version_of_venv()
    if version is None:
        if not make_venv():
            return 1
        version = platform.python_version()
    elif ANY_PYTHON in sys.argv and version != platform.python_version():
        say(f".venv stays with Python {version}: remove it to take {sys.executable}")
    expected = hashlib.sha256(LOCK.read_bytes() + version.encode()).hexdigest()
    if STAMP.exists() and STAMP.read_text() == expected:
        return 0
    installer_lock = VENV / "installer.txt"
    installer_lock.write_text(lines_of("uv"))
    count = sum("==" in line for line in LOCK.read_text().splitlines())
    say(f"installing {count} packages from requirements.txt, hashes checked")
    pip = [PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]
    steps = (
        ([*pip, "--only-binary", ":all:", "-r", installer_lock], None),
        ([PYTHON, "-m", "uv", "pip", "sync", "--quiet", "--require-hashes", LOCK], package_source),
    )
    for command, environment in steps:
        done = subprocess.run(
            list(map(str, command)), cwd=ROOT, env=environment() if environment else None, check=False
        )
        if done.returncode:
            say("packages could not be installed; the lines above say why. Run `make setup` again to resume.")
            return done.returncode
    STAMP.write_text(expected)
    say(f"ready in {time.monotonic() - started:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
