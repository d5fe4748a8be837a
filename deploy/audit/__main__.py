"""Examines the running system. Exit 0: every invariant holds; 1: one is broken; 2: something could not run."""

import asyncio
import json
import logging
import sys
from collections.abc import Sequence
from typing import Any

from rich.console import Console

from deploy.audit.audit import audit, print_results
from deploy.audit.checks import Result
from deploy.audit.exposition import write_metrics
from deploy.audit.settings import AuditSettings, SettingsError, parse
from deploy.audit.settling import settle
from services.chassis import config, kafka, tls

EXIT_HOLDS = 0
EXIT_BROKEN = 1
EXIT_COULD_NOT_RUN = 2


async def examine(settings: AuditSettings) -> tuple[bool, list[Result]]:
    """Waits for rest, then audits; also tells whether rest was found."""
    settled = await settle(settings.bootstrap, settings.dsns, s_max=settings.settle_s_max)
    return settled, await audit(settings)


def document(settled: bool, results: Sequence[Result]) -> dict[str, Any]:
    """The outcome as plain values."""
    return {
        "settled": settled,
        "exit_code": exit_code(results),
        "checks": [result.as_json() for result in results],
    }


def exit_code(results: Sequence[Result]) -> int:
    """A broken invariant weighs more than one that could not be examined."""
    statuses = {result.status for result in results}
    if "failed" in statuses:
        return EXIT_BROKEN
    return EXIT_COULD_NOT_RUN if "could not run" in statuses else EXIT_HOLDS


def warn_of_unrest(settings: AuditSettings) -> None:
    """Says that what was found may be no fault."""
    print(
        f"audit: the system had not come to rest within {settings.settle_s_max:g} s; "
        "what was under way may show as a fault",
        file=sys.stderr,
    )


def main(arguments: Sequence[str]) -> int:
    """Runs one audit from the command line."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    try:
        settings = parse(arguments)
        # As the services reach the brokers: by the same variables.
        kafka.configure(config.load(config.ProcessSettings))
    except (SettingsError, tls.Unusable) as error:
        print(f"audit: {error}", file=sys.stderr)
        return EXIT_COULD_NOT_RUN
    settled, results = asyncio.run(examine(settings))
    code = exit_code(results)
    print_results(Console(width=None if sys.stdout.isatty() else 140), results)
    if not settled:
        warn_of_unrest(settings)
    if settings.json_path is not None:
        settings.json_path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(document(settled, results), indent=2, ensure_ascii=False)
        settings.json_path.write_text(text + "\n", "utf-8")
    if settings.metrics_path is not None:
        write_metrics(settings.metrics_path, results, settled=settled)
    verdict = {EXIT_HOLDS: "all hold", EXIT_BROKEN: "BROKEN", EXIT_COULD_NOT_RUN: "not all could be examined"}
    print(f"audit: {len(results)} checks, {verdict[code]}")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
