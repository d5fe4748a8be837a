"""What stands in the Dockerfile, in compose.yaml and in the chart agrees with the code and with each other."""

from __future__ import annotations

import re
import shutil
import stat
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy import pages
from deploy.compose import prepare
from deploy.local.settings import ROOT, SERVICES
from services.chassis import config
from services.chassis.lifecycle import VERSION

DOCKERFILE = ROOT / "deploy" / "images" / "Dockerfile"
CHART = ROOT / "deploy" / "helm" / "sampan"
SETTINGS = dict(pages.SERVICES)

every_service = pytest.mark.parametrize("service", SERVICES)


def compose() -> dict[str, Any]:
    """The stack's file as it is written, merges resolved, variables not."""
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
    return loaded


def default_of(text: str) -> str:
    """The default in ${NAME:-default}."""
    found = re.search(r"\$\{\w+:-([^}]*)\}", text)
    assert found is not None, text
    return found[1]


def test_the_dockerfile_is_clean() -> None:
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent))
    assert hadolint is not None
    done = subprocess.run([hadolint, DOCKERFILE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@every_service
def test_an_image_listens_where_the_code_says(service: str) -> None:
    stage = re.search(rf"^FROM runtime AS {service}$(.*?)(?=^FROM|\Z)", DOCKERFILE.read_text(), re.M | re.S)
    assert stage is not None
    given = dict(re.findall(r"([A-Z_]+)=([\w.]+)", stage[1].partition("ENV ")[2].partition("\n")[0]))
    known = config.variables(SETTINGS[service])
    assert given.pop(f"{service.upper()}_HOST") == "0.0.0.0"
    assert given
    for name, value in given.items():
        assert int(value) == known[name].default
        assert re.search(rf"^EXPOSE .*\b{value}\b", stage[1], re.M)
    assert f'"{service.upper()}_ADMIN_PORT"]' in stage[1]


@every_service
def test_the_stack_gives_a_service_only_what_it_reads(service: str) -> None:
    described = compose()["services"][service]
    known = config.variables(SETTINGS[service])
    secrets = {name.upper() for name in described["secrets"]}
    assert described["environment"].keys() | secrets <= known.keys()
    required = {name for name, field in known.items() if field.is_required()}
    assert required <= described["environment"].keys() | secrets


def test_every_container_is_held_tight() -> None:
    for name, described in compose()["services"].items():
        assert described["cap_drop"] == ["ALL"], name
        assert described["security_opt"] == ["no-new-privileges:true"], name
        assert described.get("read_only", False) or name == "kafka", name
        assert described["mem_limit"], name
        assert described["pids_limit"], name
        assert described["restart"], name
        assert described["logging"]["options"]["max-size"], name


def test_every_secret_of_the_stack_is_made_once_and_private(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    keys = prepare.prepare(folder)
    first = {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}
    assert first.keys() == compose()["secrets"].keys()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE((folder / name).stat().st_mode) for name in first} == {0o444}
    assert first["orders_password"] in first["orders_dsn"]
    assert all(key in first["gateway_api_keys"] for key in keys.values())
    assert prepare.prepare(folder) == keys
    assert {path.name: path.read_text() for path in folder.iterdir() if path.is_file()} == first


def test_the_stack_runs_the_kafka_that_the_tests_run() -> None:
    pom = re.search(r"<kafka\.version>([\w.]+)<", (ROOT / "deploy" / "local" / "pom.xml").read_text())
    assert pom is not None
    assert default_of(compose()["services"]["kafka"]["image"]) == f"apache/kafka:{pom[1]}"


def test_images_chart_and_code_have_one_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == VERSION
    assert re.search(r"^ARG VERSION=(.*)$", DOCKERFILE.read_text(), re.M)[1] == VERSION  # type: ignore[index]
    for service in SERVICES:
        project = tomllib.loads((ROOT / "services" / service / "pyproject.toml").read_text())["project"]
        assert project["version"] == VERSION
        assert compose()["services"][service]["image"].endswith(f":${{SAMPAN_VERSION:-{VERSION}}}")


def test_what_stands_in_for_official_images_has_their_names() -> None:
    from tests.containers import standins

    services = compose()["services"]
    assert default_of(services["postgres"]["image"]) == standins.POSTGRES
    assert default_of(services["kafka"]["image"]) == standins.KAFKA
    for name, image in standins.MONITORING.items():
        assert default_of(services[name]["image"]) == image
    assert default_of(compose()["x-build"]["args"]["BASE"]) == standins.BASE
    assert f"ARG BASE={standins.BASE}\n" in DOCKERFILE.read_text()
