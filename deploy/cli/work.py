"""`sampan audit`, `import` and `replay`: work that takes its time."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from deploy.audit import __main__ as auditing
from deploy.audit.audit import print_results
from deploy.audit.exposition import write_metrics
from deploy.audit.settings import AuditSettings
from deploy.cli import exits, importing, output, system
from deploy.local.settings import TENANT_ID
from deploy.replay import __main__ as replaying
from deploy.replay import settings as replay_settings

AUDIT_CODES = {
    auditing.EXIT_HOLDS: exits.DONE,
    auditing.EXIT_BROKEN: exits.FOUND,
    auditing.EXIT_COULD_NOT_RUN: exits.UNREACHABLE,
}


def audit(
    settle: Annotated[
        float, typer.Option(help="Seconds to wait at most for the system to come to rest.")
    ] = 60.0,
    late: Annotated[
        float, typer.Option(help="Seconds that a step may be late before it counts as stuck.")
    ] = 120.0,
    history: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="Operations that a replay recorded, to compare."),
    ] = None,
    tenant: Annotated[str, typer.Option(help="Whose that history is.")] = TENANT_ID,
    parked_expected: Annotated[int, typer.Option(min=0, help="Parked events that are no fault.")] = 0,
    metrics: Annotated[
        Path | None, typer.Option(help="A file *.prom to write the outcome to, for Prometheus.")
    ] = None,
    as_json: output.Json = False,
) -> None:
    """Check every invariant in the databases and topics. Exit 1: one is broken; 3: not all could be examined."""
    with exits.told():
        settings = AuditSettings(
            dsns=system.dsns(),
            bootstrap=system.bootstrap(),
            settle_s_max=settle,
            late_s_max=late,
            history=history,
            tenant_id=tenant,
            json_path=None,
            parked_expected=parked_expected,
            metrics_path=metrics,
        )
        settled, results = exits.run(auditing.examine(settings))
        if not settled:
            auditing.warn_of_unrest(settings)
        if metrics is not None:
            write_metrics(metrics, results, settled=settled)
    if as_json:
        output.document(auditing.document(settled, results))
    else:
        print_results(output.console(), results)
    raise typer.Exit(AUDIT_CODES[auditing.exit_code(results)])


def import_products(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help=".csv, .ndjson or .jsonl.")],
    merchant: Annotated[str, typer.Option("--merchant", help="The seller of rows that name none.")] = "",
    as_json: output.Json = False,
) -> None:
    """Import products. Good rows are kept; exit 1: others were refused. An import may be repeated as a whole."""
    with exits.told():
        report = exits.run(importing.send(system.api(), file, merchant_id=merchant))
    if as_json:
        output.document(report)
    else:
        output.facts({name: report[name] for name in importing.COUNTS}, as_json=False)
        if report["errors"]:
            output.rows(report["errors"], ("line", "field", "reason", "message"), as_json=False)
    if report["failed"]:
        raise typer.Exit(exits.FOUND)


def replay(
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="Sales: .csv, .csv.gz or .csv.xz.")
    ],
    orders: Annotated[int | None, typer.Option(min=1, help="Only the first so many invoices.")] = None,
    run: Annotated[str, typer.Option(help="Name of the run; a known one is resumed, not doubled.")] = "",
    concurrency: Annotated[int, typer.Option(min=1, help="Orders in flight.")] = 64,
    until: Annotated[Literal["delivered", "confirmed"], typer.Option(help="How far.")] = "delivered",
    patience: Annotated[float, typer.Option(help="Seconds before something is given up.")] = 300.0,
    repeat_every: Annotated[int, typer.Option(min=0, help="Post every n-th order twice; 0 for none.")] = 100,
    as_json: output.Json = False,
) -> None:
    """Send a file of real sales through the API and account for every row. Exit 1: the account does not add up."""
    with exits.told():
        api = system.api()
        name = replay_settings.run_name(run)
        settings = replay_settings.ReplaySettings(
            file=file,
            target=replay_settings.Target(api.base_url, api.api_key),
            run=name,
            orders_max=orders,
            concurrency=concurrency,
            until=until,
            patience_s=patience,
            repeat_every=repeat_every,
            json_path=None,
            history_path=replay_settings.history_path(name),
            audits=False,
        )
        report = replaying.carry_out(settings)
    if as_json:
        output.document(report.as_json())
    else:
        report.print(output.console())
    if not report.holds:
        raise typer.Exit(exits.FOUND)
