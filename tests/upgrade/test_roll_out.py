"""A roll-out as operations.md tells it, from the previous release to this tree, while orders flow.

The old services run from their own tree, contracts and stubs, on the packages of this one.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy import previous_release
from deploy.local.postgres import run_blocking
from deploy.local.settings import DATABASES, SERVICES
from services.chassis import migrations, pg
from tests import servers
from tests.chaos.system import System
from tests.traffic import Traffic

pytestmark = [
    pytest.mark.stack,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(not os.environ.get("TEST_UPGRADE"), reason="run by `make test-upgrade`"),
]


@pytest.fixture(scope="module")
def old_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The previous release, unpacked."""
    named = os.environ.get("UPGRADE_FROM") or None
    commit = previous_release.commit(named)
    if commit is None:
        pytest.skip(f"the commit of {named or 'deploy/previous-release'} is not in this clone: fetch it")
    folder = tmp_path_factory.mktemp("previous") / "tree"
    previous_release.unpack(commit, folder)
    return folder


@pytest.fixture
def system(session_folder: Path, old_tree: Path) -> Iterator[System]:
    """A stack whose services are of the previous release, up; those that it did not have yet are not."""
    stack = servers.whole_stack(session_folder / "upgrade")
    old = [name for name in SERVICES if (old_tree / "services" / name).is_dir()]
    stack.services.update({name: stack.service(name, root=old_tree) for name in old})
    try:
        stack.check()
        stack.start_servers()
        stack.start_services(old)
        yield System(stack)
    finally:
        stack.remove()


def states(system: System) -> dict[str, str]:
    """How each schema stands to this tree's code."""

    async def ask(service: str) -> str:
        connection = await pg.connect(system.stack.dsns[service], name="test")
        try:
            return (await migrations.status(connection, service)).state
        finally:
            await connection.close()

    async def ask_all() -> list[str]:
        return await asyncio.gather(*map(ask, DATABASES))

    return dict(zip(DATABASES, run_blocking(ask_all()), strict=True))


def test_orders_flow_from_the_previous_release_to_this_one(system: System, tmp_path: Path) -> None:
    stack = system.stack
    with Traffic(system, tmp_path, name="roll") as traffic:
        traffic.flow()
        for name in DATABASES:
            stack.service(name).setup()
        assert "behind" not in states(system).values()
        # The release before, over the schema of this one: running on, and started anew.
        traffic.flow()
        for service in [one for one in stack.services.values() if one.running and one.name in DATABASES]:
            service.stop()
            service.start()
            service.wait_ready()
        traffic.flow()
        # The gateways come last: they may ask for what only the new services know.
        for name in sorted(SERVICES, key=lambda name: name == "gateway"):
            stack.services[name].stop()
            stack.services[name] = stack.service(name)
            stack.services[name].start()
            stack.services[name].wait_ready()
            traffic.flow()
        for name in DATABASES:
            run_blocking(migrations.upgrade(stack.dsns[name], name, post=True))
        assert set(states(system).values()) == {"current"}
        traffic.flow()
    log = tmp_path / "audit.log"
    for history in traffic.histories:
        assert system.audit(history, log) == 0, log.read_text()[-6000:]
