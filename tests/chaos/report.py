"""What a run has shown: a table for the terminal, Markdown for a page, JSON for machines."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from tests.chaos.engine import Engine
from tests.chaos.faults.crash_points import CATALOGUE
from tests.chaos.outcome import Outcome
from tests.chaos.verify import INVARIANTS, Verdict

LISTED_MAX = 20


def as_json(engine: Engine) -> dict[str, Any]:
    """Everything, as plain values."""
    outcome, history = engine.outcome, engine.history
    verdict = outcome.verdict
    longest = outcome.longest_healing
    return {
        "holds": outcome.holds,
        "seed": outcome.seed,
        "minutes": outcome.minutes,
        "duration_s": round(outcome.duration_s, 1),
        "load_average": round(outcome.load_average, 1),
        "cores": os.cpu_count(),
        "rate_per_s": engine.settings.rate_per_s,
        "replicas": dict(engine.cluster.replicas),
        "faults": {
            "injected": dict(sorted(outcome.injected.items())),
            "came_to_nothing": dict(sorted(outcome.came_to_nothing.items())),
            "effective": outcome.effective.total(),
            "crash_points": _crash_points(outcome),
            "skipped": outcome.skipped,
            "failed": outcome.failed_injections,
            "unasked_ends": [asdict(end) for end in engine.cluster.unasked_ends],
        },
        "operations": {
            op: {name: history.operations[op, name] for name in ("ok", "refused", "unknown")}
            | {"settled": history.settled[op]}
            for op in sorted({op for op, _ in history.operations})
        },
        "refusals": {f"{op} {reason}": count for (op, reason), count in sorted(history.refusals.items())},
        "repeated_attempts": dict(engine.cluster.client.attempts.most_common()),
        "healing": {
            "longest_s": longest.healed_s if longest else None,
            "longest_fault": f"{longest.step.fault} {longest.step.target}" if longest else None,
            "by_fault_s": _longest_by_fault(outcome),
            "late": [f"{one.step.fault} {one.step.target}" for one in outcome.late_healings],
            "late_s_min": engine.settings.well_s_max,
            "measured": sum(healing.healed_s is not None for healing in outcome.healings),
            "not_well_before_the_next": sum(healing.healed_s is None for healing in outcome.healings),
        },
        "liveness": {
            "ready_s": round(outcome.ready_s, 2),
            "converge_s": None if outcome.converge_s is None else round(outcome.converge_s, 2),
            "converge_s_max": outcome.converge_s_max,
            "left": outcome.left,
        },
        "always_checked": dict(outcome.always),
        "always_unlooked": outcome.unlooked,
        "load": asdict(engine.load_counts),
        "violations": outcome.violations,
        "unknown_for_good": outcome.unknown_for_good,
        "poison": len(history.poison),
        "usage_first": {name: asdict(usage) for name, usage in outcome.usage_first.items()},
        "usage_last": {name: asdict(usage) for name, usage in outcome.usage_last.items()},
        "invariants": [] if verdict is None else [_invariant(number, verdict) for number in INVARIANTS],
        "checks": [] if verdict is None else [dict(result.as_json()) for result in verdict.results],
        "logs": str(engine.cluster.logs_folder),
        "history": str(history.path),
    }


def as_markdown(document: dict[str, Any]) -> str:
    """The same for people; also what the terminal shows."""
    holds = "holds" if document["holds"] else "**BROKEN**"
    replicas = ", ".join(f"{count} {name}" for name, count in document["replicas"].items())
    liveness, healing = document["liveness"], document["healing"]
    converge = "never" if liveness["converge_s"] is None else f"{liveness['converge_s']:.1f} s"
    lines = [
        f"# Chaos, seed {document['seed']}: {holds}",
        "",
        f"{document['minutes']:g} minutes of faults at {document['rate_per_s']:g} operations/s; {replicas}; "
        f"{document['duration_s']:.0f} s in all, load average {document['load_average']:g} on "
        f"{document['cores']} cores.",
        "",
        f"At rest {converge} after the end of the faults (at most {liveness['converge_s_max']:g} s; all "
        f"processes ready after {liveness['ready_s']:.1f} s). Longest healing: "
        + (
            "none seen."
            if healing["longest_s"] is None
            else f"{healing['longest_s']:.1f} s after {healing['longest_fault']}, of {healing['measured']} seen; "
            f"{healing['not_well_before_the_next']} overlapped with the next fault or had not healed before it."
        ),
        "",
        *_table(
            ("fault", "injected", "came to nothing", "longest healing, s"),
            [
                (
                    name,
                    count,
                    document["faults"]["came_to_nothing"].get(name, 0),
                    healing["by_fault_s"].get(name, ""),
                )
                for name, count in document["faults"]["injected"].items()
            ]
            + [(name, f"skipped: {why}", "", "") for name, why in document["faults"]["skipped"].items()],
        ),
        "",
        *_table(
            ("operation", "ok", "refused", "unknown", "of the unknown settled"),
            [
                (name, one["ok"], one["refused"], one["unknown"], one["settled"])
                for name, one in document["operations"].items()
            ],
        ),
        "",
        *_table(
            ("", "invariant", "examined", "checks", "faults"),
            [
                (one["number"], one["sentence"], f"{one['examined']:,}", one["checks"], one["verdict"])
                for one in document["invariants"]
            ],
        ),
    ]
    counts = document["load"]
    lines += [
        "",
        f"{counts['repeated']} repetitions compared, {counts['skipped']} operations not sent since too many were "
        f"under way; {document['unknown_for_good']} outcomes unknown for good.",
    ]
    lines += _listed("Broken", _offenders(document["checks"]))
    lines += _listed("Seen by clients or during faults", document["violations"])
    lines += _listed(f"Not well {healing['late_s_min']:g} s after a fault that stood alone", healing["late"])
    lines += _listed("Always true, but never looked at", document["always_unlooked"])
    lines += _listed(
        "No fault did anything",
        [] if document["faults"]["effective"] else ["this run proves nothing"],
    )
    lines += _listed(
        "Crash points at which nothing died",
        [name for name, hits in document["faults"]["crash_points"].items() if not hits],
    )
    lines += _listed("Faults that could not be injected", document["faults"]["failed"])
    lines += _listed("Not at rest", liveness["left"] if liveness["converge_s"] is None else [])
    lines += _listed(
        "Processes that ended unasked",
        [
            f"{end['name']} at {end['at_s']:.0f} s: {end['last_words']}"
            for end in document["faults"]["unasked_ends"]
        ],
    )
    return "\n".join([*lines, "", f"Logs: {document['logs']}; history: {document['history']}", ""])


def _invariant(number: int, verdict: Verdict) -> dict[str, Any]:
    results = verdict.of(number)
    failed = sum(result.failed for result in results)
    unrun = [result.id for result in results if result.status == "could not run"]
    examined = verdict.examined(number)
    return {
        "number": number,
        "sentence": INVARIANTS[number],
        "examined": examined,
        "checks": len(results),
        "failed": failed,
        "verdict": f"{failed}" if failed or not (unrun or not examined) else "not examined",
    }


def _crash_points(outcome: Outcome) -> dict[str, int]:
    """Deaths at each point of the groups that were armed."""
    return {
        point: outcome.crash_hits[point]
        for name, group in CATALOGUE.items()
        if outcome.injected[f"crash.{name}"]
        for point in group.points
    }


def _longest_by_fault(outcome: Outcome) -> dict[str, float]:
    longest: dict[str, float] = {}
    for healing in outcome.healings:
        if healing.healed_s is not None:
            name = healing.step.fault
            longest[name] = max(longest.get(name, 0.0), round(healing.healed_s, 1))
    return dict(sorted(longest.items()))


def _offenders(checks: Sequence[dict[str, Any]]) -> list[str]:
    return [
        f"{check['id']}: {offender}"
        for check in checks
        if check["status"] != "ok"
        for offender in (check["offenders"] or [check["remark"] or "could not run"])
    ]


def _listed(title: str, lines: Sequence[str]) -> list[str]:
    if not lines:
        return []
    more = [f"- and {len(lines) - LISTED_MAX} more"] if len(lines) > LISTED_MAX else []
    return ["", f"## {title}", "", *(f"- {line}" for line in lines[:LISTED_MAX]), *more]


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    return [
        f"| {' | '.join(head)} |",
        f"|{'---|' * len(head)}",
        *(f"| {' | '.join(map(str, row))} |" for row in rows),
    ]
