"""`sampan topics`: those that the services own, as their settings want them."""

from typing import Annotated

import typer

from deploy.cli import exits, output, system
from deploy.local.settings import PUBLISHERS
from services.chassis import kafka

app = typer.Typer(
    no_args_is_help=True,
    help="Create the topics, compare them with what their owners want, or fill them anew.",
)
Services = Annotated[
    list[str] | None, typer.Argument(help="Only those of these services.", show_default=False)
]
DIFFERENCES = ("topic", "setting", "wanted", "found")


def _specs(services: list[str] | None) -> dict[str, kafka.TopicSpec]:
    return {
        spec.name: spec
        for name in system.chosen(services or (), PUBLISHERS)
        for settings in [system.publisher(name)]
        for spec in _topics_of(name, settings.topic_partitions, settings.topic_replication)
    }


def _topics_of(service: str, partitions: int, replication: int) -> list[kafka.TopicSpec]:
    topics = system.commands_of(service).topics
    return list(topics(partitions=partitions, replication=replication)) if topics is not None else []


@app.command()
def create(
    services: Services = None,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds to wait for Kafka at most.")] = 60.0,
    as_json: output.Json = False,
) -> None:
    """Create the topics that are missing; of those that exist nothing is changed but what `setup` changes too."""
    with exits.told():
        specs = _specs(services)
        exits.run(
            kafka.ensure_topics(
                system.bootstrap(), list(specs.values()), s_max=timeout, client_id="sampan-cli"
            )
        )
    found = [{"topic": spec.name, "partitions": spec.partitions} for spec in specs.values()]
    output.rows(found, ("topic", "partitions"), as_json=as_json)


@app.command()
def republish(services: Services = None, as_json: output.Json = False) -> None:
    """Tell the state of everything in compacted topics anew, as after their loss; the services, which send it, have to
    run. Readers pass over what they know."""
    with exits.told():
        found = [row for name in system.chosen(services or (), PUBLISHERS) for row in _told_anew(name)]
    output.rows(found, ("topic", "snapshots"), as_json=as_json)


def _told_anew(service: str) -> list[output.Row]:
    publish = system.commands_of(service).publish_snapshots
    return [] if publish is None else [dict(row) for row in exits.run(publish(system.storage_of(service)))]


@app.command()
def verify(services: Services = None, as_json: output.Json = False) -> None:
    """Tell how topics differ from what their owners want: missing, partitions, copies, settings. Exit 1: they do."""
    with exits.told():
        specs = _specs(services)
        found = exits.run(kafka.differences(system.bootstrap(), list(specs.values())))
    differing = [difference._asdict() for difference in found]
    output.rows(
        differing, DIFFERENCES, as_json=as_json, none=f"all {len(specs)} topics are as they should be"
    )
    if differing:
        raise typer.Exit(exits.FOUND)
