"""Named SQL statements kept in a `queries.sql` beside the module that runs them.

    -- name: insert_orders
    -- Adds new orders; the caller has removed repeated request ids.
    INSERT INTO orders (order_id, ...) SELECT ... FROM unnest($1::uuid[], ...);

A block is a name, at least one line of description, and one statement with `$1`, `$2`, ... without gaps.
"""

import functools
import importlib.resources
import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType

_NAME = re.compile(r"^--\s*name:\s*(?P<name>\S+)\s*$")
_VALID_NAME = re.compile(r"^[a-z][a-z0-9_]*$")
_PARAMETER = re.compile(r"\$(\d+)")
_LEXEME = re.compile(
    r"""(?P<comment>--[^\n]*|/\*.*?\*/)
      | (?P<quoted>'(?:[^']|'')*'|"(?:[^"]|"")*"|(?P<tag>\$(?:[A-Za-z_]\w*)?\$).*?(?P=tag))
      | (?P<semicolon>;)
      | (?P<parameter>\$\d+)
      | (?P<other>.)""",
    re.DOTALL | re.VERBOSE,
)


class QueryFileError(ValueError):
    """A queries.sql that breaks the format; the text names the file, the line and the fault."""


@functools.cache
def load_queries(package: str) -> Mapping[str, str]:
    """The statements of a package's queries.sql by name. Call it inside functions and constructors, not at import."""
    source = importlib.resources.files(package).joinpath("queries.sql")
    return MappingProxyType(parse(source.read_text("utf-8"), origin=f"{package}/queries.sql"))


def parse(text: str, *, origin: str = "queries.sql") -> dict[str, str]:
    """The statements in `text` by name, without their comments' header; raises `QueryFileError`."""
    statements: dict[str, str] = {}
    for line_number, name, lines in _blocks(text, origin):
        where = f"{origin}:{line_number}: {name}"
        if not _VALID_NAME.match(name):
            raise QueryFileError(f"{where}: a name is lower case letters, digits and underscores")
        if name in statements:
            raise QueryFileError(f"{where}: the name is used twice")
        statements[name] = _statement(lines, where)
    return statements


def _blocks(text: str, origin: str) -> Iterator[tuple[int, str, list[str]]]:
    start, name, lines = 0, "", list[str]()
    for number, line in enumerate(text.splitlines(), start=1):
        match = _NAME.match(line)
        if match is not None:
            if name:
                yield start, name, lines
            start, name, lines = number, match["name"], []
        elif name:
            lines.append(line)
        elif line.strip() and not line.startswith("--"):
            raise QueryFileError(f"{origin}:{number}: a statement without a name")
    if name:
        yield start, name, lines


def _statement(lines: list[str], where: str) -> str:
    described = 0
    while described < len(lines) and lines[described].startswith("--"):
        described += 1
    if not any(line.strip("- ") for line in lines[:described]):
        raise QueryFileError(f"{where}: no description")
    body = "\n".join(lines[described:]).strip()
    kept, parameters = list[str](), set[int]()
    ended = False
    for lexeme in _LEXEME.finditer(body):
        kind, token = lexeme.lastgroup, lexeme.group()
        if kind == "tag":
            kind = "quoted"
        if kind == "semicolon":
            ended = True
            continue
        if ended and kind != "comment" and not token.isspace():
            raise QueryFileError(f"{where}: more than one statement")
        if kind == "parameter":
            parameters.update(int(number) for number in _PARAMETER.findall(token))
        if kind != "comment":
            kept.append(token)
    statement = "".join(kept).strip()
    if not statement:
        raise QueryFileError(f"{where}: no statement")
    if parameters != set(range(1, len(parameters) + 1)):
        raise QueryFileError(
            f"{where}: parameters must be $1 to $n without a gap, found {sorted(parameters)}"
        )
    return statement
