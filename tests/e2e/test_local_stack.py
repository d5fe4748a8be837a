"""`make up`: from nothing to a delivered order, again without change, and from the ashes of a killed service."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local import report
from deploy.local.demo import Shop, demonstrate
from deploy.local.keys import ensure_keys
from deploy.local.stack import Stack
from tests import servers

pytestmark = [pytest.mark.stack, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def stack(session_folder: Path) -> Iterator[Stack]:
    """A stack of this module's own, up."""
    made = servers.whole_stack(session_folder / "stack")
    try:
        made.up()
        yield made
    finally:
        made.remove()


def shop(stack: Stack) -> Shop:
    """Return the operator's access to the public API."""
    return Shop(stack.settings.gateway_url, ensure_keys(stack.settings.keys)["operator"])


def test_the_demonstration_order_is_delivered_and_its_trace_is_in_every_log(
    stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    demonstrate(stack)
    printed = capsys.readouterr().out
    assert "delivered" in printed
    trace_id = printed.partition("trace ")[2][:32]
    for service in ("gateway", "orders", "warehouse"):
        assert trace_id in stack.services[service].process.log_text()


def test_a_second_demonstration_receives_no_stock_again(stack: Stack) -> None:
    def on_hand() -> dict[str, int]:
        page = shop(stack).get("/v1/stock", sku="TOY-PND-30", page_size=100)
        return {row["warehouse_id"]: row["on_hand"] for row in page["stock"]}

    demonstrate(stack)
    before = on_hand()
    demonstrate(stack)
    assert on_hand() == before != {}


def test_a_second_up_starts_nothing_again(stack: Stack) -> None:
    pids = {process.name: process.pid for process in stack.processes}
    stack.up()
    assert {process.name: process.pid for process in stack.processes} == pids
    assert report.print_status(stack)


def test_up_starts_what_was_killed_and_only_that(stack: Stack) -> None:
    pids = {process.name: process.pid for process in stack.processes}
    stack.services["orders"].kill()
    assert not report.print_status(stack)
    stack.up()
    changed = {process.name for process in stack.processes if process.pid != pids[process.name]}
    assert changed == {"orders"}


def test_up_restarts_a_service_whose_variables_changed(stack: Stack) -> None:
    pids = {process.name: process.pid for process in stack.processes}
    stack.services["catalog"].environment["LOG_LEVEL"] = "debug"
    stack.up()
    changed = {process.name for process in stack.processes if process.pid != pids[process.name]}
    assert changed == {"catalog"}


def test_the_keys_are_readable_by_their_owner_only(stack: Stack) -> None:
    assert {file.stat().st_mode & 0o077 for file in stack.settings.keys.iterdir()} == {0}
