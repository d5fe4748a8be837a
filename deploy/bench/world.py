"""What a bench runs against: the API, the processes behind it, and the books that prove what it measured."""

import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.audit.checks import connected
from deploy.audit.settling import settle
from deploy.bench.machine import CLIENT, POSTGRES
from deploy.local.settings import LOOPBACK, SERVICES, TENANT_ID
from deploy.local.stack import Stack
from deploy.replay.client import Api
from deploy.replay.settings import Target
from services.chassis.queries import load_queries

SETTLE_S_MAX = 120.0
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class World:
    """One running system under measurement."""

    api: Api
    """For preparing and proving; one gateway's."""
    base_urls: tuple[str, ...]
    """The gateways that the load is spread over."""
    api_key: str
    pids: Mapping[str, int | None]
    dsns: Mapping[str, str]
    bootstrap: str
    superuser_dsn: str
    """Empty where there is none: then nothing is compared with plain PostgreSQL."""
    kafka_folder: Path | None
    """The broker's log segments, where they are on this machine."""
    say: Say
    tenant_id: str = TENANT_ID

    @property
    def base_url(self) -> str:
        """The first gateway."""
        return self.base_urls[0]

    async def settled(self) -> None:
        """Waits until no event is under way, so that one part does not pay for the one before."""
        await settle(self.bootstrap, self.dsns, s_max=SETTLE_S_MAX)

    async def fetch_log_bytes(self) -> tuple[int, int]:
        """Bytes written so far to PostgreSQL's write-ahead log and to Kafka's segments."""
        async with connected(self.dsns["orders"]) as connection:
            written = await connection.fetchval(load_queries("deploy.bench")["log_position"])
        return int(written), segment_bytes(self.kafka_folder)


def segment_bytes(folder: Path | None) -> int:
    """The size of all log segments below a broker's folder; 0 where there is none."""
    if folder is None:
        return 0
    return sum(path.stat().st_size for path in folder.glob("data/*/*.log") if path.exists())


@asynccontextmanager
async def opened(
    stack: Stack, target: Target, say: Say, *, pids: Mapping[str, int | None] | None = None
) -> AsyncIterator[World]:
    """The world of a running local stack."""
    api = Api(target.base_url, target.api_key, patience_s=60.0, timeout_s=30.0, connections_max=8)
    superuser_dsn = os.environ.get("BENCH_POSTGRES_DSN") or (
        stack.postgres.dsn("postgres") if stack.own_postgres else ""
    )
    world = World(
        api=api,
        base_urls=(target.base_url,),
        api_key=target.api_key,
        pids=pids or process_ids(stack),
        dsns=stack.dsns,
        bootstrap=stack.bootstrap,
        superuser_dsn=superuser_dsn,
        kafka_folder=stack.settings.data / "kafka" if stack.own_kafka else None,
        say=say,
    )
    async with api.opened():
        yield world


def gateway_urls(ports: list[int]) -> tuple[str, ...]:
    """The base addresses of gateways on this machine."""
    return tuple(f"http://{LOOPBACK}:{port}" for port in ports)


def process_ids(stack: Stack) -> dict[str, int | None]:
    """By name, the load generator included."""
    pids: dict[str, int | None] = {name: stack.services[name].process.pid for name in SERVICES}
    pids |= {POSTGRES: stack.postgres.process.pid, "kafka": stack.kafka.process.pid, CLIENT: os.getpid()}
    return {name: pid for name, pid in pids.items() if pid is not None}
