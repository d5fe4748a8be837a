"""Rules, configurations and dashboards in the eyes of Prometheus' and Alertmanager's own tools."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.grafana.__main__ import boards
from deploy.local.settings import ROOT

PROMETHEUS = ROOT / "deploy" / "prometheus"
ALERTMANAGER = ROOT / "deploy" / "alertmanager" / "alertmanager.yml"
RULE_TESTS = sorted((PROMETHEUS / "tests").glob("*.yml"))

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not installed: apt-get install prometheus"
)
needs_amtool = pytest.mark.skipif(
    shutil.which("amtool") is None, reason="amtool is not installed: apt-get install prometheus-alertmanager"
)


def must(*command: str | Path) -> None:
    """Runs a tool that has to be content."""
    ran = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def expressions(dashboard: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The title of each panel with each of its expressions."""
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]


@needs_promtool
@pytest.mark.parametrize("name", ["prometheus.yml", "prometheus-local.yml"])
def test_prometheus_takes_the_configuration_and_the_rules(name: str) -> None:
    must("promtool", "check", "config", PROMETHEUS / name)


@needs_promtool
@pytest.mark.parametrize("path", RULE_TESTS, ids=lambda path: path.stem)
def test_alerts_fire_when_they_should_and_only_then(path: Path) -> None:
    must("promtool", "test", "rules", path)


@needs_amtool
def test_alertmanager_takes_the_configuration() -> None:
    must("amtool", "check-config", ALERTMANAGER)


@needs_promtool
@pytest.mark.parametrize("uid", boards())
def test_every_expression_of_a_dashboard_can_be_parsed(uid: str, tmp_path: Path) -> None:
    found = list(expressions(json.loads(boards()[uid])))
    assert found
    rules = [
        {"record": f"panel:expression_{number}", "expr": expr.replace("$__rate_interval", "1m")}
        for number, (_, expr) in enumerate(found)
    ]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": uid, "rules": rules}]}))
    must("promtool", "check", "rules", file)
