"""Node packages by their lock: installed into a folder of `dist` or `.local`, never into the tree."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from deploy.local.settings import ROOT

NODE_MAJOR_MIN = 18
FILES = ("package.json", "package-lock.json", ".npmrc")


class CommandError(RuntimeError):
    """A command failed or cannot be run; the message says why and what to do."""


def run(*command: str | Path, cwd: Path, **variables: str) -> str:
    """Run a command and return its output; raise `CommandError` with all that it said where it fails."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=os.environ | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise CommandError(f"{' '.join(map(str, command[:4]))} failed in {cwd}:\n{done.stdout}")
    return done.stdout


def fault() -> str | None:
    """What keeps Node from being used here; None where nothing does."""
    node = shutil.which("node")
    if node is None or shutil.which("npm") is None:
        return f"Node.js {NODE_MAJOR_MIN} or newer and npm are needed"
    version = run(node, "--version", cwd=ROOT).strip()
    if int(version.removeprefix("v").partition(".")[0]) < NODE_MAJOR_MIN:
        return f"Node.js {NODE_MAJOR_MIN} or newer is needed; this is {version}"
    return None


def install(source: Path, target: Path) -> None:
    """Install what the lock in `source` names into `target`, unless that is what is there already."""
    if found := fault():
        raise CommandError(found)
    target.mkdir(parents=True, exist_ok=True)
    lock = target / "package-lock.json"
    if (
        lock.exists()
        and (target / "node_modules").exists()
        and all((target / name).read_bytes() == (source / name).read_bytes() for name in FILES)
    ):
        return
    for name in FILES:
        shutil.copyfile(source / name, target / name)
    try:
        run("npm", "ci", "--ignore-scripts", cwd=target)
    except CommandError:
        # A lock that is there says that its packages are.
        lock.unlink()
        raise
