"""Real servers for a test session: PostgreSQL and Kafka on free ports, in a folder that goes with the session."""

from __future__ import annotations

import json
import os
import shutil
import threading
from itertools import count
from pathlib import Path

from deploy.local.kafka import Distribution, Kafka
from deploy.local.postgres import Postgres, run_blocking
from deploy.local.processes import BackgroundProcess, start_mark
from deploy.local.settings import DATABASES, ROOT, StackSettings, free_ports
from deploy.local.stack import Stack
from services.chassis import migrations

LOCAL = ROOT / ".local"


def session_folder() -> Path:
    """Make this session's folder and remove those of sessions that were killed, with their servers."""
    LOCAL.mkdir(exist_ok=True)
    for folder in LOCAL.glob("test-*"):
        _remove_if_orphaned(folder)
    folder = LOCAL / f"test-{os.getpid()}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "owner.json").write_text(
        json.dumps({"pid": os.getpid(), "start_mark": start_mark(os.getpid())})
    )
    return folder


def _remove_if_orphaned(folder: Path) -> None:
    try:
        owner = json.loads((folder / "owner.json").read_text())
    except (FileNotFoundError, ValueError):
        return  # just being made
    if start_mark(int(owner["pid"])) == owner["start_mark"]:
        return
    for pid_file in sorted(folder.rglob("*.pid")):
        BackgroundProcess(pid_file.stem, pid_file=pid_file, log_file=pid_file.with_suffix(".log")).kill()
    for data in folder.rglob("postgres"):
        Postgres(data, 1).remove()
    shutil.rmtree(folder, ignore_errors=True)


class PostgresServer:
    """One PostgreSQL for the session; every test has databases of its own, copied from migrated templates."""

    def __init__(self, folder: Path) -> None:
        self.server = Postgres(folder / "postgres", free_ports(1)[0])
        self._numbers = count(1)
        self._lock = threading.Lock()
        self._templates: set[str] = set()

    def start(self) -> None:
        """Start the server and make the services' roles."""
        self.server.start()
        self.server.ensure_databases()

    def new_database(self, service: str | None) -> tuple[str, str]:
        """Return name and DSN of a new database with the schema of `service` (None: empty), owned by its role."""
        role = self._role(service)
        template = "template0" if service is None else self._template(service)
        name = f"test_{next(self._numbers)}"
        self.server.execute([f"CREATE DATABASE {name} OWNER {role} TEMPLATE {template}"])
        return name, self.server.dsn(name, role=role)

    def drop_database(self, name: str) -> None:
        """Drop a database, whoever is still connected."""
        self.server.execute([f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"])

    def remove(self) -> None:
        """Stop the server and delete its data."""
        self.server.remove()

    @staticmethod
    def _role(service: str | None) -> str:
        name = (service or "").rpartition(".")[2]
        return name if name in DATABASES else "postgres"

    def _template(self, service: str) -> str:
        """Return the template of a service, made by running its migrations once."""
        name = f"template_{service.replace('.', '_')}"
        with self._lock:
            if name not in self._templates:
                role = self._role(service)
                self.server.execute([f"CREATE DATABASE {name} OWNER {role}"])
                run_blocking(migrations.upgrade(self.server.dsn(name, role=role), service))
                self._templates.add(name)
        return name


def kafka_server(folder: Path) -> Kafka:
    """Return a broker of its own below `folder`, not yet started."""
    port, controller_port = free_ports(2)
    settings = StackSettings.on_free_ports(folder)
    distribution = Distribution(settings.downloads, home=settings.kafka_home)
    return Kafka(folder / "kafka", port, controller_port, distribution=distribution)


def whole_stack(folder: Path, **variables: str) -> Stack:
    """Return a stack of servers and services below `folder`, not yet started, with further variables."""
    return Stack(StackSettings.on_free_ports(folder, extra=variables))
