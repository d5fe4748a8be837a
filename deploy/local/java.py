"""Find a Java runtime that is new enough for Kafka, and Maven."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

VERSION_MIN = 17


def version_of(java: Path) -> int:
    """Return the major version of a `java` binary; 0 when it does not run."""
    try:
        answer = subprocess.run([java, "-version"], capture_output=True, text=True, check=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return 0
    found = re.search(r'version "(?:1\.)?(\d+)', answer.stderr + answer.stdout)
    return int(found[1]) if found else 0


@cache
def find_java() -> Path | None:
    """Return a `java` of at least VERSION_MIN: from JAVA_HOME, PATH or the usual places; None if there is none."""
    candidates: list[Path] = []
    if home := os.environ.get("JAVA_HOME"):
        candidates.append(Path(home) / "bin" / "java")
    if on_path := shutil.which("java"):
        candidates.append(Path(on_path))
    for base, pattern in (
        ("/usr/lib/jvm", "*/bin/java"),
        ("/opt/homebrew/opt", "openjdk*/bin/java"),
        ("/usr/local/opt", "openjdk*/bin/java"),
        ("/Library/Java/JavaVirtualMachines", "*/Contents/Home/bin/java"),
    ):
        candidates += sorted(Path(base).glob(pattern), reverse=True)
    return next((one for one in dict.fromkeys(candidates) if version_of(one) >= VERSION_MIN), None)


def find_maven() -> Path | None:
    """Return the `mvn` on the PATH, None if there is none."""
    found = shutil.which("mvn")
    return Path(found) if found else None
