"""A long run from the command line. Exit 0: everything holds; 1: something is broken; 2: it could not run."""

import argparse
import asyncio
import json
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import uvloop

from deploy.local.settings import ROOT, StackError
from tests.chaos import report
from tests.chaos.engine import CONVERGE_S_MAX, Engine, RunSettings
from tests.chaos.fault import Fault
from tests.chaos.faults import all_faults

SEED_MAX = 1_000_000
EXIT_HOLDS, EXIT_BROKEN, EXIT_COULD_NOT_RUN = 0, 1, 2


def chosen(wanted: str) -> list[Fault]:
    """The kinds that match one of the words, a name or the beginning of one ("network", "process.kill")."""
    faults = list(all_faults())
    if not wanted:
        return faults
    words = [word.strip() for word in wanted.split(",")]
    found = [fault for fault in faults if any(fault.name.startswith(word) for word in words)]
    if unmatched := [word for word in words if not any(fault.name.startswith(word) for fault in faults)]:
        raise StackError(
            f"no fault {', '.join(unmatched)}: there are {', '.join(fault.name for fault in faults)}"
        )
    return found


def main(arguments: Sequence[str]) -> int:
    """One run."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos",
        description="Breaks a cluster by a seeded plan under load and checks every invariant.",
    )
    add = parser.add_argument
    add("--minutes", type=float, default=5.0, help="length of the safety phase")
    add("--seed", type=int, default=None, help="repeats a plan; a random one by default")
    add("--faults", default="", help="only these kinds or families, separated by commas")
    add("--rate", type=float, default=60.0, help="operations per second")
    add("--converge", type=float, default=CONVERGE_S_MAX, help="seconds to come to rest in after the faults")
    add("--folder", type=Path, default=None, help="where data, logs and history go")
    add("--json", type=Path, default=None, help="where to write the report as JSON")
    add("--markdown", type=Path, default=None, help="where to write the report as Markdown")
    given = parser.parse_args(arguments)
    seed = random.SystemRandom().randrange(SEED_MAX) if given.seed is None else given.seed
    folder = given.folder or ROOT / ".local" / f"chaos-{seed}-{int(time.time())}"
    started = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - started:7.1f} s  {text}", flush=True)

    say(f"seed {seed}, logs in {folder}")
    try:
        engine = Engine(
            RunSettings(folder, seed, given.minutes, rate_per_s=given.rate, converge_s_max=given.converge),
            chosen(given.faults),
            say=say,
        )
        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
        asyncio.run(engine.run())
    except (StackError, RuntimeError) as error:
        print(f"chaos: {error}", file=sys.stderr)
        return EXIT_COULD_NOT_RUN
    document = report.as_json(engine)
    text = report.as_markdown(document)
    for path, content in ((given.json, json.dumps(document, indent=2) + "\n"), (given.markdown, text)):
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, "utf-8")
    print(text)
    print(f"chaos: seed {seed} {'holds' if document['holds'] else 'is BROKEN'}")
    return EXIT_HOLDS if document["holds"] else EXIT_BROKEN


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
