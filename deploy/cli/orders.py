"""`sampan orders`: orders that need a look."""

from typing import Annotated

import typer

from deploy.cli import exits, output
from services.chassis import config, pg

app = typer.Typer(no_args_is_help=True, help="Orders that need a look.")
COLUMNS = ("order_id", "tenant_id", "state", "since", "waiting_s", "asked_again")


@app.callback()
def group() -> None:
    """Keeps `stuck` a word of its own."""


@app.command()
def stuck(
    wait: Annotated[
        float | None,
        typer.Option("--wait", min=0, help="Seconds that are too long; by default ORDERS_ANSWER_WAIT_S."),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=10_000, help="At most so many in each state.")
    ] = 100,
    fail: output.Fail = False,
    as_json: output.Json = False,
) -> None:
    """List orders that wait for the warehouse for too long: for its decision, its parcels or its answer."""
    with exits.told():
        found = exits.run(_stuck(wait, limit))
    output.rows(found, COLUMNS, as_json=as_json, none="no order is stuck")
    if fail and found:
        raise typer.Exit(exits.FOUND)


async def _stuck(wait_s: float | None, limit: int) -> list[output.Row]:
    from services.orders.config import OrdersSettings
    from services.orders.measures import ANSWERED_BY_WAREHOUSE
    from services.orders.store import waiting

    settings = config.load(OrdersSettings)
    wait_s = settings.answer_wait_s if wait_s is None else wait_s
    connection = await pg.connect(settings.dsn, name="sampan-cli")
    try:
        return [
            one._asdict()
            for state in ANSWERED_BY_WAREHOUSE
            for one in await waiting.list_waiting(connection, state, wait_s=wait_s, limit=limit)
        ]
    finally:
        await connection.close(timeout=5)
