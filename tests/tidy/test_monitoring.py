"""Each alert has its page and its tests, each page its alert; rules and dashboards name only what exists."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.grafana.__main__ import boards
from deploy.local.settings import SERVICES
from tests.series import series_max

ROOT = Path(__file__).resolve().parents[2]
PROMETHEUS = ROOT / "deploy" / "prometheus"
RUNBOOKS = ROOT / "docs" / "runbooks"
PAGE = ROOT / "docs" / "monitoring.md"
HEADINGS = ["What it means", "What to look at", "What to do", "When it is over"]

_metric = re.compile(r"\bsampan_[a-z0-9_]+")
_in_code = re.compile(r"[\"'](sampan_[a-z0-9_]+)[\"']")
_derived = re.compile(r"_(?:bucket|count|sum)$")
_target = re.compile(r"\bmake ([a-z][a-z-]*)")
_command = re.compile(r"\b(list-parked|replay-parked|discard-parked|setup)\b")

Document = dict[str, Any]


def load(path: Path) -> Document:
    """A YAML file."""
    document: Document = yaml.safe_load(path.read_text("utf-8"))
    return document


def alerts() -> Mapping[str, Document]:
    """Every alert by its name."""
    rules = [
        rule
        for path in sorted((PROMETHEUS / "rules").glob("*.yml"))
        for group in load(path)["groups"]
        for rule in group["rules"]
        if "alert" in rule
    ]
    named = {rule["alert"]: rule for rule in rules}
    assert named
    assert len(named) == len(rules), "two alerts share a name"
    return named


def runbooks() -> Mapping[str, str]:
    """The text of every runbook by its path in the repository."""
    return {
        str(path.relative_to(ROOT)): path.read_text("utf-8")
        for path in sorted(RUNBOOKS.glob("*.md"))
        if path.name != "README.md"
    }


def existing_metrics() -> set[str]:
    """What the code registers."""
    sources = [*ROOT.glob("services/**/*.py"), *ROOT.glob("deploy/audit/*.py")]
    return {name for path in sources for name in _in_code.findall(path.read_text("utf-8"))}


def unknown(text: str) -> set[str]:
    """The metrics that a text names and no code has."""
    existing = existing_metrics()
    # What follows a colon is part of a recorded name.
    named = set(_metric.findall(re.sub(r"[a-z]+:sampan_[a-z0-9_]+:[a-z0-9_]+", "", text)))
    return {name for name in named if name not in existing and _derived.sub("", name) not in existing}


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    urls = {rule["annotations"]["runbook_url"] for rule in alerts().values()}
    assert urls == set(runbooks())


def test_every_alert_says_whom_to_wake_and_what_is_the_matter() -> None:
    for name, rule in alerts().items():
        assert rule["labels"]["severity"] in ("page", "ticket"), name
        assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}, name


def test_every_alert_is_tested_firing_and_silent() -> None:
    checks = [
        (check["alertname"], bool(check["exp_alerts"]))
        for path in (PROMETHEUS / "tests").glob("*.yml")
        for test in load(path)["tests"]
        for check in test["alert_rule_test"]
    ]
    assert set(checks) == {(name, fires) for name in alerts() for fires in (True, False)}


def test_every_runbook_has_the_same_parts_and_names_its_alerts() -> None:
    for path, text in runbooks().items():
        assert re.findall(r"^## (.+)$", text, re.MULTILINE) == HEADINGS, path
        own = {name for name, rule in alerts().items() if rule["annotations"]["runbook_url"] == path}
        assert {name for name in own if f"`{name}`" not in text} == set(), path


def test_every_runbook_is_in_the_list() -> None:
    listed = set(re.findall(r"\]\(([a-z-]+\.md)\)", (RUNBOOKS / "README.md").read_text("utf-8")))
    assert listed == {Path(path).name for path in runbooks()}


def test_the_commands_of_runbooks_exist() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z][a-z-]*):", makefile, re.MULTILINE))
    for path, text in runbooks().items():
        assert set(_target.findall(text)) <= targets, path
    assert any(_command.search(text) for text in runbooks().values())


@pytest.mark.parametrize("path", sorted((PROMETHEUS / "rules").glob("*.yml")), ids=lambda path: path.stem)
def test_rules_name_metrics_that_exist(path: Path) -> None:
    assert unknown(path.read_text("utf-8")) == set()


def test_dashboards_and_runbooks_name_metrics_that_exist() -> None:
    for name, text in {**boards(), **runbooks()}.items():
        assert unknown(text) == set(), name


def test_dashboards_and_alerts_use_recorded_names_that_exist() -> None:
    recorded = {
        rule["record"]
        for group in load(PROMETHEUS / "rules" / "recording.yml")["groups"]
        for rule in group["rules"]
    }
    rules = "".join(path.read_text("utf-8") for path in (PROMETHEUS / "rules").glob("alerts-*.yml"))
    for text in (rules, "".join(boards().values())):
        used = set(re.findall(r"\b(?:[a-z]+:sampan_[a-z0-9_]+|sampan):[a-z0-9_]+(?::[a-z0-9_]+)?", text))
        assert used
        assert used <= recorded


@pytest.mark.parametrize("uid", boards())
def test_panels_and_their_queries_have_ids_of_their_own(uid: str) -> None:
    board = json.loads(boards()[uid])
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids)) > 0
    assert board["uid"] == uid
    for panel in board["panels"]:
        assert panel["title"]
        if panel["type"] == "row":
            continue
        letters = [target["refId"] for target in panel["targets"]]
        assert letters == list("ABCDEFGH")[: len(letters)] != []
        assert {target["datasource"]["uid"] for target in panel["targets"]} == {"${datasource}"}


def test_both_configurations_scrape_the_same_and_differ_only_in_where() -> None:
    containers, local = load(PROMETHEUS / "prometheus.yml"), load(PROMETHEUS / "prometheus-local.yml")
    for config in (containers, local):
        for job in config["scrape_configs"]:
            job.pop("dns_sd_configs", None)
            job.pop("static_configs", None)
    assert containers["scrape_configs"] == local["scrape_configs"]
    assert containers["rule_files"] == local["rule_files"]
    assert {job["job_name"] for job in local["scrape_configs"]} == {*SERVICES, "prometheus"}


@pytest.mark.parametrize("service", SERVICES)
def test_the_series_of_a_service_are_bounded_as_the_page_says(service: str) -> None:
    bound = series_max(service)
    told = re.search(rf"^\| {service} \| ([\d,]+) \|", PAGE.read_text("utf-8"), re.MULTILINE)
    assert told is not None
    assert int(told.group(1).replace(",", "")) == bound
    for name in ("prometheus.yml", "prometheus-local.yml"):
        for job in load(PROMETHEUS / name)["scrape_configs"]:
            if job["job_name"] == service:
                assert bound < job["sample_limit"]
