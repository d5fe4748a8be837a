"""What may be told of an error of PostgreSQL, in logs and in stored details.

Its DETAIL quotes the row that was refused ("Failing row contains ..."), and with it names and addresses; the
messages about data that cannot be read quote the value. Both are left out. The type, the state, the table and
the constraint are names of ours and say what is wrong.
"""

import contextlib
import traceback
from collections.abc import Iterator
from types import TracebackType
from typing import TypeAlias

import asyncpg

DATA_CLASS = "22"
"""The class of states whose messages quote the data at fault."""

_FACTS = ("sqlstate", "schema_name", "table_name", "column_name", "constraint_name")
_Raised: TypeAlias = tuple[type[BaseException], BaseException, TracebackType | None]


def describe(error: BaseException) -> str:
    """The error's type and what may be told of it, in one line where it is one of PostgreSQL."""
    return f"{type(error).__name__}: {_told(error)}"


def render(exc_info: _Raised) -> str:
    """The traceback of an error and of all that led to it, without what PostgreSQL quotes of the data."""
    with contextlib.ExitStack() as stack:
        for one in _chain(exc_info[1]):
            if isinstance(one, asyncpg.PostgresError | asyncpg.InterfaceError):
                stack.enter_context(_silenced(one))
        return "".join(traceback.format_exception(*exc_info)).rstrip("\n")


def _told(error: BaseException) -> str:
    if isinstance(error, asyncpg.PostgresError):
        facts = {name: getattr(error, name, None) for name in _FACTS}
        told = ", ".join(f"{name}={value}" for name, value in facts.items() if value)
        message = str(error.args[0]) if error.args else ""
        if not message or (error.sqlstate or "").startswith(DATA_CLASS):
            return told
        return f"{message} ({told})" if told else message
    if isinstance(error, asyncpg.InterfaceError) and isinstance(error, ValueError):
        # "invalid input for query argument $3: ..." quotes the argument.
        return "a value does not fit its parameter"
    return str(error)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, its causes, its contexts and the members of groups, each once."""
    seen: set[int] = set()
    left: list[BaseException | None] = [error]
    while left:
        one = left.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        left += [one.__cause__, one.__context__]
        if isinstance(one, BaseExceptionGroup):
            left += one.exceptions


@contextlib.contextmanager
def _silenced(error: asyncpg.PostgresError | asyncpg.InterfaceError) -> Iterator[None]:
    """Makes the text of the error the one that may be told, for the time of its rendering."""
    args, detail = error.args, error.detail
    error.args, error.detail = (_told(error),), None
    try:
        yield
    finally:
        error.args, error.detail = args, detail
