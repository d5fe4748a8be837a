"""Compare the contracts with the last ones that others may rely on: the latest tag, else the commit before.

Prints what it compared, or why there was nothing to compare; exits 100 where a contract was broken, as buf does.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PREVIOUS = ROOT / ".local" / "proto-previous"
BUF = Path(sys.executable).parent / "buf"


def git(*arguments: str) -> str | None:
    """Return git's answer, None when it refuses."""
    answer = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return answer.stdout.strip() if answer.returncode == 0 else None


def reference() -> str | None:
    """Return the commit to compare with, None when the history holds no contracts."""
    if tag := git("describe", "--tags", "--abbrev=0"):
        candidates = [tag]
    else:
        changed = bool(git("status", "--porcelain", "--", "proto"))
        candidates = ["HEAD"] if changed else ["HEAD~1"]
    return next((one for one in candidates if git("ls-tree", "--name-only", one, "proto/sampan")), None)


def lay_out(commit: str) -> None:
    """Put that commit's contracts where buf reads them, beside the same google.* contracts."""
    archive = subprocess.run(
        ["git", "archive", "--format=tar", commit, "proto", "buf.yaml"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    shutil.rmtree(PREVIOUS, ignore_errors=True)
    PREVIOUS.mkdir(parents=True)
    subprocess.run(["tar", "-xf", "-"], cwd=PREVIOUS, input=archive.stdout, check=True)
    shutil.copytree(ROOT / "gen" / "googleapis", PREVIOUS / "gen" / "googleapis")


def main() -> int:
    """Run buf; return its exit code."""
    commit = reference()
    if commit is None:
        print("proto-breaking: skipped, the history holds no earlier contracts")
        return 0
    lay_out(commit)
    done = subprocess.run([BUF, "breaking", "--against", PREVIOUS], cwd=ROOT, check=False)
    if done.returncode == 0:
        print(f"proto-breaking: the contracts of {commit} still hold")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
