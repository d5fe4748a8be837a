"""The end of a run: all seventeen invariants, each with what was examined, against databases, topics and history."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import asyncpg

from deploy.audit.audit import audit
from deploy.audit.checks import CONSUMING_DATABASES, Check, Findings, Result, examine_rows
from deploy.audit.checks import run as run_check
from deploy.audit.settings import AuditSettings
from deploy.audit.sql_checks import sql_checks
from deploy.local.settings import TENANT_ID
from tests.chaos.cluster import Cluster
from tests.chaos.history import Poisoned
from tests.chaos.operations import operation_checks
from tests.chaos.watch import Positions

INVARIANTS: Mapping[int, str] = {
    1: "Per SKU and warehouse, units on hand are the sum of the ledger.",
    2: "Reserved units are the sum of the pending holds.",
    3: "0 <= reserved <= on hand, always.",
    4: "No more units of a SKU were posted than received.",
    5: "A hold has at most one end.",
    6: "Every acknowledged order exists with the content that was sent.",
    7: "What was definitely refused left nothing; what stayed unknown at most one order.",
    8: "One key makes at most one order; repeated, it gives the same bytes.",
    9: "After healing nothing is stuck, and whatever waits has a timer.",
    10: "Confirmed orders have what they ordered, cancelled ones nothing.",
    11: "Money is held for confirmed orders only; else its refund is open or done.",
    12: "Events are gapless per aggregate, reach Kafka, first occurrences in order.",
    13: "Each event has exactly one effect or is parked.",
    14: "Positions of consumers never go back.",
    15: "After healing outboxes are empty, lag is 0, and parked is what was poisoned.",
    16: "Orders and warehouse see the same parcels and holds.",
    17: "Memory, connections and tasks come back to what they were.",
}

PARKED = "SELECT grp, topic, part, \"offset\", aggregate_id, cause, state FROM parked_event WHERE state <> 'REPLAYED'"

ORPHANS = """
SELECT o.order_id || ': made under no key' AS offender, NOT EXISTS (
    SELECT FROM request_key AS k
    WHERE k.tenant_id = o.tenant_id AND k.route = 'place' AND k.order_id = o.order_id
) AS bad
FROM orders AS o
"""
"""Only a run can ask this: it is over long before the first key is old enough to be deleted."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """All checks in the order of the invariants."""

    results: Sequence[Result]

    @property
    def holds(self) -> bool:
        """Every invariant was examined and none is broken."""
        return not self.missing and all(result.status == "ok" for result in self.results)

    @property
    def missing(self) -> list[int]:
        """Invariants for which nothing was examined."""
        return [number for number in INVARIANTS if not self.examined(number)]

    def of(self, number: int) -> list[Result]:
        """The checks of one invariant."""
        return [result for result in self.results if result.id.split()[0] == str(number)]

    def examined(self, number: int) -> int:
        """Rows, records, requests or looks, over all its checks."""
        return sum(result.examined for result in self.of(number))


async def in_time_checks(cluster: Cluster, *, late_s_max: float) -> list[Result]:
    """Whether anything is late; asked of the living system, since a halted one is late with everything."""
    return [
        await run_check(check)
        for check in sql_checks(cluster.dsns, late_s_max=late_s_max)
        if _is_about_time(check.id)
    ]


async def verify(
    cluster: Cluster,
    *,
    in_time: Sequence[Result],
    positions: Positions,
    usages: Findings,
) -> Verdict:
    """Runs every check on the halted system; what is about time was examined before."""
    history = cluster.history
    parked = await _parked(cluster)
    settings = AuditSettings(
        dsns=cluster.dsns,
        bootstrap=cluster.bootstrap,
        settle_s_max=0.0,
        late_s_max=0.0,
        history=history.placements_path,
        tenant_id=TENANT_ID,
        json_path=None,
        # How many is not the question here: "15 poison" below compares one by one.
        parked_expected=sum(row["state"] == "PARKED" for row in parked),
        injected=frozenset((one.topic, one.partition, one.offset) for one in history.poison),
    )

    async def sampled() -> Findings:
        findings = Findings(positions.samples)
        findings.blame_all(positions.went_back)
        return findings

    async def poison() -> Findings:
        return judge_parked(parked, history.poison)

    async def resources() -> Findings:
        return usages

    async def orphans() -> Findings:
        return await examine_rows(cluster.dsn("orders"), ORPHANS)

    own = (
        Check("8 orphans", "Every order was made under some key.", orphans),
        Check("14 sampled", "No position was ever seen to go back.", sampled),
        Check("15 poison", "What is parked is exactly what was poisoned, and what it blocks.", poison),
        Check("17 resources", "No replica takes much more than its service did at first.", resources),
    )
    halted = [result for result in await audit(settings) if not _is_about_time(result.id)]
    told = operation_checks(history.path, TENANT_ID, cluster.dsns)
    results = [*in_time, *halted, *[await run_check(check) for check in (*own, *told)]]
    return Verdict(sorted(results, key=lambda result: int(result.id.split()[0])))


def judge_parked(parked: Sequence[Mapping[str, object]], poison: Sequence[Poisoned]) -> Findings:
    """Every parked event was poisoned, or is blocked by one that was; every poison is parked where it has to be."""
    findings = Findings(len(parked) + len(poison))
    places = {(one.topic, one.partition, one.offset): one for one in poison}
    poisoned = {(one.topic, one.aggregate_id) for one in poison}
    found = set()
    for row in parked:
        place = (str(row["topic"]), int(str(row["part"])), int(str(row["offset"])))
        found.add((str(row["grp"]), place))
        if place not in places and (
            row["cause"] != "BLOCKED" or (row["topic"], row["aggregate_id"]) not in poisoned
        ):
            findings.blame(f"{row['grp']} parked {place} of {row['aggregate_id']}: {row['cause']}")
    for place, one in places.items():
        for group in one.groups:
            if (group, place) not in found:
                findings.blame(f"{group} did not park the poison at {place}")
        findings.blame_all(
            f"{group} parked {place}, which it had to pass over"
            for group, at in found
            if at == place and group not in one.groups
        )
    return findings


def _is_about_time(check_id: str) -> bool:
    return check_id.startswith("9 ")


async def _parked(cluster: Cluster) -> list[asyncpg.Record]:
    rows: list[asyncpg.Record] = []
    for database in CONSUMING_DATABASES:
        connection = await asyncpg.connect(cluster.dsn(database))
        try:
            rows += await connection.fetch(PARKED)
        finally:
            await connection.close()
    return rows
