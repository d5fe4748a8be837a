"""Resolve and lock every dependency with hashes: one lock for the whole tree, one smaller lock per image,
and one for what images are built with.

Run by `make lock`. The locks carry no addresses, so that they hold behind any package mirror.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ("chassis", "access", "catalog", "orders", "warehouse", "webhooks", "gateway")
DISTRIBUTIONS = (*(f"services/{service}" for service in SERVICES), "deploy/cli")
OWN = sorted(("contracts", *SERVICES))
HEADER = "# Locked versions with hashes, made by `make lock`. Do not edit: change {source} and lock again.\n"


def compile_lock(target: Path, sources: list[str], *, constraint: str | None, upgrade: bool) -> None:
    """Write the lock `target` for `sources`, keeping already locked versions unless `upgrade` is set."""
    command = [
        sys.executable,
        *("-m", "uv", "pip", "compile", "--quiet", "--universal", "--python-version", "3.11"),
        *("--generate-hashes", "--no-emit-index-url", "--no-header"),
        *(part for name in OWN for part in ("--no-emit-package", f"sampan-{name}")),
        *sources,
    ]
    if constraint is not None:
        command += ["--constraint", constraint]
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "requirements.txt"
        if target.exists() and not upgrade:
            output.write_text(target.read_text())
        subprocess.run([*command, "--output-file", str(output)], cwd=ROOT, check=True)
        body = output.read_text()
    header = HEADER.format(
        source=" and ".join(sources[:1] if constraint else ["requirements.in", "services/*/pyproject.toml"])
    )
    lines = [line for line in body.splitlines(keepends=True) if not line.startswith("# Locked versions")]
    target.write_text(header + "".join(lines))
    print(f"locked {target.relative_to(ROOT)}: {sum('==' in line for line in lines)} packages", flush=True)


def main(arguments: list[str]) -> int:
    """Lock everything; `--upgrade` takes the newest allowed versions."""
    upgrade = "--upgrade" in arguments
    projects = [f"{folder}/pyproject.toml" for folder in (*DISTRIBUTIONS, "proto")]
    compile_lock(ROOT / "requirements.txt", ["requirements.in", *projects], constraint=None, upgrade=upgrade)
    for folder in DISTRIBUTIONS:
        compile_lock(
            ROOT / folder / "requirements.txt",
            [f"{folder}/pyproject.toml"],
            constraint="requirements.txt",
            upgrade=upgrade,
        )
    compile_lock(
        ROOT / "deploy" / "images" / "requirements.txt",
        ["deploy/images/requirements.in"],
        constraint="requirements.txt",
        upgrade=upgrade,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
