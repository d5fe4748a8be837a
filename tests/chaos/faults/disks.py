"""Full disks under PostgreSQL and under Kafka: each has a small file system of its own, filled and freed again.

The file system is an image on a loop device, which only root may mount; elsewhere the fault is reported as skipped.
"""

import asyncio
import contextlib
import errno
import os
import random
import shutil
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from deploy.local.postgres import Postgres
from tests.chaos import tasks
from tests.chaos.cluster import Cluster
from tests.chaos.fault import BaseFault, Fault

TOOLS = ("mount", "umount", "mkfs.ext4", "losetup")
SIZE_BYTES = 4 * 1024**3
"""Sparse: takes what is written. Room for a long run; what is left is the ballast's."""

STEPS_BYTES = (64 * 1024**2, 1024**2, 64 * 1024, 4 * 1024)
REFILL_S = 0.3


class FullDisk(BaseFault):
    """Not a byte is left for some seconds: the server refuses, or ends and cannot start, until room is made."""

    duration_s = (3.0, 7.0)

    def __init__(self, server: str, *, starts_when_full: bool) -> None:
        """`starts_when_full`: whether it may try to start on the full disk again and again, as a supervisor lets it.

        PostgreSQL refuses until there is room. Kafka rebuilds its mapped indexes on the way up: without room that
        faults in the middle and leaves partitions truncated to nothing (docs/reliability.md), so it stays down.
        """
        self.server = server
        self.name = f"disk.{server}-full"
        self._starts_when_full = starts_when_full

    def available(self) -> str | None:
        """Needs root and a loop device."""
        if os.geteuid() != 0:
            return "only root may mount a small file system"
        if missing := [tool for tool in TOOLS if shutil.which(tool, path=_PATH) is None]:
            return f"{', '.join(missing)} not installed"
        done = subprocess.run(["losetup", "--find"], env={"PATH": _PATH}, capture_output=True, check=False)
        return None if done.returncode == 0 else "there is no free loop device"

    def targets(self, cluster: Cluster) -> Sequence[str]:
        """There is one."""
        return [self.server]

    def prepare(self, cluster: Cluster) -> None:
        """Mounts an empty file system where the server will put its data."""
        image, place = cluster.folder / f"{self.server}.img", self._place(cluster)
        image.parent.mkdir(parents=True, exist_ok=True)
        place.mkdir(parents=True, exist_ok=True)
        with image.open("wb") as file:
            file.truncate(SIZE_BYTES)
        _run("mkfs.ext4", "-q", "-m", "0", "-E", "lazy_itable_init=1", str(image))
        _run("mount", "-o", "loop", str(image), str(place))
        cluster.on_removed(lambda: _unmount(place, image))

    @asynccontextmanager
    async def inject(self, cluster: Cluster, target: str, rng: random.Random) -> AsyncIterator[None]:
        """Fills it, keeps it full, frees it."""
        place, member = self._place(cluster), cluster.processes[target]
        ballast = place / "ballast"
        with member.excused():
            member.wanted = self._starts_when_full
            filling = asyncio.create_task(_keep_full(ballast))
            try:
                yield
            finally:
                await tasks.end([filling])
                ballast.unlink(missing_ok=True)
                member.wanted = True
                # One that could not start with a full disk gets another chance before it is blamed.
                await member.wait_ready()

    def _place(self, cluster: Cluster) -> Path:
        if self.server == "kafka":
            return cluster.kafka_folder
        # The folder that the server takes when there is one, whoever may enter the cluster's own.
        return Postgres(cluster.postgres_folder, 1).fallback_folder


async def _keep_full(ballast: Path) -> None:
    """Takes what is free, and again what becomes free: a log that is removed, a file that shrinks."""
    with ballast.open("wb") as file:
        size_bytes = 0
        while True:
            size_bytes = await asyncio.to_thread(_fill, file.fileno(), size_bytes)
            await asyncio.sleep(REFILL_S)


def _fill(descriptor: int, size_bytes: int) -> int:
    """Extends the file until there is no room for 4 KiB; its size afterwards."""
    for step_bytes in STEPS_BYTES:
        with contextlib.suppress(_NoRoom):
            while True:
                try:
                    os.posix_fallocate(descriptor, size_bytes, step_bytes)
                except OSError as error:
                    if error.errno not in (errno.ENOSPC, errno.EFBIG):
                        raise
                    raise _NoRoom from None
                size_bytes += step_bytes
    return size_bytes


class _NoRoom(Exception):
    """Not for a step of this size."""


def _unmount(place: Path, image: Path) -> None:
    _run("umount", "--lazy", str(place))
    image.unlink(missing_ok=True)


def _run(*command: str) -> None:
    done = subprocess.run(command, env={"PATH": _PATH}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")


_PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))

FAULTS: Sequence[Fault] = (
    FullDisk("postgres", starts_when_full=True),
    FullDisk("kafka", starts_when_full=False),
)
