"""Fills a stack's databases with years of business, set-based, as a superuser of a server that is nobody else's."""

import asyncio
import functools
import importlib.resources
import shutil
from collections.abc import Mapping
from pathlib import Path

import asyncpg

from deploy.audit.checks import Connection
from deploy.bench.world import Say
from deploy.local.settings import StackError
from services.chassis.queries import parse

CHUNK = 500_000
SKU_BYTES = 1_100
ORDER_BYTES = 4_000
SERVERS_BYTES = 6_000_000_000
"""What the servers need besides: write-ahead log, Kafka's segments, and what the benchmark itself orders."""

BY_SKU: Mapping[str, tuple[str, ...]] = {
    "catalog": ("catalog_products", "catalog_variants"),
    "orders": ("orders_offer_products", "orders_offers"),
    "warehouse": ("warehouse_stock_owners", "warehouse_received"),
}
"""Statements that go through the SKUs, by database, in their order."""
BY_ORDER: Mapping[str, tuple[str, ...]] = {
    "catalog": (),
    "orders": ("orders_orders", "orders_lines", "orders_transitions", "orders_parcels", "orders_payments"),
    "warehouse": ("warehouse_picked", "warehouse_fulfilments", "warehouse_allocations", "warehouse_parcels"),
}
"""Those that go through the past orders, afterwards."""
BY_SKU_LAST: Mapping[str, tuple[str, ...]] = {"catalog": (), "orders": (), "warehouse": ("warehouse_stock",)}
"""Those that add up what the others left."""


def needed_bytes(skus: int, past_orders: int) -> int:
    """Disk space that a stack of this size takes."""
    return skus * SKU_BYTES + past_orders * ORDER_BYTES + SERVERS_BYTES


def check_space(folder: Path, skus: int, past_orders: int) -> None:
    """Raises StackError, saying what is missing, where the disk would not hold it."""
    while not folder.exists():
        folder = folder.parent
    free, needed = shutil.disk_usage(folder).free, needed_bytes(skus, past_orders)
    if free < needed:
        raise StackError(
            f"{skus:,} SKUs and {past_orders:,} past orders need about {needed / 1e9:.0f} GB, "
            f"{folder} has {free / 1e9:.0f} GB free: choose smaller SKUS and PAST_ORDERS, or another SAMPAN_LOCAL_DIR"
        )


async def fill(dsns: Mapping[str, str], skus: int, past_orders: int, say: Say) -> None:
    """Fills all three databases side by side, then lets PostgreSQL tidy up. The DSNs are a superuser's."""
    await asyncio.gather(*(_fill_database(name, dsn, skus, past_orders, say) for name, dsn in dsns.items()))
    say("VACUUM ANALYZE")
    for dsn in dsns.values():
        connection = await asyncpg.connect(dsn, timeout=10)
        try:
            await connection.execute("VACUUM (ANALYZE)")
            await connection.execute("CHECKPOINT")
        finally:
            await connection.close()


@functools.cache
def statements() -> Mapping[str, str]:
    """Those of fill.sql, by name."""
    source = importlib.resources.files("deploy.bench.growth").joinpath("fill.sql")
    return parse(source.read_text("utf-8"), origin="deploy/bench/growth/fill.sql")


async def _fill_database(database: str, dsn: str, skus: int, past_orders: int, say: Say) -> None:
    connection = await asyncpg.connect(
        dsn,
        timeout=10,
        # Rows are made in pairs that belong together: nothing has to look each one up.
        server_settings={
            "session_replication_role": "replica",
            "work_mem": "256MB",
            "maintenance_work_mem": "512MB",
        },
    )
    try:
        indexes = await _drop_indexes(connection)
        for group, count in ((BY_SKU, skus), (BY_ORDER, past_orders), (BY_SKU_LAST, skus)):
            for name in group[database]:
                for first in range(0, count, CHUNK):
                    await connection.execute(
                        statements()[name], first, min(first + CHUNK, count), skus, past_orders
                    )
                say(f"{database}: {name.partition('_')[2]} of {count:,}")
                if name == "warehouse_picked":
                    # Adding up the ledger needs its index.
                    await _make_indexes(connection, indexes)
                    indexes = []
        await _make_indexes(connection, indexes)
    finally:
        await connection.close()


async def _drop_indexes(connection: Connection) -> list[str]:
    """Drops those that no constraint needs; returns the statements that make them. Filling is twice as fast so."""
    rows = await connection.fetch(
        "SELECT c.relname, pg_get_indexdef(i.indexrelid) AS made FROM pg_index AS i "
        "JOIN pg_class AS c ON c.oid = i.indexrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace "
        "WHERE n.nspname = 'public' AND NOT i.indisunique"
    )
    for row in rows:
        await connection.execute(f'DROP INDEX "{row["relname"]}"')
    return [row["made"] for row in rows]


async def _make_indexes(connection: Connection, indexes: list[str]) -> None:
    for made in indexes:
        await connection.execute(made)
