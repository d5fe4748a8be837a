"""`sampan outbox`: events that are decided and not yet in Kafka."""

from typing import Annotated

import typer

from deploy.cli import exits, output, system
from deploy.local.settings import PUBLISHERS
from services.chassis import pg
from services.chassis.outbox import BUCKETS, status

app = typer.Typer(no_args_is_help=True, help="Events that are decided and not yet in Kafka.")
COLUMNS = ("service", "waiting", "oldest_age_s", "relays", "buckets_held", "buckets")


@app.callback()
def group() -> None:
    """Keeps `status` a word of its own."""


@app.command("status")
def status_(
    fail: Annotated[bool, typer.Option("--fail", help="Exit with 1 where an event is late.")] = False,
    late: Annotated[float, typer.Option("--late", min=0, help="Seconds from which on one is.")] = 30.0,
    as_json: output.Json = False,
) -> None:
    """Show how many events wait, since when the oldest does, and how many relays serve how many buckets."""
    with exits.told():
        found = [exits.run(_status(name)) for name in PUBLISHERS]
    output.rows(found, COLUMNS, as_json=as_json)
    if fail and any(row["waiting"] and row["oldest_age_s"] > late for row in found):
        raise typer.Exit(exits.FOUND)


async def _status(service: str) -> output.Row:
    connection = await pg.connect(system.storage_of(service).dsn, name="sampan-cli")
    try:
        found = await status.of(connection)
    finally:
        await connection.close(timeout=5)
    return {"service": service, **found._asdict(), "buckets": BUCKETS}
