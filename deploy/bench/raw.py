"""What PostgreSQL itself reaches: pgbench, 16 clients, one transaction of plain statements per order; and COPY.

It runs on the same server as the services' databases, in a scratch database that is dropped afterwards.
"""

import asyncio
import contextlib
import importlib.resources
import os
import re
import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from deploy.local.postgres import installed_binaries

CLIENTS = 16
THREADS = 2
DATABASE = "sampan_bench_raw"
_TPS = re.compile(r"^tps = ([0-9.]+) \(without", re.MULTILINE)


class RawUnavailable(Exception):
    """There is no pgbench, or no right to make a scratch database; the text says which."""


def find_pgbench() -> Path:
    """The program, beside a server's binaries or on the path; raises RawUnavailable."""
    for folder in installed_binaries():
        if (folder / "pgbench").exists():
            return folder / "pgbench"
    if found := shutil.which("pgbench"):
        return Path(found)
    raise RawUnavailable("pgbench is not installed")


@asynccontextmanager
async def scratch_database(superuser_dsn: str) -> AsyncIterator[str]:
    """A database for the time of the block; yields its address. Raises RawUnavailable."""
    try:
        connection = await asyncpg.connect(superuser_dsn, timeout=10)
    except (OSError, asyncpg.PostgresError) as error:
        raise RawUnavailable(f"no scratch database: {error}") from error
    dsn = urlsplit(superuser_dsn)._replace(path=f"/{DATABASE}").geturl()
    try:
        try:
            await connection.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
            await connection.execute(f"CREATE DATABASE {DATABASE}")
        except asyncpg.PostgresError as error:
            raise RawUnavailable(f"no scratch database: {error}") from error
        try:
            await _make_tables(dsn)
            yield dsn
        finally:
            await connection.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
    finally:
        await connection.close()


async def transactions_per_s(dsn: str, script: str, *, seconds: int) -> float:
    """Runs one of the scripts beside this module; raises RawUnavailable with pgbench's own words."""
    address = urlsplit(dsn)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / script
        path.write_text(_text(script), "utf-8")
        process = await asyncio.create_subprocess_exec(
            str(find_pgbench()),
            *("--no-vacuum", "--protocol=prepared", f"--client={CLIENTS}", f"--jobs={THREADS}"),
            *(f"--time={seconds}", f"--file={path}"),
            *(f"--host={address.hostname}", f"--port={address.port}", f"--username={address.username}"),
            address.path.removeprefix("/"),
            env={**os.environ, "PGPASSWORD": address.password or ""},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            output, errors = await process.communicate()
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
    found = _TPS.search(output.decode())
    if process.returncode or found is None:
        raise RawUnavailable(f"pgbench failed: {errors.decode().strip()[-300:]}")
    return float(found[1])


async def copied_rows_per_s(dsn: str, rows: int) -> float:
    """Loads products and variants like those of an import by COPY, and returns products per second."""
    now = datetime.now(UTC)
    ids = [f"raw.{time.time_ns()}.{number:06d}" for number in range(rows)]
    titles, prices = '{"en": "A product of the bench, which is as long as those"}', '{"USD": 1000}'
    products = [
        ("demo", one, "bench", titles, "{}", "bench", "", "", 2, 1, b"\0" * 16, now, now) for one in ids
    ]
    no_hazards: list[int] = []
    variants = [("demo", one, one, 1, "", "{}", prices, 0, 0, 0, 0, no_hazards) for one in ids]
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        started = time.perf_counter()
        async with connection.transaction():
            await connection.copy_records_to_table("products", records=products)
            await connection.copy_records_to_table("variants", records=variants)
        return rows / (time.perf_counter() - started)
    finally:
        await connection.close()


async def _make_tables(dsn: str) -> None:
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        for statement in _text("raw.sql").split(";\n"):
            if statement.strip():
                await connection.execute(statement)
    finally:
        await connection.close()


def _text(name: str) -> str:
    return importlib.resources.files("deploy.bench").joinpath(name).read_text("utf-8")
