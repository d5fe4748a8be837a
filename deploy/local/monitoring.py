"""Prometheus and Alertmanager on loopback over the local stack: `python -m deploy.local.monitoring up | down`."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from deploy.local.processes import BackgroundProcess
from deploy.local.services import http_status
from deploy.local.settings import (
    LOOPBACK,
    ROOT,
    SERVICES,
    StackError,
    StackSettings,
    monitoring_ports,
)

PROMETHEUS_FILES = ROOT / "deploy" / "prometheus"
ALERTMANAGER_FILE = ROOT / "deploy" / "alertmanager" / "alertmanager.yml"
PROGRAMS: Mapping[str, tuple[str, ...]] = {
    "prometheus": ("prometheus",),
    # Debian's package has renamed it.
    "alertmanager": ("prometheus-alertmanager", "alertmanager"),
}
READY_TIMEOUT_S = 30.0

Document = dict[str, Any]


def read_yaml(path: Path) -> Document:
    """Return the content of a YAML file."""
    # Not above: `make down` must work in a .venv that is older than this package's need of it.
    import yaml

    document: Document = yaml.safe_load(path.read_text("utf-8"))
    return document


def write_yaml(path: Path, document: Document) -> None:
    """Write a YAML file."""
    import yaml

    path.write_text(yaml.safe_dump(document, sort_keys=False), "utf-8")


def program(name: str) -> str | None:
    """Return the path of an installed program, None where there is none."""
    return next((path for word in PROGRAMS[name] if (path := shutil.which(word))), None)


def prometheus_config(settings: StackSettings, ports: Mapping[str, int], *, rules: Path) -> Document:
    """Return prometheus-local.yml with the ports of a stack and the rules of a folder."""
    config = read_yaml(PROMETHEUS_FILES / "prometheus-local.yml")
    targets = {name: settings.ports[f"{name.upper()}_ADMIN_PORT"] for name in SERVICES}
    targets["prometheus"] = ports["PROMETHEUS_PORT"]
    for job in config["scrape_configs"]:
        job["static_configs"] = [{"targets": [f"{LOOPBACK}:{targets[job['job_name']]}"]}]
    alertmanager = f"{LOOPBACK}:{ports['ALERTMANAGER_PORT']}"
    config["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]}
    config["rule_files"] = [str(rules / "*.yml")]
    return config


class Monitoring:
    """Both servers, with their data, logs and pid files beside those of the stack."""

    def __init__(self, settings: StackSettings, ports: Mapping[str, int]) -> None:
        self.settings = settings
        self.ports = ports
        self.prometheus, self.alertmanager = (
            BackgroundProcess(
                name, pid_file=settings.pids / f"{name}.pid", log_file=settings.logs / f"{name}.log"
            )
            for name in PROGRAMS
        )

    @property
    def prometheus_url(self) -> str:
        return f"http://{LOOPBACK}:{self.ports['PROMETHEUS_PORT']}"

    @property
    def alertmanager_url(self) -> str:
        return f"http://{LOOPBACK}:{self.ports['ALERTMANAGER_PORT']}"

    def start(self, prometheus: Document, alertmanager: Document) -> None:
        """Start what does not run with these configurations, and wait until both are ready."""
        missing = [name for name in PROGRAMS if program(name) is None]
        if missing:
            raise StackError(
                f"{' and '.join(missing)} not installed: "
                "apt-get install --no-install-recommends prometheus prometheus-alertmanager"
            )
        folder = self.settings.data / "monitoring"
        folder.mkdir(parents=True, exist_ok=True)
        for name, config in (("prometheus", prometheus), ("alertmanager", alertmanager)):
            write_yaml(folder / f"{name}.yml", config)
        self.alertmanager.start(
            [
                program("alertmanager") or "",
                f"--config.file={folder / 'alertmanager.yml'}",
                f"--storage.path={folder / 'alertmanager'}",
                f"--web.listen-address={LOOPBACK}:{self.ports['ALERTMANAGER_PORT']}",
                "--cluster.listen-address=",
            ]
        )
        self.prometheus.start(
            [
                program("prometheus") or "",
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'prometheus'}",
                f"--web.listen-address={LOOPBACK}:{self.ports['PROMETHEUS_PORT']}",
                f"--web.external-url={self.prometheus_url}",
            ]
        )
        for process, url in (
            (self.alertmanager, self.alertmanager_url),
            (self.prometheus, self.prometheus_url),
        ):
            process.wait_until(partial(_is_ready, url), timeout_s=READY_TIMEOUT_S)

    def stop(self) -> None:
        """Stop both; their data stay."""
        self.prometheus.stop()
        self.alertmanager.stop()


def _is_ready(url: str) -> bool:
    return http_status(f"{url}/-/ready") == 200


def main() -> int:
    """Run one command; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m deploy.local.monitoring", description=__doc__)
    parser.add_argument("command", choices=("up", "down"))
    chosen = parser.parse_args()
    try:
        settings = StackSettings.from_environment(os.environ)
        ports = monitoring_ports(os.environ)
        monitoring = Monitoring(settings, ports)
        if chosen.command == "down":
            monitoring.stop()
            return 0
        rules = PROMETHEUS_FILES / "rules"
        monitoring.start(
            prometheus_config(settings, ports, rules=rules),
            read_yaml(ALERTMANAGER_FILE),
        )
    except StackError as fault:
        print(f"sampan: {fault}", file=sys.stderr)
        return 1
    print(f"prometheus    {monitoring.prometheus_url}\nalertmanager  {monitoring.alertmanager_url}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
