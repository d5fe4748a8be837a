"""The whole audit: every check in the order of the invariants, one after another."""

from collections.abc import Mapping, Sequence
from functools import partial

from rich import box
from rich.console import Console
from rich.table import Table

from deploy.audit.access_checks import AccessExamination
from deploy.audit.checks import CONSUMING_DATABASES, Check, Findings, Result, examine_rows, run
from deploy.audit.cross_checks import CrossExamination
from deploy.audit.history_checks import history_checks
from deploy.audit.settings import AuditSettings
from deploy.audit.sql_checks import sql_checks
from deploy.audit.topic_checks import TopicExamination
from deploy.local.settings import PUBLISHERS
from services.chassis.queries import load_queries

MARKS = {"ok": "[green]ok[/]", "failed": "[bold red]FAILED[/]", "could not run": "[bold yellow]NOT RUN[/]"}


def queue_checks(dsns: Mapping[str, str], *, parked_expected: int) -> list[Check]:
    """Those of what waits in the services' databases: to be sent, or for a person."""
    consuming = {name: dsns[name] for name in CONSUMING_DATABASES}
    publishing = {name: dsn for name, dsn in dsns.items() if name in PUBLISHERS}
    return [
        Check(
            "13 parked, applied",
            "No parked event has had an effect, nor has one behind it.",
            partial(_examine_in_each, consuming, "parked_and_applied"),
        ),
        Check(
            "15 outbox",
            "Every event has left its outbox.",
            partial(_in_each, publishing, "outbox_is_empty", 0),
        ),
        Check(
            "15 parked",
            "Nothing is parked but what was poisoned on purpose.",
            partial(_in_each, consuming, "nothing_is_parked", parked_expected),
        ),
    ]


def all_checks(settings: AuditSettings) -> list[Check]:
    """Every check, in the order of the invariants."""
    checks = [
        *sql_checks(settings.dsns, late_s_max=settings.late_s_max),
        *CrossExamination(settings.dsns).checks(),
        *TopicExamination(settings.bootstrap, settings.dsns, injected=settings.injected).checks(),
        *AccessExamination(settings.bootstrap, settings.dsns["access"], injected=settings.injected).checks(),
        *queue_checks(settings.dsns, parked_expected=settings.parked_expected),
    ]
    if settings.history is not None:
        checks += history_checks(settings.history, settings.tenant_id, settings.dsns["orders"])
    return sorted(checks, key=lambda check: int(check.id.split()[0]))


async def audit(settings: AuditSettings) -> list[Result]:
    """Runs every check."""
    return [await run(check) for check in all_checks(settings)]


def print_results(console: Console, results: Sequence[Result]) -> None:
    """A table of all checks, then the first offenders of those that failed."""
    # A line that is no terminal's is for grep.
    table = Table(header_style="bold", box=box.HEAVY_HEAD if console.is_terminal else None)
    table.add_column("")
    table.add_column("check", no_wrap=True)
    table.add_column("what must be true", overflow="fold")
    table.add_column("examined", justify="right")
    table.add_column("faults", justify="right")
    table.add_column("s", justify="right")
    for result in results:
        table.add_row(
            MARKS[result.status],
            result.id,
            result.sentence,
            f"{result.examined:,}",
            f"{result.failed:,}",
            f"{result.seconds:.2f}",
        )
    console.print(table)
    for result in results:
        for offender in result.offenders if result.status == "failed" else ():
            console.print(f"{result.id}: {offender}", markup=False, highlight=False, soft_wrap=True)
        if result.failed > len(result.offenders):
            console.print(f"{result.id}: and {result.failed - len(result.offenders):,} more", markup=False)
        if result.remark:
            console.print(f"{result.id}: {result.remark}", markup=False, soft_wrap=True)


async def _examine_in_each(dsns: Mapping[str, str], query: str) -> Findings:
    """A query of what is examined, with the offenders among it, in each database."""
    total = Findings()
    for database, dsn in sorted(dsns.items()):
        found = await examine_rows(dsn, load_queries("deploy.audit")[query])
        total.examined += found.examined
        total.failed += found.failed
        total.offenders += [f"{database}: {offender}" for offender in found.offenders]
    return total


async def _in_each(dsns: Mapping[str, str], query: str, allowed: int) -> Findings:
    """A query in which every row is an offence, in each database; `examined` is the number of databases."""
    total = Findings()
    for database, dsn in sorted(dsns.items()):
        found = await examine_rows(dsn, load_queries("deploy.audit")[query])
        total.examined += 1
        total.failed += found.failed
        total.offenders += [f"{database}: {offender}" for offender in found.offenders]
    if total.failed == allowed:
        return Findings(total.examined, remark=f"{allowed} as expected" if allowed else "")
    if not total.failed:
        total.blame(f"nothing is, {allowed} expected")
    return total
