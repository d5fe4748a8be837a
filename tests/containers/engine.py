"""A real Docker Engine with Compose: the one that runs, or one of the test's own that leaves nothing behind."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

COMPOSE_VERSION_MIN = (2, 24)
START_S_MAX = 60.0
STOP_S_MAX = 60.0
COMMAND_S_MAX = 1200.0
DEBIAN_URI = "http://deb.debian.org/debian"
OURS = re.compile(r"\bDOCKER|\bdocker0\b|\bbr-[0-9a-f]{12}\b")
"""What names Docker's chains, its bridge or those of its networks in a rule of iptables."""


class EngineError(Exception):
    """Why there is no engine; its text is one clear line saying what to do."""


class Engine:
    """Runs docker's commands against one engine; `own` tells whether the test has started it."""

    def __init__(self, environment: Mapping[str, str], *, own: bool) -> None:
        self.environment = {**os.environ, "DOCKER_BUILDKIT": "1", **environment}
        self.own = own

    def try_run(self, *arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run `docker ...` and return what came of it."""
        return subprocess.run(
            ["docker", *map(str, arguments)],
            cwd=cwd,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_S_MAX,
        )

    def run(self, *arguments: str | Path, cwd: Path | None = None) -> str:
        """Run `docker ...` and return its output; an AssertionError shows the end of what it said otherwise."""
        done = self.try_run(*arguments, cwd=cwd)
        assert done.returncode == 0, (
            f"docker {shlex.join(map(str, arguments))}: exit {done.returncode}\n{(done.stdout + done.stderr)[-4000:]}"
        )
        return done.stdout

    def inspect(self, name: str) -> dict[str, Any]:
        """What the engine knows of an image or a container."""
        found: dict[str, Any] = json.loads(self.run("inspect", name))[0]
        return found


def running_engine() -> Engine | None:
    """The engine that docker's command reaches as it is, if it has Compose."""
    if shutil.which("docker") is None:
        return None
    engine = Engine({}, own=False)
    if engine.try_run("info").returncode:
        return None
    version = re.search(r"(\d+)\.(\d+)", engine.try_run("compose", "version", "--short").stdout)
    return engine if version and (int(version[1]), int(version[2])) >= COMPOSE_VERSION_MIN else None


class OwnEngine:
    """A dockerd with data, socket and plugins in a folder of its own; for root on Debian."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._before: dict[str, str] = {}

    def start(self) -> Engine:
        """Install what is missing, start the daemon and wait until it answers."""
        if os.geteuid() != 0 or shutil.which("apt-get") is None:
            raise EngineError("no Docker Engine with Compose 2.24 runs here; start one, or be root on Debian")
        if shutil.which("dockerd") is None or shutil.which("iptables") is None:
            install("docker.io", "iptables", "iproute2")
        if shutil.which("docker") is None:
            install("docker-cli")
        plugins = self._folder / "config" / "cli-plugins"
        plugins.mkdir(parents=True, exist_ok=True)
        fetch_plugins(plugins, self._folder / "apt")
        self._before = {
            "forward": Path("/proc/sys/net/ipv4/ip_forward").read_text(),
            "policy": _forward_policy(),
        }
        socket = self._folder / "docker.sock"
        command = [
            *("dockerd", "--data-root", self._folder / "data", "--exec-root", self._folder / "exec"),
            *("--pidfile", self._folder / "docker.pid", "--host", f"unix://{socket}"),
        ]
        with (self._folder / "dockerd.log").open("wb") as log:
            self._process = subprocess.Popen(
                list(map(str, command)), stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
        engine = Engine(
            {"DOCKER_HOST": f"unix://{socket}", "DOCKER_CONFIG": str(self._folder / "config")}, own=True
        )
        until = time.monotonic() + START_S_MAX
        while engine.try_run("info").returncode:
            if self._process.poll() is not None or time.monotonic() > until:
                said = (self._folder / "dockerd.log").read_text(errors="replace").splitlines()[-5:]
                raise EngineError(f"dockerd does not come up: {' | '.join(said)}")
            time.sleep(0.2)
        return engine

    def stop(self) -> None:
        """Stop the daemon; take away its data, its rules and its bridge."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None
        _remove_rules()
        _quietly("ip", "link", "delete", "docker0")
        _quietly("iptables", "-P", "FORWARD", self._before["policy"])
        Path("/proc/sys/net/ipv4/ip_forward").write_text(self._before["forward"])
        for mount in _mounts_below(self._folder):
            _quietly("umount", "--lazy", mount)
        shutil.rmtree(self._folder, ignore_errors=True)


def install(*packages: str) -> None:
    """Install Debian packages; they start nothing where services cannot be started."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update"], ["install", "--yes", "--no-install-recommends", *packages]):
        done = subprocess.run(
            ["apt-get", "-qq", *arguments], env=environment, capture_output=True, text=True, check=False
        )
        # One source that cannot be reached need not be the one that has them.
        if done.returncode and "install" in arguments:
            raise EngineError(f"apt-get cannot install {' '.join(packages)}: {done.stderr.strip()[-300:]}")


def fetch_plugins(plugins: Path, scratch: Path) -> None:
    """Put docker's compose and buildx plugins into a folder: Debian 12 has neither, Debian 13's run on it too."""
    scratch.mkdir(parents=True, exist_ok=True)
    (scratch / "lists" / "partial").mkdir(parents=True, exist_ok=True)
    (scratch / "cache" / "archives" / "partial").mkdir(parents=True, exist_ok=True)
    source = scratch / "trixie.list"
    keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"
    source.write_text(f"deb [signed-by={keyring}] {_debian_uri()} trixie main\n")
    options = [
        *("-o", f"Dir::Etc::sourcelist={source}", "-o", "Dir::Etc::sourceparts=-"),
        *("-o", f"Dir::State::lists={scratch / 'lists'}", "-o", f"Dir::Cache={scratch / 'cache'}"),
        *("-o", "APT::Sandbox::User=root"),
    ]
    for arguments in (["update"], ["download", "docker-compose", "docker-buildx"]):
        done = subprocess.run(
            ["apt-get", "-qq", *options, *arguments], cwd=scratch, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise EngineError(f"Debian 13's docker plugins cannot be fetched: {done.stderr.strip()[-300:]}")
    for package in scratch.glob("*.deb"):
        subprocess.run(["dpkg", "-x", package, scratch / "root"], check=True)
    for name in ("docker-compose", "docker-buildx"):
        found = next(
            (path for path in (scratch / "root").rglob(name) if path.parent.name == "cli-plugins"), None
        )
        if found is None:
            raise EngineError(f"Debian's {name} holds no plugin any more")
        shutil.copy2(found, plugins / name)


def _debian_uri() -> str:
    """Where this machine gets its Debian packages from."""
    for path in (Path("/etc/apt/sources.list.d/debian.sources"), Path("/etc/apt/sources.list")):
        found = (
            re.search(r"^(?:URIs:|deb(?: \[.*?\])?) *(https?://\S+/debian)/?\s", path.read_text(), re.M)
            if path.exists()
            else None
        )
        if found:
            return found[1]
    return DEBIAN_URI


def _forward_policy() -> str:
    said = subprocess.run(["iptables", "-S", "FORWARD"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"^-P FORWARD (\w+)", said, re.M)
    return found[1] if found else "ACCEPT"


def _remove_rules() -> None:
    """Delete exactly the rules and chains that are Docker's: others may have come in the meantime."""
    for table in ("filter", "nat", "raw"):
        saved = subprocess.run(
            ["iptables-save", "-t", table], capture_output=True, text=True, check=False
        ).stdout
        lines = saved.splitlines()
        for line in lines:
            if line.startswith("-A ") and OURS.search(line):
                _quietly("iptables", "-t", table, "-D", *shlex.split(line)[1:])
        for line in lines:
            if line.startswith(":DOCKER"):
                _quietly("iptables", "-t", table, "-X", line[1:].split()[0])


def _mounts_below(folder: Path) -> list[str]:
    """What is still mounted in a folder, the deepest first."""
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    return sorted((one for one in mounts if one.startswith(f"{folder}/")), key=len, reverse=True)


def _quietly(*command: str | Path) -> None:
    subprocess.run(list(map(str, command)), capture_output=True, check=False)
