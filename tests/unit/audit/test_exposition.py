"""An audit's outcome as node exporter reads it."""

from __future__ import annotations

from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from deploy.audit.checks import Result, Status
from deploy.audit.exposition import write_metrics


def result(id_: str, status: Status, failed: int) -> Result:
    """An outcome."""
    return Result(id_, "It holds.", status, 10, failed, (), "", 0.1)


def test_the_file_says_of_each_check_what_it_found(tmp_path: Path) -> None:
    file = tmp_path / "below" / "audit.prom"
    write_metrics(file, [result("1 ledger", "failed", 9)], settled=True)
    results = [
        result("1 ledger", "ok", 0),
        result("2 reserved", "failed", 3),
        result("15 lag", "could not run", 0),
    ]
    write_metrics(file, results, settled=False)
    told = {
        (sample.name, sample.labels.get("check")): sample.value
        for family in text_string_to_metric_families(file.read_text())
        for sample in family.samples
    }
    finished = told.pop(("sampan_audit_finish_time_seconds", None))
    assert finished > 0
    assert told == {
        ("sampan_audit_faults", "1 ledger"): 0,
        ("sampan_audit_faults", "2 reserved"): 3,
        ("sampan_audit_faults", "15 lag"): 0,
        ("sampan_audit_examined", "1 ledger"): 10,
        ("sampan_audit_examined", "2 reserved"): 10,
        ("sampan_audit_examined", "15 lag"): 10,
        ("sampan_audit_not_run", "1 ledger"): 0,
        ("sampan_audit_not_run", "2 reserved"): 0,
        ("sampan_audit_not_run", "15 lag"): 1,
        ("sampan_audit_settled", None): 0,
    }
    assert [path.name for path in file.parent.iterdir()] == ["audit.prom"]
