"""Renders the Helm chart by the real helm, for the tests beside this file."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.local.settings import ROOT

CHART = ROOT / "deploy" / "helm" / "sampan"
HERE = Path(__file__).parent
VALUES: Mapping[str, Path] = {
    "minimal": HERE / "minimal.yaml",
    "production": ROOT / "deploy" / "helm" / "examples" / "production.yaml",
    "everything": HERE / "everything.yaml",
}
RELEASE, NAMESPACE = "shop", "backbone"

Manifest = dict[str, Any]


def helm() -> Path:
    """The helm of `make chart-tools`, or the machine's; without one a test is skipped, or fails in chart-check."""
    found = shutil.which(
        "helm", path=f"{ROOT / '.local' / 'tools' / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"
    )
    if found is None:
        if os.environ.get("CHART_CHECK"):
            pytest.fail("helm is missing: run `make chart-tools`")
        pytest.skip("helm is missing: `make chart-check` installs it")
    return Path(found)


def run_helm(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """What helm says; it never reaches for a cluster here."""
    command = [str(helm()), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def template(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """What the chart renders to."""
    # A helm built by Go itself believes in an old Kubernetes unless it is told.
    where = ("--namespace", NAMESPACE, "--kube-version", "1.34.0")
    return run_helm("template", RELEASE, CHART, *where, *arguments)


@cache
def _rendered(values: str) -> tuple[Manifest, ...]:
    done = template("--values", VALUES[values])
    assert done.returncode == 0, done.stderr
    return tuple(one for one in yaml.safe_load_all(done.stdout) if one)


def manifests(values: str, kind: str | None = None) -> list[Manifest]:
    """Every manifest of the release, or those of one kind."""
    return [one for one in _rendered(values) if kind is None or one["kind"] == kind]


def named(found: Sequence[Manifest], name: str) -> Manifest:
    """The one manifest whose name ends in -`name`."""
    matching = [one for one in found if one["metadata"]["name"].endswith(f"-{name}")]
    assert len(matching) == 1, [one["metadata"]["name"] for one in found]
    return matching[0]


def pod_specs(values: str) -> Iterator[tuple[str, Manifest]]:
    """The pods of every Deployment and Job, with the name of what makes them."""
    for manifest in manifests(values):
        if manifest["kind"] in ("Deployment", "Job"):
            yield manifest["metadata"]["name"], manifest["spec"]["template"]["spec"]
