"""The release before this one, as deploy/previous-release names it: a tag or a commit.

It is the newest one that is in production, which a roll-out of this tree would replace. Whoever publishes a release
writes its tag there in the commit after it.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from deploy.local.settings import ROOT

FILE = ROOT / "deploy" / "previous-release"


def commit(named: str | None = None) -> str | None:
    """Its commit, or that of another one; None where this clone lacks it, as a shallow one does."""
    named = named or FILE.read_text(encoding="utf-8").split()[0]
    done = _git("rev-parse", "--verify", "--quiet", f"{named}^{{commit}}")
    return done.stdout.strip() if done.returncode == 0 else None


def names(of_commit: str, folder: str) -> list[str]:
    """The names of the files that a folder had then; none where there was no such folder."""
    done = _git("ls-tree", "--name-only", f"{of_commit}:{folder}")
    return done.stdout.split() if done.returncode == 0 else []


def unpack(of_commit: str, folder: Path) -> None:
    """Lays its tree down in an empty folder, with the stubs made from its own contracts."""
    packed = subprocess.run(["git", "archive", of_commit], cwd=ROOT, capture_output=True, check=True)
    folder.mkdir(parents=True)
    subprocess.run(["tar", "-xf", "-"], cwd=folder, input=packed.stdout, check=True)
    subprocess.run([sys.executable, "proto/generate.py"], cwd=folder, check=True)


def _git(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
