"""The bench's tables, for a person to read."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from deploy.bench.goals import LINES, verdict

BUSY_SHARE = 0.1
ORDER_PARTS = ("orders_spread", "orders_hot")


def print_all(console: Console, figures: Mapping[str, Any]) -> None:
    """Everything that was measured."""
    console.print("  ".join(f"{name} {value}" for name, value in figures["machine"].items()), highlight=False)
    console.print(f"plain PostgreSQL: {figures['raw']}", highlight=False)
    busy = figures["machine"].get("others_cpu_share", 0.0)
    if busy > BUSY_SHARE:
        console.print(
            f"the machine was busy with other work ({busy:.0%} of its cores): trust the CPU per order"
        )
    console.print(_goals(figures))
    console.print(_costs(figures))
    for line in proof_lines(figures):
        console.print(line, highlight=False)


def _goals(figures: Mapping[str, Any]) -> Table:
    table = Table(header_style="bold")
    runs = len(figures["orders_spread"]["runs"])
    table.add_column(f"median of {runs}, concurrency {figures['concurrency']}")
    for name in ("ours", "range", "raw", "ratio"):
        table.add_column(name, justify="right")
    table.add_column("to reach")
    table.add_column("stretch")
    for line in LINES:
        part = figures[line.part]
        values = [run[line.figure] for run in part["runs"] if run.get(line.figure) is not None]
        compares = line.figure == "per_s" and part.get("raw_per_s") is not None
        table.add_row(
            line.label,
            shown(part.get(line.figure)),
            f"{shown(min(values))} - {shown(max(values))}" if len(values) > 1 else "",
            shown(part["raw_per_s"]) if compares else "",
            shown(part["ratio"]) if compares else "",
            verdict(line.reach, figures),
            verdict(line.stretch, figures),
        )
    return table


def _costs(figures: Mapping[str, Any]) -> Table:
    table = Table(header_style="bold")
    table.add_column("cost per order, and memory")
    for name in ("spread", "one hot SKU"):
        table.add_column(name, justify="right")
    parts = [figures[key] for key in ORDER_PARTS]
    for group, label in (
        ("cpu_ms_per_order", "CPU ms, {}"),
        ("cpu_ms_per_order_databases", "CPU ms, PostgreSQL's backends of {}"),
        ("memory_mb", "memory MB, {}"),
    ):
        for name in parts[0][group]:
            table.add_row(label.format(name), *[shown(part[group].get(name)) for part in parts])
    for label, figure in (
        ("bytes of write-ahead log", "wal_bytes_per_order"),
        ("bytes in Kafka's segments", "kafka_bytes_per_order"),
        ("bytes over the network, all hops", "network_bytes_per_order"),
        ("load generator's share of all cores", "client_cpu_share"),
        ("other processes' share of all cores", "others_cpu_share"),
    ):
        table.add_row(label, *[shown(part.get(figure)) for part in parts])
    return table


def proof_lines(figures: Mapping[str, Any]) -> list[str]:
    """One line per order part, then one per fault."""
    lines = []
    for key in (*ORDER_PARTS, "sold_out", "latency", "latency_fixed"):
        proof, early = figures[key]["proof"], figures[key].get("refused_early", 0)
        lines.append(
            f"proof of {key}: {proof['accepted']:,} accepted = {proof['orders']:,} orders stored = "
            f"{proof['reserved']:,} reserved + {proof['rejected']:,} rejected"
            + (f", {early:,} refused at the door" if early else "")
            + f"; {proof['holds']:,} holds of {proof['held_units']:,} units = {proof['ordered_units']:,} ordered; "
            f"{figures[key]['oversold']} oversold"
        )
    return lines


def shown(value: object) -> str:
    """A figure with as many digits as mean something."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return (
            f"{value:,.0f}"
            if abs(value) >= 1_000
            else f"{value:,.2f}"
            if abs(value) < 100
            else f"{value:,.1f}"
        )
    return f"{value:,}" if isinstance(value, int) else str(value)
