"""docs/cli.md, made from the commands themselves."""

import typer
from typer.cli import get_docs_for_click

from deploy.cli.exits import MEANINGS

HEAD = """\
# The command line

Written by `make pages` from the code; do not edit.

`./sampan` in a checkout, `sampan` where the distribution `sampan-cli` is installed (`make wheels`), and the image
`sampan/cli`: `docker compose run --rm cli topics verify`. It is the operators' one way; `python -m services.<service>`
is what a container runs, and knows of its own service only: `serve`, `setup`, `config`, and the same on parked events.

**Where it works.** Databases and Kafka are those that the services' own variables and secret files name (`ORDERS_DSN`,
`KAFKA_BOOTSTRAP`, ...: [configuration.md](configuration.md)); what these leave open is the local stack's, where
`make up` has made one. The API is `SAMPAN_URL` with `SAMPAN_API_KEY`, else the local stack's with a key of its file.
`sampan version` says what it found.

**What it prints.** A table; with `--json` one JSON document and nothing else on stdout. Faults, progress and, with
`--verbose`, the log go to stderr. Where that is no terminal there are no bars, no colours and no line breaks: one row,
one line. `NO_COLOR` takes the colours away.

**How it ends:**

| exit code | meaning |
|---|---|
"""


def cli_markdown() -> str:
    """The text of the page."""
    from deploy.cli.app import app

    command = typer.main.get_command(app)
    codes = "".join(f"| {code} | {meaning} |\n" for code, meaning in MEANINGS.items())
    commands = get_docs_for_click(
        obj=command, ctx=typer.Context(command), indent=1, name="sampan", title="Commands"
    )
    return f"{HEAD}{codes}\n{commands.rstrip()}\n"
