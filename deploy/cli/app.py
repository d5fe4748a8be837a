"""All commands, and what every one of them needs first."""

import logging
import sys
from importlib import metadata
from typing import Annotated

import typer

from deploy.cli import keys, migrate, orders, outbox, output, parked, system, topics, work
from deploy.cli.exits import told
from services.chassis import log
from services.chassis.lifecycle import VERSION

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Run Sampan: its topics, schemas, keys, parked events, orders that are stuck, imports and audits.",
    epilog="Exit codes: 0 done, 1 something was found, 2 refused, 3 unreachable. More: docs/cli.md.",
)
app.add_typer(topics.app, name="topics")
app.command("migrate")(migrate.migrate)
app.add_typer(keys.app, name="keys")
app.add_typer(parked.app, name="parked")
app.add_typer(outbox.app, name="outbox")
app.add_typer(orders.app, name="orders")
app.command("audit")(work.audit)
app.command("import")(work.import_products)
app.command("replay")(work.replay)


@app.callback()
def prepare(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log what is done, to stderr.")] = False,
) -> None:
    """Finds the system and keeps the log out of the output."""
    log.configure("sampan", "info" if verbose else "error", file=sys.stderr)
    if not verbose:
        # Its client logs every attempt; what became of them is this program's to say.
        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    with told():
        system.adopt_local_stack()


@app.command()
def version(as_json: output.Json = False) -> None:
    """Say which version this is and which system it works on."""
    with told():
        folder = system.adopt_local_stack()
        found = {
            "version": VERSION,
            "python": sys.version.split()[0],
            "local_stack": folder,
            "kafka": system.bootstrap(),
            "contracts": _version_of("sampan-contracts"),
        }
        output.facts(found, as_json=as_json)


def _version_of(distribution: str) -> str:
    """A distribution's version; in a checkout its code is used as it stands."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "of this checkout"
