"""The rows that the commands on parked events print, for the command line of any service."""

import dataclasses
from collections.abc import Mapping, Sequence

from services.chassis.consumer.handlers import Handler
from services.chassis.consumer.parking import LIST_MAX, discard_parked, list_parked, replay_parked
from services.chassis.errors import InvalidArgument
from services.chassis.pg import Database


async def parked_rows(
    db: Database, groups: Mapping[str, Handler], *, group: str | None, aggregate_id: str | None, limit: int
) -> list[dict[str, object]]:
    """Events still parked, of one group or of all, oldest first per group."""
    return [
        {"group": name, **dataclasses.asdict(event)}
        for name in _chosen(groups, group)
        for event in await list_parked(db, name, aggregate_id=aggregate_id, limit=min(limit, LIST_MAX))
    ]


async def replay_rows(
    db: Database,
    groups: Mapping[str, Handler],
    *,
    group: str | None,
    aggregate_id: str | None,
    limit: int,
    actor: str,
    across_gaps: bool = False,
) -> list[dict[str, object]]:
    """Replays up to `limit` aggregates per group; a summary per group, then what stays parked and why."""
    rows: list[dict[str, object]] = []
    for name in _chosen(groups, group):
        report = await replay_parked(
            db,
            name,
            groups[name],
            actor=actor,
            aggregate_id=aggregate_id,
            aggregates_max=limit,
            across_gaps=across_gaps,
        )
        rows.append({"group": name, "replayed": report.replayed, "failed": len(report.failures)})
        rows += [
            {"group": name, "topic": topic, "aggregate_id": failed_id, "detail": detail}
            for (topic, failed_id), detail in report.failures.items()
        ]
    return rows


async def discard_rows(
    db: Database,
    groups: Mapping[str, Handler],
    *,
    group: str | None,
    ids: Sequence[int],
    actor: str,
    note: str,
) -> list[dict[str, object]]:
    """Gives events of one group up; how many of them were parked."""
    return [
        {"group": name, "discarded": len(await discard_parked(db, name, ids, actor=actor, note=note))}
        for name in _chosen(groups, group)
    ]


def require_group(groups: Mapping[str, Handler], group: str) -> None:
    """Raises GROUP_UNKNOWN for a group that the service does not have."""
    if group not in groups:
        raise InvalidArgument(
            "GROUP_UNKNOWN", f"there is no group {group}, only {', '.join(sorted(groups))}", field="group"
        )


def _chosen(groups: Mapping[str, Handler], group: str | None) -> list[str]:
    if group is None:
        return sorted(groups)
    require_group(groups, group)
    return [group]
