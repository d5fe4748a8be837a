"""The two ways back that docs/backup.md tells, on a real system: nothing is lost, or everything goes back together."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deploy.local.postgres import Postgres, installed_binaries
from deploy.local.settings import DATABASES
from tests import servers
from tests.chaos.system import System
from tests.traffic import Traffic

pytestmark = [
    pytest.mark.stack,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(not os.environ.get("TEST_BACKUP"), reason="run by `make test-backup`"),
]

SLOT = "backup"
SEGMENT_NAME_CHARS = 24


@pytest.fixture
def system(session_folder: Path) -> Iterator[System]:
    """A stack of the test's own, up."""
    stack = servers.whole_stack(session_folder / "backup")
    try:
        stack.up()
        yield System(stack)
    finally:
        stack.remove()


def tool(name: str) -> str:
    """A program of the server's own release."""
    return str(installed_binaries()[0] / name)


def run(name: str, *arguments: str | Path) -> None:
    """Runs one of PostgreSQL's programs to its end."""
    done = subprocess.run(
        [tool(name), *map(str, arguments)], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr


@contextmanager
def receiving(postgres: Postgres, wal: Path) -> Iterator[None]:
    """Every commit is acknowledged only when its log is on the disk of this receiver, too."""
    wal.mkdir()
    dsn = postgres.dsn("postgres")
    with (wal.parent / "receivewal.log").open("wb") as log:
        receiver = subprocess.Popen(
            [tool("pg_receivewal"), "-d", dsn, "-D", str(wal), "--slot", SLOT, "--synchronous"],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        postgres.execute(
            ["ALTER SYSTEM SET synchronous_standby_names = 'pg_receivewal'", "SELECT pg_reload_conf()"]
        )
        yield
    finally:
        receiver.terminate()
        receiver.wait(30)


def lay_down(postgres: Postgres, base: Path, wal: Path) -> None:
    """Puts a base backup in the place of the data, with the log that it is to be brought forward by."""
    data, log = postgres.folder / "data", postgres.folder / "restored-wal"
    shutil.rmtree(data)
    shutil.copytree(base, data)
    log.mkdir()
    for segment in wal.iterdir():
        # What the receiver was writing when the server died, is the end of the log.
        shutil.copy(segment, log / segment.name.removesuffix(".partial")[:SEGMENT_NAME_CHARS])
    with (data / "postgresql.auto.conf").open("a") as settings:
        settings.write(
            f'restore_command = \'cp "{log}/%f" "%p"\'\n'
            "hot_standby = off\n"
            # The receiver went with the server that it belonged to: a new one comes with the next base backup.
            "synchronous_standby_names = ''\n"
        )
    (data / "recovery.signal").touch()
    owner = postgres.folder.stat()
    for path in (data, log, *data.rglob("*"), *log.rglob("*")):
        os.chown(path, owner.st_uid, owner.st_gid)
    data.chmod(0o700)


def audit(system: System, tmp_path: Path, *histories: Path) -> None:
    """Every invariant holds, and every order of these histories that was acknowledged is there."""
    log = tmp_path / "audit.log"
    for history in histories:
        assert system.audit(history, log) == 0, log.read_text()[-6000:]


def test_a_base_backup_and_its_log_bring_back_every_acknowledged_order(
    system: System, tmp_path: Path
) -> None:
    postgres = system.stack.postgres
    base, wal = tmp_path / "base", tmp_path / "wal"
    postgres.execute([f"SELECT pg_create_physical_replication_slot('{SLOT}', true)"])
    with receiving(postgres, wal), Traffic(system, tmp_path, name="base") as traffic:
        traffic.flow()
        run("pg_basebackup", "-d", postgres.dsn("postgres"), "-D", base, "--checkpoint=fast", "-X", "none")
        traffic.flow(200)
        postgres.kill()
        lay_down(postgres, base, wal)
        postgres.start()
        traffic.flow()
    audit(system, tmp_path, *traffic.histories)


def test_databases_and_topics_of_one_moment_are_whole_and_databases_alone_are_not(
    system: System, tmp_path: Path
) -> None:
    stack = system.stack
    with Traffic(system, tmp_path, name="before") as before:
        before.flow()
    # Quiet: no door is open, all that was decided is in Kafka and has been read.
    stack.services["gateway"].stop()
    audit(system, tmp_path, *before.histories)
    stack.stop_services()
    stored = before.placed()
    dumps = {name: tmp_path / f"{name}.dump" for name in DATABASES}
    for name, dump in dumps.items():
        run("pg_dump", "-d", stack.dsns[name], "--format=custom", "--file", dump)
    stack.kafka.stop()
    topics = stack.settings.data / "kafka"
    shutil.copytree(topics, tmp_path / "kafka")
    stack.start_servers()
    stack.start_services()
    with Traffic(system, tmp_path, name="after") as after:
        after.flow()
    stack.down()

    postgres = stack.postgres
    postgres.start()
    postgres.execute([f"DROP DATABASE {name}" for name in DATABASES])
    postgres.ensure_databases()
    for name, dump in dumps.items():
        run("pg_restore", "-d", postgres.dsn(name), "--exit-on-error", "--no-owner", dump)

    # The topics tell of orders that the databases do not know: the audit says so, before any service acts on it.
    stack.kafka.start()
    log = tmp_path / "alone.log"
    assert system.start("deploy.audit", "--settle", "0", log_file=log).wait(300) == 1
    assert "is not in the database" in log.read_text()
    stack.kafka.stop()

    shutil.rmtree(topics)
    shutil.copytree(tmp_path / "kafka", topics)
    stack.start_servers()
    stack.start_services()
    assert before.placed() == stored
    audit(system, tmp_path, *before.histories)
    with Traffic(system, tmp_path, name="again") as again:
        again.flow()
    audit(system, tmp_path, *again.histories)
