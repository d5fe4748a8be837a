"""What clients were told of bookings, payments and cancellations, against what is stored: each carried out as told.

Placements are the audit's (deploy/audit/history_checks.py); this is everything else that changes something.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from deploy.audit.checks import Check, Findings, connected
from tests.chaos.history import Outcome

BOOKINGS = frozenset({"receive", "adjust"})

LEDGER = """
SELECT document, warehouse_id, sku, delta FROM ledger
WHERE tenant_id = $1 AND reason NOT IN ('PICK', 'CANCEL_RESTOCK')
"""
PAYMENTS = "SELECT count(*) FROM payments WHERE order_id = $1::text::uuid"
CANCELLATIONS = (
    "SELECT count(*) FROM order_transitions WHERE order_id = $1::text::uuid AND cause = 'CancelOrder'"
)

Lines = Counter[tuple[str, str, int]]
"""How often each warehouse, SKU and change of units."""


class Told(msgspec.Struct):
    """One line of history.jsonl, as far as it is read here."""

    type: str
    op: str = ""
    key: str = ""
    outcome: Outcome = "unknown"
    order_id: str = ""
    request: str = ""


@dataclass(slots=True)
class Operation:
    """All that was told under one key."""

    op: str
    order_id: str
    request: str
    outcome: Outcome
    """The acknowledgement if there was one, else the last that was told."""


def operations(history: Path) -> dict[str, Operation]:
    """By key: what changes something and is no placement."""
    found: dict[str, Operation] = {}
    decoder = msgspec.json.Decoder(Told)
    with history.open("rb") as lines:
        for told in map(decoder.decode, lines):
            if told.type != "operation" or told.op not in {*BOOKINGS, "pay", "cancel"} or not told.key:
                continue
            known = found.setdefault(told.key, Operation(told.op, told.order_id, told.request, told.outcome))
            if known.outcome != "ok":
                known.outcome = told.outcome
    return found


def lines_of(body: Mapping[str, Any]) -> Lines:
    """What a booking asks for; receipts only ever add."""
    return Counter((body["warehouse_id"], line["sku"], line["quantity"]) for line in body["lines"])


def judge_booking(outcome: Outcome, asked: Lines, booked: Lines) -> str | None:
    """Carried out exactly once, or not at all, as was told; where nothing was told, either."""
    allowed = {"ok": (asked,), "refused": (Counter(),), "unknown": (asked, Counter())}[outcome]
    if booked in allowed:
        return None
    return f"was {outcome}, asked for {sorted(asked.elements())}, the ledger has {sorted(booked.elements())}"


def judge_times(outcomes: Sequence[Outcome], stored: int) -> str | None:
    """As often as was acknowledged; more only by as many as are unknown."""
    least = outcomes.count("ok")
    most = least + outcomes.count("unknown")
    if least <= stored <= most:
        return None
    return f"was carried out {stored} times, told were {least}, unknown are {most - least}"


def operation_checks(history: Path, tenant_id: str, dsns: Mapping[str, str]) -> list[Check]:
    """All of them."""
    return [
        Check(
            "6 bookings",
            "What was booked into and out of stock is what was told, line by line.",
            partial(_bookings, history, tenant_id, dsns["warehouse"]),
        ),
        Check(
            "6 paid",
            "Every payment that a client was told of exists.",
            partial(_payments, history, dsns["orders"]),
        ),
        Check(
            "6 cancelled",
            "Every cancellation that a client was told of was carried out once.",
            partial(_cancellations, history, dsns["orders"]),
        ),
    ]


async def _bookings(history: Path, tenant_id: str, dsn: str) -> Findings:
    findings = Findings()
    booked: defaultdict[str, Lines] = defaultdict(Counter)
    async with connected(dsn) as connection:
        for row in await connection.fetch(LEDGER, tenant_id):
            booked[row["document"]][row["warehouse_id"], row["sku"], row["delta"]] += 1
    for key, one in operations(history).items():
        if one.op not in BOOKINGS:
            continue
        body = json.loads(one.request)
        findings.examined += 1
        if fault := judge_booking(one.outcome, lines_of(body), booked[body["document"]]):
            findings.blame(f"{one.op} {key}: {fault}")
    return findings


async def _payments(history: Path, dsn: str) -> Findings:
    findings = Findings()
    async with connected(dsn) as connection:
        for order_id, outcomes in _by_order(history, "pay"):
            findings.examined += len(outcomes)
            # Prepaid orders have one that nobody asked for, declined ones stay: only too few are a fault.
            if "ok" in outcomes and not await connection.fetchval(PAYMENTS, order_id):
                findings.blame(f"order {order_id} was paid, no payment is stored")
    return findings


async def _cancellations(history: Path, dsn: str) -> Findings:
    findings = Findings()
    async with connected(dsn) as connection:
        for order_id, outcomes in _by_order(history, "cancel"):
            findings.examined += len(outcomes)
            stored = await connection.fetchval(CANCELLATIONS, order_id)
            if fault := judge_times(outcomes, stored):
                findings.blame(f"the cancellation of order {order_id} {fault}")
    return findings


def _by_order(history: Path, op: str) -> Iterator[tuple[str, list[Outcome]]]:
    """The outcomes of all requests of a kind about one order."""
    by_order: dict[str, list[Outcome]] = {}
    for one in operations(history).values():
        if one.op == op:
            by_order.setdefault(one.order_id, []).append(one.outcome)
    yield from by_order.items()
