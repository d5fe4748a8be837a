"""`sampan migrate`: the schemas."""

from typing import Annotated

import typer

from deploy.cli import exits, output, system
from services.chassis import migrations, pg

COLUMNS = ("service", "revision", "needed", "newest", "state")


def migrate(
    services: Annotated[
        list[str] | None, typer.Argument(help="Only those of these services.", show_default=False)
    ] = None,
    check: Annotated[
        bool,
        typer.Option("--check", help="Change nothing; exit with 1 where a schema lacks what the code needs."),
    ] = False,
    post: Annotated[
        bool,
        typer.Option(
            "--post", help="Also the steps for when no process of the release before runs any more."
        ),
    ] = False,
    as_json: output.Json = False,
) -> None:
    """Bring the schemas to what this release needs; the release before goes on working over them."""
    with exits.told():
        names = system.chosen(services or ())
        if check and post:
            raise exits.Refusal("--check changes nothing: it does not go with --post")
        if not check:
            for name in names:
                exits.run(migrations.upgrade(system.storage_of(name).dsn, name, post=post))
        found = [exits.run(_status(name)) for name in names]
    output.rows(found, COLUMNS, as_json=as_json)
    if any(row["state"] == "behind" for row in found):
        raise typer.Exit(exits.FOUND)


async def _status(service: str) -> output.Row:
    connection = await pg.connect(system.storage_of(service).dsn, name="sampan-cli")
    try:
        status = await migrations.status(connection, service)
    finally:
        await connection.close(timeout=5)
    return {"service": service, **status._asdict(), "state": status.state}
