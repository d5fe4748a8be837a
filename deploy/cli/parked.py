"""`sampan parked`: events that could not be handled."""

import getpass
from collections.abc import Callable
from typing import Annotated, Any

import typer

from deploy.cli import exits, output, system
from services.chassis import cli

app = typer.Typer(
    no_args_is_help=True, help="Events that could not be handled: list them, replay them, or give them up."
)
COLUMNS = ("service", "id", "group", "aggregate_id", "version", "type", "cause", "park_time", "detail")
OUTCOMES = ("service", "group", "replayed", "failed", "aggregate_id", "detail")

Service = Annotated[str | None, typer.Option("--service", help="Only those of this service.")]
Group = Annotated[str | None, typer.Option("--group", help="Only those of this consumer group.")]
Aggregate = Annotated[str | None, typer.Option("--aggregate-id", help="Only those of this aggregate.")]
Limit = Annotated[int, typer.Option("--limit", min=1, help="At most so many of each group.")]
Actor = Annotated[str, typer.Option("--actor", help="Who does it, for the record; by default the user.")]
Pick = Callable[[cli.Service[Any]], cli.ParkedHook[Any] | None]


@app.command("list")
def list_(
    service: Service = None,
    group: Group = None,
    aggregate_id: Aggregate = None,
    limit: Limit = cli.PARKED_LIMIT_DEFAULT,
    fail: output.Fail = False,
    as_json: output.Json = False,
) -> None:
    """List parked events, the oldest of each group first."""
    query = cli.ParkedQuery(group, aggregate_id, limit, actor="")
    found = _ask(service, group, query, lambda commands: commands.list_parked)
    output.rows(found, COLUMNS, as_json=as_json, none="nothing is parked")
    if fail and found:
        raise typer.Exit(exits.FOUND)


@app.command()
def replay(
    service: Service = None,
    group: Group = None,
    aggregate_id: Aggregate = None,
    limit: Annotated[
        int, typer.Option("--limit", min=1, help="At most so many aggregates of each group.")
    ] = cli.PARKED_LIMIT_DEFAULT,
    across_gaps: Annotated[
        bool, typer.Option("--across-gaps", help="Give up what is missing before an event.")
    ] = False,
    actor: Actor = "",
    as_json: output.Json = False,
) -> None:
    """Hand parked events to their handler again, in order. Exit 1: some stay parked."""
    query = cli.ParkedQuery(group, aggregate_id, limit, actor or getpass.getuser(), across_gaps=across_gaps)
    found = _ask(service, group, query, lambda commands: commands.replay_parked)
    output.rows(found, OUTCOMES, as_json=as_json)
    if any(row.get("failed") for row in found):
        raise typer.Exit(exits.FOUND)


@app.command()
def discard(
    ids: Annotated[list[int], typer.Argument(help="Ids that `parked list` shows.")],
    group: Annotated[str, typer.Option("--group", help="The consumer group that they are parked in.")],
    note: Annotated[str, typer.Option("--note", help="Why, for the record.")],
    actor: Actor = "",
    as_json: output.Json = False,
) -> None:
    """Give parked events up for good; their aggregates go on without them."""
    if not note.strip():
        exits.end(exits.REFUSED, "--note: say why")
    query = cli.ParkedQuery(group, None, len(ids), actor or getpass.getuser(), tuple(ids), note)
    found = _ask(None, group, query, lambda commands: commands.discard_parked)
    output.rows(found, ("service", "group", "discarded"), as_json=as_json)
    if sum(row["discarded"] for row in found) != len(ids):
        exits.end(exits.REFUSED, "not all of these were parked")


def _ask(service: str | None, group: str | None, query: cli.ParkedQuery, pick: Pick) -> list[output.Row]:
    """What each service that may have such events answers. A group's name begins with its service's."""
    with exits.told():
        named = service or (group.partition(".")[0] if group else None)
        found: list[output.Row] = []
        for name in system.chosen([named] if named else ()):
            hook = pick(system.commands_of(name))
            if hook is not None:
                rows = exits.run(hook(system.storage_of(name), query))
                found += [{"service": name, **row} for row in rows]
            elif named:
                raise exits.Refusal(f"{name} reads no events")
        return found
