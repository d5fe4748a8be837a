"""An engine, the images and the stack of compose.yaml: made once, and taken away with all they leave."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from deploy.compose.prepare import prepare
from deploy.local.settings import LOOPBACK, ROOT, SERVICES, free_ports
from tests.containers import standins
from tests.containers.engine import Engine, EngineError, OwnEngine, running_engine

PREFIX, VERSION = "sampan-test", "0.0.0-test"
PROJECT = "sampan-test"

figures: list[str] = []


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say what was measured."""
    if figures:
        terminalreporter.section("containers")
        for line in figures:
            terminalreporter.write_line(line)


@contextmanager
def measured(what: str) -> Iterator[None]:
    """Note how long something took."""
    started = time.monotonic()
    yield
    figures.append(f"{what}: {time.monotonic() - started:.1f} s")


@pytest.fixture(scope="session")
def scratch() -> Iterator[Path]:
    """A folder for everything; short, since a socket's path may have 108 characters."""
    folder = Path(tempfile.mkdtemp(prefix="sampan-containers-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def engine(scratch: Path) -> Iterator[Engine]:
    """The engine that runs, with the official images; else one of our own, with images made from Debian's packages."""
    found = running_engine()
    if found is not None:
        figures.append("engine: the running one, official images")
        yield found
        return
    folder = scratch / "engine"
    folder.mkdir()
    own = OwnEngine(folder)
    try:
        with measured("Docker Engine installed and started"):
            started = own.start()
        with measured(f"base image made in place of {standins.BASE}"):
            standins.make_base(started, scratch)
        with measured(f"images made in place of {standins.POSTGRES}, {standins.KAFKA}"):
            standins.make_servers(started, scratch)
        yield started
    except EngineError as fault:
        pytest.fail(str(fault))
    finally:
        own.stop()


@dataclass(frozen=True, slots=True)
class Stack:
    """Compose with the files, the project and the images of this test."""

    engine: Engine
    url: str
    keys: dict[str, str]

    def compose(self, *arguments: str) -> str:
        """Run `docker compose ...`."""
        files = ("--file", ROOT / "compose.yaml", "--file", Path(__file__).with_name("compose.test.yaml"))
        command = ("compose", "--project-name", PROJECT, "--project-directory", ROOT, *files)
        return self.engine.run(*command, *arguments, cwd=ROOT)

    def containers(self, service: str) -> list[str]:
        """The ids of a service's containers, running or not."""
        return self.compose("ps", "--all", "--quiet", service).split()

    def state(self, container: str) -> dict[str, Any]:
        """How a container does, with its restarts."""
        found = self.engine.inspect(container)
        return {**found["State"], "RestartCount": found["RestartCount"]}

    def inside(self, container: str, code: str) -> str:
        """Run a line of Python in a container."""
        return self.engine.run("exec", container, "python3", "-c", code)


@pytest.fixture(scope="session")
def images(engine: Engine, scratch: Path) -> Iterator[dict[str, dict[str, Any]]]:
    """The images by service, as the engine describes them."""
    secrets = scratch / "secrets"
    prepare(secrets)
    ports = map(str, free_ports(3))
    engine.environment |= {
        "SAMPAN_IMAGES": PREFIX,
        "SAMPAN_VERSION": VERSION,
        "SAMPAN_SECRETS": str(secrets),
        "SAMPAN_REVISION": "0123456789abcdef0123456789abcdef01234567",
        "GATEWAY_PORT": next(ports),
        "PROMETHEUS_PORT": next(ports),
        "ALERTMANAGER_PORT": next(ports),
    }
    names = {service: f"{PREFIX}/{service}:{VERSION}" for service in SERVICES}
    stack = Stack(engine, "", {})
    try:
        with measured(f"{len(SERVICES)} images built"):
            stack.compose("build", *SERVICES)
        yield {service: engine.inspect(name) for service, name in names.items()}
    finally:
        if not engine.own:
            engine.try_run("image", "rm", "--force", *names.values())


@pytest.fixture(scope="session")
def stack(engine: Engine, images: dict[str, dict[str, Any]], scratch: Path) -> Iterator[Stack]:
    """The whole of it, started by one command."""
    url = f"http://{LOOPBACK}:{engine.environment['GATEWAY_PORT']}"
    stack = Stack(engine, url, prepare(scratch / "secrets"))
    try:
        with measured("docker compose up --wait"):
            stack.compose("up", "--detach", "--wait", "--wait-timeout", "300", "--no-build")
        yield stack
    except AssertionError:
        for line in stack.compose("logs", "--no-color", "--tail", "15").splitlines():
            figures.append(line[:300])
        raise
    finally:
        with measured("docker compose down --volumes"):
            stack.compose("--profile", "monitoring", "down", "--volumes", "--timeout", "30")
