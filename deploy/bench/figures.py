"""From the runs of a part to its figures: medians with their range, the comparison, and the proof of all runs."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

Run = Mapping[str, Any]

SUMMED = frozenset(
    {"oversold", "unsold", "sent", "accepted", "repeated", "refused_early", "rejected", "shed", "undecided"}
)
"""Counts: over all runs their sum is what matters; of anything else the median."""


def summarise(runs: Sequence[Run], raw_per_s: Sequence[float] = ()) -> dict[str, Any]:
    """The figures of a part. `raw_per_s` are those of its yardstick, measured between these runs."""
    figures = {name: _combined(name, [run.get(name) for run in runs]) for name in runs[0]}
    rates = [run["per_s"] for run in runs]
    raw = round(statistics.median(raw_per_s), 1) if raw_per_s else None
    return figures | {
        "per_s": statistics.median(rates),
        "per_s_min": min(rates),
        "per_s_max": max(rates),
        "raw_per_s": raw,
        "raw_per_s_runs": [round(one, 1) for one in raw_per_s],
        "ratio": round(statistics.median(rates) / raw, 3) if raw else None,
        "faults": [fault for run in runs for fault in run.get("faults", ())],
        "runs": [dict(run) for run in runs],
    }


def latency_rate_per_s(spread_runs: Sequence[Run]) -> float:
    """Half of the measured spread rate."""
    return float(statistics.median([run["per_s"] for run in spread_runs])) / 2


def all_faults(figures: Mapping[str, Any]) -> list[str]:
    """What any part's proof does not hold, by part."""
    return [
        f"{key}: {fault}"
        for key, part in figures.items()
        if isinstance(part, Mapping)
        for fault in part.get("faults", ())
    ]


def _combined(name: str, values: Sequence[Any]) -> Any:
    if all(isinstance(value, bool) for value in values):
        return all(values)
    if all(isinstance(value, int | float) for value in values):
        if name in SUMMED:
            return sum(values)
        return round(statistics.median(values), 4)
    if all(isinstance(value, Mapping) for value in values):
        return _merged(name, values)
    return values[-1]


def _merged(name: str, values: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Statuses and proofs add up; measurements by name have medians of their own."""
    adds = name in ("statuses", "proof")
    merged: dict[str, Any] = {}
    for key in dict.fromkeys(key for value in values for key in value):
        found = [value[key] for value in values if key in value]
        if all(isinstance(one, bool) for one in found):
            merged[key] = all(found)
        else:
            merged[key] = sum(found) if adds else round(statistics.median(found), 4)
    return merged
