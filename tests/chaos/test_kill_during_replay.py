"""A process dies by kill -9 in the middle of a replay and comes back: same totals, every check holds."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from deploy.local.settings import SERVICES
from tests.chaos.system import ORDERS_PER_RUN, System

KILL_AFTER_ORDERS = ORDERS_PER_RUN // 5
DOWN_S = 1.0
PLACING_S_MAX = 120.0
REPLAY_S_MAX = 400
POLL_S = 0.05

pytestmark = [pytest.mark.chaos, pytest.mark.stack, pytest.mark.timeout(900)]


def kill_and_restart(system: System, victim: str) -> None:
    """Kill a service or a server, leave it dead for a moment, start it again and wait until it serves."""
    stack = system.stack
    if victim == "postgres":
        stack.postgres.kill()
        time.sleep(DOWN_S)
        stack.postgres.start()
    elif victim == "kafka":
        stack.kafka.kill()
        time.sleep(DOWN_S)
        stack.kafka.start()
    else:
        service = stack.services[victim]
        service.kill()
        time.sleep(DOWN_S)
        service.start()
        service.wait_ready()


@pytest.mark.parametrize("victim", [*SERVICES, "kafka", "postgres"])
def test_a_killed_process_loses_and_invents_nothing(
    system: System, sales_file: Path, tmp_path: Path, victim: str
) -> None:
    run = f"kill-{victim}"
    report_file, history = tmp_path / "report.json", tmp_path / "history.jsonl"
    replay_log, audit_log = tmp_path / "replay.log", tmp_path / "audit.log"
    before = system.fetch("orders", "SELECT count(*) FROM orders")
    replay = system.start(
        "deploy.replay",
        sales_file,
        *("--run", run, "--json", report_file, "--history", history, "--concurrency", "32", "--no-audit"),
        log_file=replay_log,
    )
    placed = before
    try:
        deadline = time.monotonic() + PLACING_S_MAX
        while placed < before + KILL_AFTER_ORDERS:
            assert replay.poll() is None, replay_log.read_text()[-4000:]
            assert time.monotonic() < deadline, (
                f"only {placed - before} orders were placed in {PLACING_S_MAX} s"
            )
            time.sleep(POLL_S)
            placed = system.fetch("orders", "SELECT count(*) FROM orders")
        kill_and_restart(system, victim)
        assert replay.wait(REPLAY_S_MAX) == 0, replay_log.read_text()[-4000:]
    finally:
        replay.kill()
    assert placed < before + ORDERS_PER_RUN, "the kill came after the last order: it proved nothing"
    report = json.loads(report_file.read_text())
    assert report["holds"] is True, json.dumps(report, indent=1)
    assert system.fetch("orders", "SELECT count(*) FROM orders") == before + ORDERS_PER_RUN
    assert system.audit(history, audit_log) == 0, audit_log.read_text()[-6000:]
