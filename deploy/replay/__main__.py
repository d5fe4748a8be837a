"""Reads a file of sales, sends them through the public API, follows them to the end, prints the account.

Ends with 0 where every number adds up and the audit is green, 1 where something was lost, invented or left
unknown, 2 where it could not run.
"""

import contextlib
import json
import os
import sys
import time
from collections.abc import Sequence

import uvloop
from rich.console import Console

from deploy.audit.__main__ import main as audit
from deploy.replay import account, following, placing, prepare
from deploy.replay.catalogue import Naming, items_of, parcels_needed
from deploy.replay.client import Api, PatienceEnded
from deploy.replay.history import History
from deploy.replay.report import Report, latency_facts
from deploy.replay.retail import SaleOrder, Sales, UnreadableFile, read_sales
from deploy.replay.settings import ReplaySettings, SettingsError, parse

EXIT_HOLDS = 0
EXIT_DOES_NOT_HOLD = 1
EXIT_COULD_NOT_RUN = 2
REQUEST_TIMEOUT_S = 30.0


async def replay(settings: ReplaySettings, sales: Sales, orders: Sequence[SaleOrder]) -> Report:
    """The whole replay. Raises PreparationFailed, UnexpectedAnswer, PatienceEnded."""
    naming = Naming(settings.run)
    report = Report(settings.run, facts={"file": settings.file.name, "concurrency": settings.concurrency})
    account.account_of_rows(report, sales, orders)
    api = Api(
        settings.target.base_url,
        settings.target.api_key,
        patience_s=settings.patience_s,
        timeout_s=REQUEST_TIMEOUT_S,
        connections_max=settings.concurrency + 8,
    )
    async with api.opened():
        items = items_of(orders)
        started = time.monotonic()
        await prepare.open_shop(api, naming)
        await prepare.import_catalogue(api, naming, items, sales.titles)
        received = await prepare.receive_stock(api, naming, orders)
        await prepare.await_catalogue(api, naming, items)
        report.facts |= {"products": len(items), "preparation_s": round(time.monotonic() - started, 1)}
        with History(settings.history_path) as history:
            placed = await placing.place_all(api, naming, orders, history, settings.concurrency)
            decided = await following.await_states(api, naming, following.UNDECIDED)
            decided_s = time.monotonic()
            repeated = await placing.repeat_some(api, naming, orders, placed, history, settings.repeat_every)
        _speed(report, placed, await _decision_seconds(api, placed))
        if settings.until == "delivered":
            expected = sum(map(parcels_needed, orders))
            decided = await following.deliver_all(api, naming, expected) and decided
            report.facts["delivering_s"] = round(time.monotonic() - decided_s, 1)
        comparison = account.Comparison(naming, orders, placed.placements)
        async for listed in following.list_orders(api, naming):
            comparison.take(listed)
        stored = comparison.finish()
        account.account_of_orders(report, orders, placed, stored, repeated)
        if settings.until == "delivered":
            left = await following.stock_left(api, naming)
            account.account_of_end(report, stored, received, left)
        if not decided:
            report.notes.append(f"Gave up waiting: nothing moved for {settings.patience_s:g} s.")
        if api.retried:
            causes = ", ".join(f"{cause} {count:,}" for cause, count in api.retried.most_common())
            report.notes.append(f"Attempts repeated with the same key: {causes}.")
    return report


def carry_out(settings: ReplaySettings) -> Report:
    """Reads the file and replays it. Raises UnreadableFile, and what `replay` raises."""
    sales = read_sales(settings.file)
    orders = sales.orders[: settings.orders_max]
    print(f"replay: run {settings.run}: {len(orders):,} of {len(sales.orders):,} orders", file=sys.stderr)
    return uvloop.run(replay(settings, sales, orders))


def main(arguments: Sequence[str]) -> int:
    """Runs one replay from the command line."""
    console = Console(width=None if sys.stdout.isatty() else 140)
    try:
        settings = parse(arguments)
    except SettingsError as error:
        print(f"replay: {error}", file=sys.stderr)
        return EXIT_COULD_NOT_RUN
    try:
        report = carry_out(settings)
    except UnreadableFile as error:
        print(f"replay: {error}", file=sys.stderr)
        return EXIT_COULD_NOT_RUN
    except (prepare.PreparationFailed, following.UnexpectedAnswer, PatienceEnded) as error:
        print(f"replay: {error}", file=sys.stderr)
        print(f"replay: go on with RUN={settings.run}: nothing is doubled", file=sys.stderr)
        return EXIT_COULD_NOT_RUN
    report.print(console)
    if settings.json_path is not None:
        settings.json_path.parent.mkdir(parents=True, exist_ok=True)
        document = json.dumps(report.as_json(), indent=2, ensure_ascii=False)
        settings.json_path.write_text(document + "\n", "utf-8")
    code = EXIT_HOLDS if report.holds else EXIT_DOES_NOT_HOLD
    if settings.audits:
        print(f"replay: auditing, with the history {settings.history_path}", file=sys.stderr)
        code = code or audit(["--history", str(settings.history_path)])
    return code


async def _decision_seconds(api: Api, placed: placing.Placed) -> list[float]:
    return await following.decision_times(api, [one.order_id for one in placed.placements if one.order_id])


def _speed(report: Report, placed: placing.Placed, decision_s: Sequence[float]) -> None:
    latencies = [one.latency_s for one in placed.placements if one.outcome == "ok"]
    report.facts |= {
        "placing_s": round(placed.elapsed_s, 1),
        "orders_per_s": round(len(placed.placements) / max(placed.elapsed_s, 1e-9), 1),
        **latency_facts("post", latencies),
        **latency_facts("decided", decision_s),
        "decided_sample": len(decision_s),
    }


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main(sys.argv[1:]))
    os._exit(130)
