"""Where the local stack lives and listens. The only reader of the environment in this package."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WEB_PAGES = ROOT / "dist" / "web"
"""Where `make web` builds the storefront's and the console's pages."""
LOOPBACK = "127.0.0.1"
TENANT_ID = "demo"
WEBHOOK_KEYS_FILE = "webhooks-secret-keys"
NOTIFICATION_SECRETS_FILE = "payment-notification-secrets.json"

PUBLISHERS = ("access", "catalog", "orders", "warehouse")
"""Services with a database and an outbox."""
DATABASES = (*PUBLISHERS, "webhooks")
SERVICES = (*DATABASES, "gateway")
MEASURED_SERVICES = ("catalog", "orders", "warehouse", "gateway")
"""The four services that work for orders and reads: those whose CPU and memory the benches add up."""

PORT_DEFAULTS: Mapping[str, int] = {
    "POSTGRES_PORT": 15432,
    "KAFKA_PORT": 19092,
    "KAFKA_CONTROLLER_PORT": 19093,
    "GATEWAY_PORT": 8080,
    "GATEWAY_ADMIN_PORT": 9100,
    "CATALOG_GRPC_PORT": 50051,
    "CATALOG_ADMIN_PORT": 9101,
    "ORDERS_GRPC_PORT": 50052,
    "ORDERS_ADMIN_PORT": 9102,
    "WAREHOUSE_GRPC_PORT": 50053,
    "WAREHOUSE_ADMIN_PORT": 9103,
    "ACCESS_GRPC_PORT": 50054,
    "ACCESS_ADMIN_PORT": 9104,
    "WEBHOOKS_GRPC_PORT": 50055,
    "WEBHOOKS_ADMIN_PORT": 9105,
}

MONITORING_PORT_DEFAULTS: Mapping[str, int] = {"PROMETHEUS_PORT": 9090, "ALERTMANAGER_PORT": 9093}
"""Not among the stack's: whoever starts no Prometheus may have another one there."""


class StackError(Exception):
    """A fault that a person can mend; its text is one clear line saying what to do."""


def free_ports(count: int) -> list[int]:
    """Return `count` different TCP ports that nothing listens on at this moment."""
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_STREAM) for _ in range(count)]
    try:
        for one in sockets:
            one.bind((LOOPBACK, 0))
        return [int(one.getsockname()[1]) for one in sockets]
    finally:
        for one in sockets:
            one.close()


@dataclass(frozen=True, slots=True)
class StackSettings:
    """One local stack: its folder, its ports and the servers it uses instead of starting its own."""

    folder: Path
    """Data, logs, keys and pid files; git-ignored."""
    downloads: Path
    """Kafka's jars, shared by all stacks of this checkout."""
    ports: Mapping[str, int]
    kafka_bootstrap: str | None = None
    """An existing Kafka to use, host:port[,host:port]; None starts one."""
    kafka_home: Path | None = None
    """An unpacked Kafka whose jars are used; None fetches them by Maven."""
    dsns: Mapping[str, str] = field(default_factory=dict)
    """Existing databases by service; PostgreSQL is started only for those that are missing."""
    extra: Mapping[str, str] = field(default_factory=dict)
    """Further variables for the services."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> StackSettings:
        """Read the stack's variables; raise StackError naming the first that is wrong."""
        home = environment.get("KAFKA_HOME")
        folder = Path(environment.get("SAMPAN_LOCAL_DIR") or ROOT / ".local").absolute()
        return cls(
            folder=folder,
            downloads=folder / "downloads",
            ports={name: _port(environment, name, default) for name, default in PORT_DEFAULTS.items()},
            kafka_bootstrap=environment.get("KAFKA_BOOTSTRAP") or None,
            kafka_home=Path(home) if home else None,
            dsns={
                service: environment[f"{service.upper()}_DSN"]
                for service in DATABASES
                if environment.get(f"{service.upper()}_DSN")
            },
        )

    @classmethod
    def on_free_ports(cls, folder: Path, **changes: object) -> StackSettings:
        """Return a stack of its own for a test: free ports, data in `folder`, jars shared with the real one."""
        ports = dict(zip(PORT_DEFAULTS, free_ports(len(PORT_DEFAULTS)), strict=True))
        values: dict[str, object] = {
            "folder": folder,
            "downloads": ROOT / ".local" / "downloads",
            "ports": ports,
            "kafka_home": Path(os.environ["KAFKA_HOME"]) if os.environ.get("KAFKA_HOME") else None,
        }
        return cls(**{**values, **changes})  # type: ignore[arg-type]

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def keys(self) -> Path:
        return self.folder / "keys"

    @property
    def pids(self) -> Path:
        return self.folder / "run"

    @property
    def gateway_url(self) -> str:
        return f"http://{LOOPBACK}:{self.ports['GATEWAY_PORT']}"

    def admin_url(self, service: str) -> str:
        """Return the base address of a service's metrics and health port."""
        return f"http://{LOOPBACK}:{self.ports[f'{service.upper()}_ADMIN_PORT']}"

    def service_environment(self, *, bootstrap: str, dsns: Mapping[str, str]) -> dict[str, str]:
        """Return the variables with which every service of this stack is started."""
        return {
            **os.environ,
            **{name: str(port) for name, port in self.ports.items()},
            **{f"{service.upper()}_DSN": dsn for service, dsn in dsns.items()},
            **{
                f"{service.upper()}_ADDRESS": f"{LOOPBACK}:{self.ports[f'{service.upper()}_GRPC_PORT']}"
                for service in DATABASES
            },
            "KAFKA_BOOTSTRAP": bootstrap,
            "GATEWAY_API_KEYS_FILE": str(self.keys / "gateway-api-keys.json"),
            "WEBHOOKS_SECRET_KEYS_FILE": str(self.keys / WEBHOOK_KEYS_FILE),
            "ORDERS_PAYMENT_NOTIFICATION_SECRETS_FILE": str(self.keys / NOTIFICATION_SECRETS_FILE),
            "GATEWAY_WEB_DIR": str(WEB_PAGES),
            "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "gen"))),
            "PYTHONUNBUFFERED": "1",
            # gRPC's core would tell of every refused handshake in lines of its own, which are no JSON.
            "GRPC_VERBOSITY": "ERROR",
            **self.extra,
        }


def monitoring_ports(environment: Mapping[str, str]) -> Mapping[str, int]:
    """Read where Prometheus and Alertmanager listen; raise StackError naming the first that is wrong."""
    return {name: _port(environment, name, default) for name, default in MONITORING_PORT_DEFAULTS.items()}


def python() -> str:
    """Return the interpreter of the virtual environment that this process runs in."""
    return sys.executable


def _port(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name) or str(default)
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 65535:
        raise StackError(f"{name}={text} is not a port: give a number from 1 to 65535")
    return int(text)
