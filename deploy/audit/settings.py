"""What an audit is told by its command line and its environment; the only reader of both in this package."""

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.local.settings import TENANT_ID, StackError, StackSettings
from deploy.local.stack import Stack


class SettingsError(Exception):
    """A fault of the command line or the environment; its text says what to do."""


@dataclass(frozen=True, slots=True)
class AuditSettings:
    """One audit."""

    dsns: Mapping[str, str]
    bootstrap: str
    settle_s_max: float
    """How long to wait first for the system to come to rest."""
    late_s_max: float
    """How late a step may be before it counts as stuck."""
    history: Path | None
    tenant_id: str
    """Whose the history is."""
    json_path: Path | None
    parked_expected: int
    """Events that a test has poisoned on purpose."""
    injected: frozenset[tuple[str, int, int]] = frozenset()
    """(topic, partition, offset) of records that a test has put into topics, of which no database knows."""
    metrics_path: Path | None = None
    """Where the outcome is left for Prometheus."""


def parse(arguments: Sequence[str]) -> AuditSettings:
    """Reads the command line; argparse ends the process on a fault, SettingsError is for the rest."""
    parser = argparse.ArgumentParser(
        prog="python -m deploy.audit",
        description="Examine databases and topics (ACCESS_DSN, CATALOG_DSN, ORDERS_DSN, WAREHOUSE_DSN, "
        "KAFKA_BOOTSTRAP; by default the local stack). Exit 1: an invariant is broken; "
        "2: something could not be examined.",
    )
    add = parser.add_argument
    add("--settle", type=float, default=60.0, help="seconds to wait at most for the system to come to rest")
    add("--late", type=float, default=120.0, help="seconds that a step may be late before it is stuck")
    add("--history", type=Path, default=None, help="the operations that a client recorded")
    add("--tenant", default=TENANT_ID, help="the tenant of the history")
    add("--json", type=Path, default=None, help="where to write the outcome as JSON")
    add(
        "--metrics",
        type=Path,
        default=None,
        help="where to write the outcome for node exporter, as FILE.prom",
    )
    add("--parked-expected", type=int, default=0, help="parked events that are no fault")
    given = parser.parse_args(arguments)
    if given.history is not None and not given.history.is_file():
        raise SettingsError(f"there is no history {given.history}")
    try:
        stack = Stack(StackSettings.from_environment(os.environ))
        dsns, bootstrap = stack.dsns, stack.bootstrap
    except StackError as error:
        raise SettingsError(str(error)) from error
    return AuditSettings(
        dsns=dsns,
        bootstrap=bootstrap,
        settle_s_max=given.settle,
        late_s_max=given.late,
        history=given.history,
        tenant_id=given.tenant,
        json_path=given.json,
        metrics_path=given.metrics,
        parked_expected=given.parked_expected,
    )
