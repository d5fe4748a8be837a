"""What a command says: a table for people, one JSON document for programs. Faults and progress go to stderr."""

import dataclasses
import json
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of a table.")]
Fail = Annotated[bool, typer.Option("--fail", help="Exit with 1 where the list is not empty.")]
Row = Mapping[str, Any]

# A line that is no terminal's has no end: one row, one line, for grep and awk.
PLAIN_COLUMNS = 10_000


def console() -> Console:
    """stdout; colours only on a terminal, and not where NO_COLOR is set."""
    return Console(width=None if sys.stdout.isatty() else PLAIN_COLUMNS, highlight=False)


def document(value: object) -> None:
    """Prints one JSON document."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, default=_plain) + "\n")


def rows(found: Sequence[Row], columns: Sequence[str], *, as_json: bool, none: str = "none") -> None:
    """Prints rows: all that is known of each as JSON, the columns named as a table."""
    if as_json:
        document([dict(row) for row in found])
        return
    if not found:
        console().print(none, markup=False)
        return
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column.replace("_", " "), overflow="fold")
    for row in found:
        table.add_row(*(_cell(row.get(column)) for column in columns))
    console().print(table)


def facts(value: Row, *, as_json: bool) -> None:
    """Prints one thing: as JSON, or a line for each of its values."""
    if as_json:
        document(dict(value))
        return
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for name, one in value.items():
        table.add_row(name.replace("_", " "), _cell(one))
    console().print(table)


def _cell(value: object) -> Text:
    """A value for people; what it holds is never read as markup."""
    match value:
        case None:
            return Text("-")
        case float():
            return Text(f"{value:,.1f}")
        case datetime():
            return Text(f"{value:%Y-%m-%d %H:%M:%S}")
        case list() | tuple():
            return Text(", ".join(map(str, value)) or "-")
        case _:
            return Text(str(value))


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    return str(value)
