"""Images that stand in for the official ones where no registry is reachable, under the names that ours are built from.

They hold real parts: Debian's Python and PostgreSQL, Apache Kafka's jars. Only their packaging is ours.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from deploy.local.kafka import Distribution
from deploy.local.settings import ROOT
from tests.containers.engine import Engine, EngineError, install

HERE = Path(__file__).parent / "standins"
BASE = "python:3.11-slim-bookworm"
POSTGRES = "postgres:17-bookworm"
KAFKA = "apache/kafka:4.4.0"
MONITORING = {"prometheus": "prom/prometheus:v3.5.0", "alertmanager": "prom/alertmanager:v0.28.1"}
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


def make_base(engine: Engine, scratch: Path) -> None:
    """Debian with Python, venv and pip, and the certificates that this machine trusts, under Python's image's name."""
    if shutil.which("mmdebstrap") is None:
        install("mmdebstrap")
    rootfs = scratch / "rootfs.tar"
    done = subprocess.run(
        [
            *(
                "mmdebstrap",
                "--quiet",
                "--variant=minbase",
                "--include=ca-certificates,python3,python3-venv,python3-pip",
            ),
            f'--customize-hook=cp {CERTIFICATES} "$1{CERTIFICATES}"',
            *(_codename(), str(rootfs)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise EngineError(f"mmdebstrap cannot make a base image: {done.stderr.strip()[-500:]}")
    engine.run("import", "--change", f"ENV PIP_CERT={CERTIFICATES}", rootfs, BASE)
    rootfs.unlink()


def make_servers(engine: Engine, scratch: Path) -> None:
    """PostgreSQL and Kafka on that base."""
    postgres = ("build", "--build-arg", f"BASE={BASE}", "--tag", POSTGRES)
    engine.run(*postgres, "--file", HERE / "postgres.Dockerfile", HERE)
    context = scratch / "kafka"
    shutil.copytree(HERE, context)
    distribution = Distribution(
        ROOT / ".local" / "downloads",
        home=Path(os.environ["KAFKA_HOME"]) if os.environ.get("KAFKA_HOME") else None,
    )
    distribution.ensure(print)
    shutil.copytree(distribution.libraries, context / "libs")
    shutil.copy2(ROOT / "deploy" / "local" / "log4j2.properties", context)
    kafka = ("build", "--build-arg", f"BASE={BASE}", "--tag", KAFKA)
    engine.run(*kafka, "--file", context / "kafka.Dockerfile", context)
    shutil.rmtree(context)


def make_monitoring(engine: Engine) -> None:
    """Prometheus and Alertmanager; there is no Grafana but by a registry."""
    for target, name in MONITORING.items():
        command = ("build", "--build-arg", f"BASE={BASE}", "--target", target, "--tag", name)
        engine.run(*command, "--file", HERE / "prometheus.Dockerfile", HERE)


def _codename() -> str:
    found = re.search(r"^VERSION_CODENAME=(\w+)", Path("/etc/os-release").read_text(), re.M)
    return found[1] if found else "bookworm"
