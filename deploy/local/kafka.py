"""A real Apache Kafka broker: one KRaft node on loopback, its jars fetched once by Maven."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import socket
import struct
import subprocess
import tempfile
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from deploy.local.java import VERSION_MIN, find_java, find_maven, version_of
from deploy.local.processes import BackgroundProcess
from deploy.local.settings import LOOPBACK, StackError, free_ports

HERE = Path(__file__).parent
POM = HERE / "pom.xml"
START_TIMEOUT_S = 90.0
HEAP_MIB_MAX = 768

JVM_OPTIONS = (
    f"-Xmx{HEAP_MIB_MAX}m",
    "-Xms256m",
    # The serial collector is the lightest one for a small heap on few cores.
    "-XX:+UseSerialGC",
    # The optimising compiler takes a core for the first minutes, which a local broker seldom outlives: decision 31.
    "-XX:TieredStopAtLevel=1",
    "-XX:+ExitOnOutOfMemoryError",
    "-Xshare:auto",
    "-Xlog:disable",
    "-Xlog:all=error:stderr",
    "-Djava.awt.headless=true",
    f"-Dlog4j2.configurationFile={HERE / 'log4j2.properties'}",
)

CONFIGURATION = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller_port}
listeners=BROKER://{host}:{port},CONTROLLER://{host}:{controller_port}{listeners}
advertised.listeners=BROKER://{host}:{port}{advertised}
listener.security.protocol.map=BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT{protocols}
inter.broker.listener.name=BROKER
controller.listener.names=CONTROLLER
log.dirs={data}
metadata.log.dir={metadata}
auto.create.topics.enable=false
num.partitions=4
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
# A killed broker may come back only when its old session has expired.
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
# There is one consumer of each group: nobody else need be awaited.
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
# Compacted topics are read whole at a start; keep them short.
log.cleaner.dedupe.buffer.size=33554432
log.segment.bytes=134217728
"""


@dataclass(frozen=True, slots=True)
class Listener:
    """A further door of the broker: whoever comes through it is sent back to `advertised_port` afterwards."""

    name: str
    """Capitals and digits."""
    port: int
    advertised_port: int
    """What stands before `port`, as a proxy does."""
    protocol: str = "PLAINTEXT"
    """Kafka's security protocol; what it needs besides is among the broker's `properties`."""


class Distribution:
    """The jars of one Kafka version, and a class archive that halves the broker's start."""

    def __init__(self, downloads: Path, *, home: Path | None = None) -> None:
        self._downloads = downloads
        self._home = home

    @cached_property
    def version(self) -> str:
        if self._home is not None:
            found = [re.fullmatch(r"kafka_2\.\d+-(\d[\w.]*)\.jar", path.name) for path in self.jars()]
            return next((match[1] for match in found if match), "unknown")
        version = re.search(r"<kafka\.version>([\w.]+)<", POM.read_text())
        if version is None:
            raise StackError(f"{POM} names no kafka.version")
        return version[1]

    @property
    def folder(self) -> Path:
        return self._downloads / f"kafka-{self.version}"

    @property
    def libraries(self) -> Path:
        return self._home / "libs" if self._home is not None else self.folder / "libs"

    @property
    def archive(self) -> Path:
        """The class archive of this Kafka for this Java."""
        return self.folder / f"classes-java{version_of(self.java)}.jsa"

    @cached_property
    def java(self) -> Path:
        found = find_java()
        if found is None:
            raise StackError(f"Kafka needs a JDK {VERSION_MIN} or newer: install one, or set JAVA_HOME")
        return found

    def jars(self) -> list[Path]:
        """Return the jars in a fixed order: a class archive holds for one order only."""
        return sorted(self.libraries.glob("*.jar"))

    @property
    def complete(self) -> bool:
        return (self.libraries / ".complete").exists() if self._home is None else bool(self.jars())

    def ensure(self, say: Callable[[str], None]) -> None:
        """Fetch what is missing, telling the progress by `say`; safe when several do it at once."""
        if self._home is not None and not self.jars():
            raise StackError(
                f"KAFKA_HOME={self._home} holds no libs/*.jar: name the folder of an unpacked Kafka"
            )
        if self.complete and self.archive.exists():
            return
        with self._lock():
            if not self.complete:
                self._fetch(say)
            if not self.archive.exists():
                say("preparing Kafka for quick starts, once")
                self._make_archive()

    def command(self, *arguments: str | Path, options: tuple[str, ...] = ()) -> list[str]:
        """Return the command line that runs a class of this Kafka."""
        shared = () if options or not self.archive.exists() else (f"-XX:SharedArchiveFile={self.archive}",)
        path = os.pathsep.join(map(str, self.jars()))
        return [str(self.java), *JVM_OPTIONS, *shared, *options, "-cp", path, *map(str, arguments)]

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / ".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _fetch(self, say: Callable[[str], None]) -> None:
        maven = find_maven()
        if maven is None:
            raise StackError(
                "Maven is missing: install it (Debian: apt-get install maven), or set KAFKA_HOME or KAFKA_BOOTSTRAP"
            )
        say(f"fetching Apache Kafka {self.version} by Maven, once")
        target = self.folder / "libs.new"
        shutil.rmtree(target, ignore_errors=True)
        command = [
            *(maven, "--batch-mode", "-f", POM, "dependency:copy-dependencies"),
            *("-DincludeScope=runtime", f"-DoutputDirectory={target}", "-Dstyle.color=never"),
        ]
        environment = {**os.environ, "JAVA_HOME": str(self.java.resolve().parents[1])}
        output: list[str] = []
        fetched = 0
        with subprocess.Popen(
            list(map(str, command)),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                output.append(line.strip())
                if "Downloaded from" in line and ".jar" in line:
                    fetched += 1
                    name = line.split(" (")[0].rpartition("/")[2].strip()
                    if fetched % 10 == 0:
                        say(f"fetching Apache Kafka: {fetched} jars, {name}")
        if process.returncode:
            errors = [line for line in output if line.startswith("[ERROR]")] or output[-3:]
            raise StackError(f"Maven cannot fetch Kafka: {' '.join(errors[:2])}")
        (target / ".complete").touch()
        shutil.rmtree(self.folder / "libs", ignore_errors=True)
        target.rename(self.folder / "libs")

    def _make_archive(self) -> None:
        """Run a broker once and keep the classes it has loaded. A fault here only costs start time."""
        with tempfile.TemporaryDirectory(dir=self.folder, prefix="warm-up-") as name:
            folder = Path(name)
            port, controller_port = free_ports(2)
            new = folder / "classes.jsa"
            broker = Kafka(folder / "kafka", port, controller_port, distribution=self)
            broker.options = (f"-XX:ArchiveClassesAtExit={new}",)
            broker.start(lambda _: None)
            broker.process.stop(grace_s=30)
            if new.exists():
                new.rename(self.archive)
            else:
                self.archive.touch()  # this Java cannot; do not try at every start


class Kafka:
    """One KRaft node with its data in `folder`, listening on a loopback port.

    What it knows of its topics is in `metadata_folder`, which may be on another disk: a node that starts while that
    disk is full was seen to begin anew, without any topic.
    """

    def __init__(
        self,
        folder: Path,
        port: int,
        controller_port: int,
        *,
        distribution: Distribution,
        log_file: Path | None = None,
        pid_file: Path | None = None,
        listeners: Sequence[Listener] = (),
        metadata_folder: Path | None = None,
        properties: Mapping[str, object] | None = None,
        users: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder.absolute()
        self._metadata_folder = (metadata_folder or folder / "metadata").absolute()
        self.listeners = tuple(listeners)
        self.properties = dict(properties or {})
        # Passwords by name, for listeners with SCRAM-SHA-512; made with the storage.
        self._users = dict(users or {})
        self.port = port
        self.controller_port = controller_port
        self.distribution = distribution
        self.options: tuple[str, ...] = ()
        self.process = BackgroundProcess(
            "kafka",
            pid_file=pid_file or self.folder.parent / f"{self.folder.name}.pid",
            log_file=log_file or self.folder.parent / f"{self.folder.name}.log",
        )

    @property
    def bootstrap(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    @property
    def running(self) -> bool:
        return self.process.pid is not None

    def start(self, say: Callable[[str], None] = lambda _: None) -> None:
        """Fetch the jars and format the storage where needed, start the broker and wait until it serves."""
        if not self.running:
            if not self.options:
                self.distribution.ensure(say)
            self._configure()
            # An archive of the wrong length is refused by the JVM without a word; it then starts a second later.
            self.process.start(
                self.distribution.command("kafka.Kafka", self._configuration_file, options=self.options),
                folder=self.folder,
            )
        self.process.wait_until(lambda: serves(self.bootstrap), timeout_s=START_TIMEOUT_S)

    def stop(self) -> None:
        """Shut down in order: logs are flushed, so that the next start need not recover."""
        self.process.stop(grace_s=30)

    def kill(self) -> None:
        """Kill the broker at once."""
        self.process.kill()

    def remove(self) -> None:
        """Stop the broker and delete its data and log."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.rmtree(self._metadata_folder, ignore_errors=True)
        self.process.log_file.unlink(missing_ok=True)

    @property
    def _configuration_file(self) -> Path:
        return self.folder / "server.properties"

    def _configure(self) -> None:
        data = self.folder / "data"
        self.folder.mkdir(parents=True, exist_ok=True)
        self._configuration_file.write_text(
            CONFIGURATION.format(
                host=LOOPBACK,
                port=self.port,
                controller_port=self.controller_port,
                data=data,
                # Earlier releases kept it beside the data.
                metadata=data if (data / "__cluster_metadata-0").exists() else self._metadata_folder,
                listeners="".join(f",{one.name}://{LOOPBACK}:{one.port}" for one in self.listeners),
                advertised="".join(
                    f",{one.name}://{LOOPBACK}:{one.advertised_port}" for one in self.listeners
                ),
                protocols="".join(f",{one.name}:{one.protocol}" for one in self.listeners),
            )
            + "".join(f"{name}={value}\n" for name, value in self.properties.items())
        )
        if (data / "meta.properties").exists():
            return
        cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        command = self.distribution.command(
            *("kafka.tools.StorageTool", "format", f"--cluster-id={cluster}", "-c", self._configuration_file),
            *(
                f"--add-scram=SCRAM-SHA-512=[name={name},password={word}]"
                for name, word in self._users.items()
            ),
        )
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            words = " | ".join((done.stdout + done.stderr).strip().splitlines()[-3:])
            raise StackError(f"Kafka's storage cannot be formatted in {data}: {words}")


def serves(bootstrap: str, *, timeout_s: float = 2.0) -> bool:
    """Ask the first address of `bootstrap` for the cluster's live brokers; tell whether there is one."""
    host, _, port = bootstrap.split(",", maxsplit=1)[0].strip().rpartition(":")
    client = b"sampan-local"
    # Metadata request, version 4: api key, version, correlation id, client id, no topics, no auto-creation.
    body = struct.pack(">hhih", 3, 4, 1, len(client)) + client + struct.pack(">i?", 0, False)
    try:
        with socket.create_connection((host, int(port)), timeout=timeout_s) as connection:
            connection.sendall(struct.pack(">i", len(body)) + body)
            with connection.makefile("rb") as answer:
                header = answer.read(16)
    except (OSError, ValueError):
        return False
    # size, correlation id, throttle time, number of brokers
    return len(header) == 16 and struct.unpack(">iiii", header)[3] > 0
