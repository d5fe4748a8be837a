"""Versions that are missing before an event. In a topic whose versions have no gaps, an event from further ahead is
a forgery, a fault, or comes after records that were lost: applied, it would make the missing ones look like
duplicates when they come after all. So it waits, parked, until they have come or a person has given them up.
"""

from collections.abc import Collection, Mapping, Sequence, Set

from services.chassis.pg import Connection
from services.chassis.queries import load_queries

AggregateKey = tuple[str, str]
NOTHING_GIVEN_UP: Mapping[AggregateKey, Set[int]] = {}


class VersionsMissing(Exception):
    """Events between the last one applied and this one have neither come nor been given up."""


def missing(known: int, version: int, given_up: Set[int]) -> str:
    """Which versions an event lacks, in words; empty where it may follow.

    Of an aggregate without a known version nothing is said: it may be new here, or forgotten long ago.
    """
    if known == 0 or version <= known + 1:
        return ""
    between = version - known - 1
    if between <= len(given_up) and all(lacking in given_up for lacking in range(known + 1, version)):
        return ""
    return (
        f"version {known + 1} is missing"
        if between == 1
        else f"versions {known + 1} to {version - 1} are missing"
    )


async def given_up(
    connection: Connection, group: str, keys: Collection[AggregateKey]
) -> dict[AggregateKey, Set[int]]:
    """The versions of the aggregates that were discarded by command."""
    found: dict[AggregateKey, set[int]] = {}
    rows: Sequence[tuple[str, str, int]] = await connection.fetch(
        load_queries("services.chassis")["look_up_discarded"],
        group,
        [topic for topic, _ in keys],
        [aggregate_id for _, aggregate_id in keys],
    )
    for topic, aggregate_id, version in rows:
        found.setdefault((topic, aggregate_id), set()).add(version)
    return dict(found)
