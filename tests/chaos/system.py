"""A running system with the commands that an operator would run against it."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from deploy.local.postgres import run_blocking
from deploy.local.settings import ROOT
from deploy.local.stack import Stack

ORDERS_PER_RUN = int(os.environ.get("CHAOS_ORDERS", "1000"))


@dataclass(frozen=True, slots=True)
class System:
    """A running stack, with the commands that an operator would run against it."""

    stack: Stack

    @property
    def environment(self) -> dict[str, str]:
        """The variables that lead the commands to this stack."""
        settings = self.stack.settings
        return {
            **settings.service_environment(bootstrap=self.stack.bootstrap, dsns=self.stack.dsns),
            "SAMPAN_URL": settings.gateway_url,
            "SAMPAN_LOCAL_DIR": str(settings.folder),
        }

    def start(self, module: str, *arguments: str | Path, log_file: Path) -> subprocess.Popen[bytes]:
        """Start `python -m <module>` with its output going to a file."""
        with log_file.open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", module, *map(str, arguments)],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def audit(self, history: Path, log_file: Path) -> int:
        """Run every check against the databases, the topics and the client's own record; return the exit code."""
        return self.start("deploy.audit", "--settle", "60", "--history", history, log_file=log_file).wait(300)

    def fetch(self, database: str, query: str, *arguments: object) -> Any:
        """Return one value, or None while the database cannot be reached."""

        async def ask() -> Any:
            try:
                connection = await asyncpg.connect(self.stack.dsns[database], timeout=5)
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
                return None
            try:
                return await connection.fetchval(query, *arguments)
            finally:
                await connection.close()

        return run_blocking(ask())
