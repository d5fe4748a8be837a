"""The whole local stack: what is started in which order, and how it is stopped, shown and removed."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from pathlib import Path

from deploy.local import preflight
from deploy.local.kafka import Distribution, Kafka
from deploy.local.keys import ensure_keys
from deploy.local.postgres import Postgres
from deploy.local.processes import BackgroundProcess
from deploy.local.services import ServiceProcess
from deploy.local.settings import DATABASES, ROOT, SERVICES, StackError, StackSettings

Say = Callable[[str, str], None]
"""Takes who speaks and what is said."""


def quiet(who: str, text: str) -> None:
    """Say nothing."""


class Narrator:
    """Prints one line per event with the time since the start; several threads may speak."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._lock = threading.Lock()

    def __call__(self, who: str, text: str) -> None:
        with self._lock:
            print(f"{time.monotonic() - self._started:6.1f} s  {who:<10} {text}", flush=True)


class Stack:
    """PostgreSQL, Kafka and the services with one folder and one set of ports."""

    def __init__(self, settings: StackSettings, *, say: Say = quiet) -> None:
        self.settings = settings
        self.say = say
        log, pid = settings.logs, settings.pids
        self.postgres = Postgres(
            settings.data / "postgres",
            settings.ports["POSTGRES_PORT"],
            log_file=log / "postgres.log",
            pid_file=pid / "postgres.pid",
        )
        self.kafka = Kafka(
            settings.data / "kafka",
            settings.ports["KAFKA_PORT"],
            settings.ports["KAFKA_CONTROLLER_PORT"],
            distribution=Distribution(settings.downloads, home=settings.kafka_home),
            log_file=log / "kafka.log",
            pid_file=pid / "kafka.pid",
        )

    @property
    def own_postgres(self) -> bool:
        """Whether this stack runs a PostgreSQL: not when every database is named by a DSN."""
        return not self.settings.dsns.keys() >= set(DATABASES)

    @property
    def own_kafka(self) -> bool:
        return self.settings.kafka_bootstrap is None

    @property
    def bootstrap(self) -> str:
        return self.settings.kafka_bootstrap or self.kafka.bootstrap

    @property
    def dsns(self) -> dict[str, str]:
        return {name: self.settings.dsns.get(name) or self.postgres.dsn(name) for name in DATABASES}

    @cached_property
    def services(self) -> dict[str, ServiceProcess]:
        """The services by name, with the variables they are started with."""
        return {name: self.service(name) for name in SERVICES}

    def service(self, name: str, *, root: Path = ROOT) -> ServiceProcess:
        """A service with its variables, of this tree's code or of another's."""
        environment = self.settings.service_environment(bootstrap=self.bootstrap, dsns=self.dsns)
        return ServiceProcess(
            name,
            environment,
            admin_url=self.settings.admin_url(name),
            pid_file=self.settings.pids / f"{name}.pid",
            log_file=self.settings.logs / f"{name}.log",
            root=root,
        )

    @property
    def processes(self) -> list[BackgroundProcess]:
        """All background processes of this stack, servers first."""
        servers = [self.postgres.process] * self.own_postgres + [self.kafka.process] * self.own_kafka
        return servers + [service.process for service in self.services.values()]

    def check(self) -> None:
        """Install what can be installed; raise StackError with one line per remaining fault."""
        preflight.install_missing(self.settings, lambda text: self.say("install", text))
        running = {process.name for process in self.processes if process.pid is not None}
        found = preflight.faults(self.settings, running=running)
        if found:
            raise StackError("\n".join(found))

    def start_servers(self) -> None:
        """Start PostgreSQL and Kafka side by side and wait until both serve."""
        self._together([self._start_postgres] * self.own_postgres + [self._start_kafka] * self.own_kafka)

    def start_services(self, names: Sequence[str] = SERVICES) -> None:
        """Prepare databases and topics, start those services that do not run, and wait until all are ready.

        A service whose code or variables have changed since it was started is started anew.
        """
        ensure_keys(self.settings.keys)
        stale = [self.services[name] for name in names if self.services[name].stale]
        for service in stale:
            self.say(service.name, "has changed since it was started: restarting")
        self._together([service.stop for service in stale])
        waiting = [self.services[name] for name in names if not self.services[name].running]
        self._set_up([service for service in waiting if service.name in DATABASES])
        for service in waiting:
            service.start()
        self._together([partial(self._await, self.services[name]) for name in names])

    def up(self) -> None:
        """Check, start whatever does not run, and return when everything is ready."""
        self.check()
        self.start_servers()
        self.start_services()

    def stop_services(self) -> None:
        """Let all services drain and end; the gateway first, so that no request finds a closed door behind it."""
        self.services["gateway"].stop()
        self._together([service.stop for service in self.services.values()])

    def down(self) -> None:
        """Stop everything that this stack started."""
        if any(process.pid for process in self.processes):
            self.stop_services()
            self.say("services", "stopped")
            self._together([self.kafka.stop] * self.own_kafka + [self.postgres.stop] * self.own_postgres)
            self.say("servers", "stopped")
        else:
            self.say("stack", "nothing runs")

    def remove(self) -> None:
        """Stop everything and delete data, logs and keys; what was downloaded stays."""
        self.down()
        self.postgres.remove()
        for folder in (self.settings.data, self.settings.logs, self.settings.keys, self.settings.pids):
            shutil.rmtree(folder, ignore_errors=True)

    def log_files(self, service: str | None = None) -> list[Path]:
        """Return the log files, of one process if it is named."""
        names = [process.name for process in self.processes]
        if service is not None and service not in names:
            raise StackError(f"SERVICE={service} is none of {', '.join(names)}")
        files = [process.log_file for process in self.processes if service in (None, process.name)]
        return [file for file in files if file.exists()]

    def _set_up(self, services: Sequence[ServiceProcess]) -> None:
        """Run `setup` of the services, except where this very code has done it on these very servers."""
        if not services:
            return
        # The note lies beside the data that it speaks of: both go together.
        note = self.settings.data / "setup.json"
        done: dict[str, str] = {}
        if self.own_postgres and self.own_kafka and not self.settings.dsns and note.exists():
            done = json.loads(note.read_text())
        prints = {service.name: service.fingerprint() for service in services}
        self._together(
            [service.setup for service in services if done.get(service.name) != prints[service.name]]
        )
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(json.dumps(done | prints))
        again = "" if all(done.get(name) == value for name, value in prints.items()) else "now "
        self.say("setup", f"databases and topics are {again}up to date")

    def _start_postgres(self) -> None:
        before = self.postgres.running
        self.postgres.start()
        self.postgres.ensure_databases([name for name in DATABASES if name not in self.settings.dsns])
        if self.postgres.notice:
            self.say("postgres", self.postgres.notice)
        self.say("postgres", f"{'runs already' if before else 'ready'} on port {self.postgres.port}")

    def _start_kafka(self) -> None:
        before = self.kafka.running
        self.kafka.start(lambda text: self.say("kafka", text))
        version = self.kafka.distribution.version
        self.say("kafka", f"{version} {'runs already' if before else 'ready'} on port {self.kafka.port}")

    def _await(self, service: ServiceProcess) -> None:
        service.wait_ready()
        self.say(service.name, "ready")

    @staticmethod
    def _together(works: Sequence[Callable[[], None]]) -> None:
        """Run all works in threads; wait for all, then raise the first fault."""
        if not works:
            return
        with ThreadPoolExecutor(len(works)) as pool:
            futures = [pool.submit(work) for work in works]
        for future in futures:
            future.result()
