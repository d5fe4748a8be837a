"""The services as background processes."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from deploy.local.processes import BackgroundProcess, plain
from deploy.local.settings import ROOT, SERVICES, StackError

READY_TIMEOUT_S = 60.0
SETUP_TIMEOUT_S = 120.0

VARIABLE_PREFIXES = (
    *(f"{service.upper()}_" for service in SERVICES),
    *("KAFKA_", "LOG_", "TRACE_", "CRASH_", "GRPC_", "OUTBOX_", "CONSUMER_", "SECRETS_", "TLS_", "OTEL_"),
)


def http_status(url: str, *, timeout_s: float = 2.0) -> int:
    """Return the status of a GET, 0 when nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=timeout_s) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except (OSError, ValueError):
        return 0


class ServiceProcess:
    """One service, started as `python -m services.<name>` with exactly the variables given."""

    def __init__(
        self,
        name: str,
        environment: Mapping[str, str],
        *,
        admin_url: str,
        pid_file: Path,
        log_file: Path,
        process_name: str = "",
        root: Path = ROOT,
    ) -> None:
        """`root` is the tree whose code runs: another one is another release."""
        self.name = name
        self.environment = dict(environment)
        if root != ROOT:
            self.environment["PYTHONPATH"] = os.pathsep.join((str(root), str(root / "gen")))
        self.root = root
        self.admin_url = admin_url
        self.process = BackgroundProcess(process_name or name, pid_file=pid_file, log_file=log_file)

    @property
    def running(self) -> bool:
        return self.process.pid is not None

    @property
    def ready(self) -> bool:
        return http_status(f"{self.admin_url}/readyz") == 200

    @property
    def stale(self) -> bool:
        """Whether the running process was started from other code or with other variables than it would be now."""
        return self.running and self.process.fingerprint != self.fingerprint()

    @property
    def command(self) -> list[str]:
        """The command line that serves."""
        return [sys.executable, "-m", f"services.{self.name}"]

    def fingerprint(self) -> str:
        """Hash what decides the service's behaviour: its code, the chassis, the stubs, the lock and its variables."""
        digest = hashlib.sha256()
        sources = [self.root / "requirements.txt", self.root / "gen" / "contracts.sha256"]
        for folder in ("chassis", self.name):
            sources += sorted((self.root / "services" / folder).rglob("*"))
        for source in sources:
            if source.is_file() and "__pycache__" not in source.parts:
                digest.update(f"{source.relative_to(self.root)}\0".encode() + source.read_bytes())
        for name, value in sorted(self.environment.items()):
            if name.startswith(VARIABLE_PREFIXES):
                digest.update(f"{name}={value}\0".encode())
        return digest.hexdigest()

    def setup(self) -> None:
        """Migrate the service's database and create its topics; raise StackError when that fails."""
        self.process.log_file.parent.mkdir(parents=True, exist_ok=True)
        with self.process.log_file.open("ab") as log:
            start = log.tell()
            try:
                done = subprocess.run(
                    [sys.executable, "-m", f"services.{self.name}", "setup"],
                    cwd=self.root,
                    env=self.environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    timeout=SETUP_TIMEOUT_S,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                raise StackError(
                    f"{self.name} setup takes more than {SETUP_TIMEOUT_S:.0f} s (log: {self.process.log_file})"
                ) from None
        if done.returncode:
            with self.process.log_file.open("rb") as written:
                written.seek(start)
                lines = written.read().decode(errors="replace").strip().splitlines()
            raise StackError(
                f"{self.name} setup failed: {' | '.join(map(plain, lines[-3:]))} (log: {self.process.log_file})"
            )

    def start(self) -> None:
        """Start the service; it is not ready yet."""
        self.process.start(
            self.command, environment=self.environment, folder=self.root, fingerprint=self.fingerprint()
        )

    def wait_ready(self, *, timeout_s: float = READY_TIMEOUT_S) -> None:
        """Wait until the service says that it is ready; raise StackError with its last words otherwise."""
        self.process.wait_until(lambda: self.ready, timeout_s=timeout_s)

    def stop(self, *, grace_s: float = 30.0) -> None:
        """Ask the service to drain and end."""
        self.process.stop(grace_s=grace_s)

    def kill(self) -> None:
        """End the service at once, in the middle of whatever it does."""
        self.process.kill()

    def metrics(self) -> str:
        """Return the text of its /metrics."""
        with urllib.request.urlopen(f"{self.admin_url}/metrics", timeout=10) as answer:
            return str(answer.read().decode())
