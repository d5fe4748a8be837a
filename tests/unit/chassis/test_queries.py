"""The format of queries.sql, and that every such file keeps it."""

from importlib.resources import files
from pathlib import Path

import pytest

from services.chassis.queries import QueryFileError, load_queries, parse


def test_blocks_become_statements() -> None:
    """Names, descriptions and comments go; quotes, dollar quotes and casts stay."""
    found = parse(
        """-- A header for the reader.

-- name: one
-- Reads one.
SELECT ';', $1::text, "a;b" /* why; */ -- because;
FROM t WHERE x = $2 AND y = $1;

-- name: two
-- Does things.
-- And more.
DO $body$ BEGIN PERFORM 1; END $body$
"""
    )
    assert " ".join(found["one"].split()) == "SELECT ';', $1::text, \"a;b\" FROM t WHERE x = $2 AND y = $1"
    assert found["two"] == "DO $body$ BEGIN PERFORM 1; END $body$"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("SELECT 1;", "without a name"),
        ("-- name: Bad-Name\n-- x\nSELECT 1;", "lower case"),
        ("-- name: a\n-- x\nSELECT 1;\n-- name: a\n-- x\nSELECT 2;", "used twice"),
        ("-- name: a\nSELECT 1;", "no description"),
        ("-- name: a\n--\nSELECT 1;", "no description"),
        ("-- name: a\n-- x\n", "no statement"),
        ("-- name: a\n-- x\n-- y\n;", "no statement"),
        ("-- name: a\n-- x\nSELECT 1; SELECT 2;", "more than one"),
        ("-- name: a\n-- x\nSELECT $1, $3;", "without a gap"),
    ],
)
def test_faults_are_named(text: str, fault: str) -> None:
    """The text says which rule is broken and where."""
    with pytest.raises(QueryFileError, match=fault) as raised:
        parse(text, origin="x/queries.sql")
    assert str(raised.value).startswith("x/queries.sql:")


def test_every_file_in_the_tree_keeps_the_format() -> None:
    """All services' statements parse, and a second load is the same object."""
    root = Path(str(files("services.chassis"))).parent
    packages = [f"services.{path.parent.name}" for path in root.glob("*/queries.sql")]
    assert "services.chassis" in packages
    for package in packages:
        assert load_queries(package)
        assert load_queries(package) is load_queries(package)
