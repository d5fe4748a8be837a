"""The outcome of an audit as metrics in a file, for node exporter's textfile collector."""

import time
from collections.abc import Sequence
from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge, write_to_textfile

from deploy.audit.checks import Result


def write_metrics(path: Path, results: Sequence[Result], *, settled: bool) -> None:
    """Replaces the file as a whole, so that no scrape meets half of it. One series per check and kind."""
    registry = CollectorRegistry()
    faults = Gauge(
        "sampan_audit_faults", "Offenders that a check of the last audit found.", ["check"], registry=registry
    )
    examined = Gauge("sampan_audit_examined", "What a check looked at.", ["check"], registry=registry)
    not_run = Gauge(
        "sampan_audit_not_run", "1 where a check could not be made.", ["check"], registry=registry
    )
    for result in results:
        faults.labels(result.id).set(result.failed)
        examined.labels(result.id).set(result.examined)
        not_run.labels(result.id).set(result.status == "could not run")
    rest = Gauge(
        "sampan_audit_settled", "Whether the system had come to rest before the audit.", registry=registry
    )
    rest.set(settled)
    finish = Gauge("sampan_audit_finish_time_seconds", "When the last audit ended.", registry=registry)
    finish.set(time.time())
    path.parent.mkdir(parents=True, exist_ok=True)
    write_to_textfile(str(path), registry)
