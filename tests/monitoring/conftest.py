"""A stack of its own under a real Prometheus and a real Alertmanager that tell a webhook of the test.

The rules are those of deploy/prometheus/rules, read from a copy in which the alerts of the order path wait 10
seconds instead of minutes (`for:`); thresholds, expressions and windows stay as they are. Scrapes and evaluations are
a second apart, and Alertmanager groups for a second.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.local import monitoring
from deploy.local.monitoring import Monitoring
from deploy.local.settings import MONITORING_PORT_DEFAULTS, free_ports
from deploy.local.stack import Stack
from tests import servers
from tests.e2e.conftest import Shop, open_shop, variables
from tests.monitoring.receiver import Receiver

# Longer than Prometheus takes to find its first targets.
FOR_S = 10
HURRIED = ("alerts-orders.yml", "alerts-saturation.yml")


@pytest.fixture(scope="session")
def audit_file(session_folder: Path) -> Path:
    """Where an audit leaves its metrics."""
    return session_folder / "audit.prom"


@pytest.fixture(scope="session")
def receiver(audit_file: Path) -> Iterator[Receiver]:
    """Who is told of alerts."""
    made = Receiver(audit_file)
    yield made
    made.close()


@pytest.fixture(scope="session")
def watched_stack(session_folder: Path) -> Iterator[Stack]:
    """All servers and services."""
    if not os.environ.get("MONITORING_LIVE"):
        pytest.skip("takes minutes: run by `make test-monitoring`")
    missing = [name for name in monitoring.PROGRAMS if monitoring.program(name) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    folder = session_folder / "monitoring"
    folder.mkdir()
    stack = servers.whole_stack(folder, ORDERS_UNDECIDED_IGNORED="0", **variables(folder))
    try:
        stack.up()
        yield stack
    finally:
        stack.remove()


@pytest.fixture(scope="session")
def watched_shop(watched_stack: Stack) -> Iterator[Shop]:
    """Its public API."""
    with open_shop(watched_stack) as shop:
        yield shop


@pytest.fixture(scope="session")
def prometheus(watched_stack: Stack, receiver: Receiver) -> Iterator[Prometheus]:
    """Prometheus and Alertmanager over the stack, once they have seen all of it."""
    settings = watched_stack.settings
    ports = dict(zip(MONITORING_PORT_DEFAULTS, free_ports(len(MONITORING_PORT_DEFAULTS)), strict=True))
    rules = settings.data / "rules"
    rules.mkdir(parents=True)
    for path in (monitoring.PROMETHEUS_FILES / "rules").glob("*.yml"):
        text = path.read_text("utf-8")
        if path.name in HURRIED:
            text = re.sub(r"(?m)^( +for:) [1-9].*$", rf"\1 {FOR_S}s", text)
        (rules / path.name).write_text(text, "utf-8")
    config = monitoring.prometheus_config(settings, ports, rules=rules)
    config["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    config["scrape_configs"].append(
        {"job_name": "audit", "static_configs": [{"targets": [f"127.0.0.1:{receiver.port}"]}]}
    )
    alertmanager = monitoring.read_yaml(monitoring.ALERTMANAGER_FILE)
    alertmanager["route"] |= {"group_wait": "1s", "group_interval": "1s"}
    for one in alertmanager["receivers"]:
        [webhook] = one["webhook_configs"]
        webhook["url"] = f"http://127.0.0.1:{receiver.port}/{one['name']}"
    servers_ = Monitoring(settings, ports)
    try:
        servers_.start(config, alertmanager)
        with httpx.Client(base_url=servers_.prometheus_url, timeout=20, trust_env=False) as client:
            yield Prometheus(client)
    finally:
        servers_.stop()


class Prometheus:
    """What Prometheus answers."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series of an expression now; fails where it cannot be parsed or run."""
        answer = self._client.get("/api/v1/query", params={"query": expression})
        assert answer.status_code == 200, f"{expression}: {answer.text}"
        series: list[dict[str, Any]] = answer.json()["data"]["result"]
        return series

    def values(self, expression: str, label: str) -> dict[str, float]:
        """The value of each series by one of its labels."""
        return {one["metric"][label]: float(one["value"][1]) for one in self.query(expression)}
