"""The checks that hold a client's own record against what is stored (see deploy/replay/history.py)."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import asyncpg
import msgspec

from deploy.audit.checks import Check, Connection, Findings, connected
from deploy.replay.history import Entry, read_history
from services.chassis.money import from_minor
from services.chassis.queries import load_queries

CHUNK = 1_000


Stored: TypeAlias = asyncpg.Record | Mapping[str, Any] | None
"""What the database has under a key; None for nothing."""


@dataclass(slots=True)
class Story:
    """All that a client was told under one key."""

    entries: list[Entry] = field(default_factory=list)

    @property
    def acknowledged(self) -> list[Entry]:
        """The answers with 2xx."""
        return [entry for entry in self.entries if entry.outcome == "ok"]

    @property
    def is_refused(self) -> bool:
        """Definitely refused in the end. What was unknown before may have been a placement; the refusal settles it."""
        return not self.acknowledged and self.entries[-1].outcome == "refused"


def history_checks(history: Path, tenant_id: str, orders_dsn: str) -> list[Check]:
    """All of them."""
    return [
        Check(
            "6 acknowledged",
            "Every order that a client was told of exists with the content that it sent.",
            partial(_examine, history, tenant_id, orders_dsn, judge_acknowledged),
        ),
        Check(
            "7 refused",
            "A request that was definitely refused left no order; an unknown one at most one.",
            partial(_examine, history, tenant_id, orders_dsn, judge_refused),
        ),
        Check(
            "8 same answer",
            "Repeated under its key, a request got the same bytes again.",
            partial(_examine, history, tenant_id, orders_dsn, judge_answers),
        ),
    ]


def judge_acknowledged(story: Story, stored: Stored) -> str | None:
    """What is stored is what was asked for, under the id that was told."""
    if not story.acknowledged:
        return None
    entry = story.acknowledged[0]
    if stored is None or stored["order_id"] is None:
        return f"order {entry.order_id} was acknowledged and is not stored"
    if stored["order_id"] != entry.order_id:
        return f"order {entry.order_id} was acknowledged, {stored['order_id']} is stored"
    asked = msgspec.json.decode(entry.request)
    lines = "\n".join(f"{line['quantity']} {line['sku']}" for line in asked["lines"])
    content = {
        "lines": (lines, stored["lines"]),
        "buyer_ref": (asked["buyer_ref"], stored["buyer_ref"]),
        "currency_code": (asked["currency_code"], stored["currency_code"]),
        "region_code": (asked["ship_to"]["region_code"], stored["region_code"]),
    }
    if expected := asked.get("expected_total"):
        total = from_minor(stored["total_minor"], stored["currency_code"])
        content["total"] = (expected["amount"], format(total, "f"))
    wrong = sorted(name for name, (sent, kept) in content.items() if sent != kept)
    return f"order {entry.order_id} is stored with another {', '.join(wrong)}" if wrong else None


def judge_refused(story: Story, stored: Stored) -> str | None:
    """A refusal left nothing. For an unknown outcome the key's uniqueness already bounds it to one order."""
    if story.is_refused and stored is not None and stored["key_order_id"] is not None:
        return f"was refused ({story.entries[-1].reason}), yet order {stored['key_order_id']} is stored"
    return None


def judge_answers(story: Story, _: Stored) -> str | None:
    """All acknowledgements of the same request are the same bytes."""
    answers = {(bytes(entry.request), entry.order_id, entry.reply_sha256) for entry in story.acknowledged}
    requests = {request for request, _, _ in answers}
    return f"{len(answers)} different answers" if len(answers) > len(requests) else None


Judge = Callable[[Story, Stored], str | None]


async def _examine(history: Path, tenant_id: str, orders_dsn: str, judge: Judge) -> Findings:
    findings = Findings()
    query = load_queries("deploy.audit")["orders_of_keys"]
    stories = await _stories(history)
    async with connected(orders_dsn) as connection:
        for chunk in _chunks(stories):
            stored = await _stored(connection, query, tenant_id, list(chunk))
            for key, story in chunk.items():
                findings.examined += 1
                fault = judge(story, stored.get(key))
                if fault is not None:
                    findings.blame(f"{key}: {fault}")
    return findings


async def _stories(history: Path) -> dict[str, Story]:
    stories: dict[str, Story] = {}
    for entry in read_history(history):
        stories.setdefault(entry.key, Story()).entries.append(entry)
    return stories


async def _stored(
    connection: Connection, query: str, tenant_id: str, keys: list[str]
) -> dict[str, asyncpg.Record]:
    return {row["request_id"]: row for row in await connection.fetch(query, tenant_id, keys)}


def _chunks(stories: Mapping[str, Story]) -> Iterator[dict[str, Story]]:
    items = iter(stories.items())
    while chunk := dict(islice(items, CHUNK)):
        yield chunk
