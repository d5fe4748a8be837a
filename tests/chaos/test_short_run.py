"""The short form of `make chaos`: one fixed plan over a cluster of replicas, and every invariant afterwards."""

import json
from pathlib import Path

import pytest

from tests.chaos import report
from tests.chaos.__main__ import chosen
from tests.chaos.engine import Engine, RunSettings

SEED = 20
MINUTES = 1.0
RATE_PER_S = 25.0
CONVERGE_S_MAX = 60.0
"""Generous: the promise of seconds is measured by long runs on a machine that does nothing else."""
FAULTS = (
    "process.kill,process.freeze,process.restart,postgres.immediate,postgres.terminate,kafka.kill,"
    "network.cut,network.half-open,network.refuse,events.poison,crash.relay"
)

pytestmark = [pytest.mark.chaos, pytest.mark.stack, pytest.mark.timeout(600)]


async def test_every_invariant_holds_after_a_minute_of_faults(session_folder: Path) -> None:
    settings = RunSettings(
        session_folder / "faults",
        seed=SEED,
        minutes=MINUTES,
        rate_per_s=RATE_PER_S,
        converge_s_max=CONVERGE_S_MAX,
    )
    engine = Engine(settings, chosen(FAULTS), say=print)
    outcome = await engine.run()
    document = report.as_json(engine)
    assert outcome.holds, report.as_markdown(document)
    assert len(+outcome.effective) >= 5, "too few faults to prove anything"
    assert document["operations"]["place"]["ok"] > 100, json.dumps(document["operations"], indent=1)
