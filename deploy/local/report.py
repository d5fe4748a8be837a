"""What the local stack shows to a person: status, addresses, logs."""

from __future__ import annotations

import os
import shlex

from rich.console import Console
from rich.table import Table

from deploy.local import kafka
from deploy.local.keys import ROLES, ensure_keys
from deploy.local.settings import LOOPBACK, SERVICES, WEBHOOK_KEYS_FILE, StackError
from deploy.local.stack import Stack
from deploy.local.web import are_built

MIB = 1024**2


def print_status(stack: Stack) -> bool:
    """Print one row per process; return whether everything is ready."""
    table = Table(box=None, pad_edge=False)
    for title in ("process", "state", "pid", "memory", "address", "log"):
        table.add_column(title, justify="right" if title in ("pid", "memory") else "left", no_wrap=True)
    all_ready = True
    addresses = _addresses(stack)
    for process in stack.processes:
        pid = process.pid
        if pid is None:
            state = "stopped"
        elif process.name == "postgres":
            state = "ready" if stack.postgres.answers() else "not ready"
        elif process.name == "kafka":
            state = "ready" if kafka.serves(stack.bootstrap) else "not ready"
        else:
            state = "ready" if stack.services[process.name].ready else "not ready"
        all_ready = all_ready and state == "ready"
        memory = f"{process.memory_bytes() // MIB} MiB" if pid else ""
        table.add_row(
            process.name,
            state,
            str(pid or ""),
            memory,
            addresses[process.name],
            os.path.relpath(process.log_file),
        )
    Console(width=160).print(table)
    return all_ready


def print_addresses(stack: Stack) -> None:
    """Print where everything listens and where the keys and logs are."""
    url = stack.settings.gateway_url
    rows = [
        ("HTTP API", f"{url}/v1"),
        ("API reference", f"{url}/docs  ({url}/openapi.json)"),
        *_pages(stack),
        ("metrics", "  ".join(f"{name} {stack.settings.admin_url(name)}/metrics" for name in SERVICES[:2])),
        ("", "  ".join(f"{name} {stack.settings.admin_url(name)}/metrics" for name in SERVICES[2:])),
        ("gRPC", "  ".join(f"{name} {_addresses(stack)[name]}" for name in SERVICES if name != "gateway")),
        ("Kafka", stack.bootstrap),
        (
            "PostgreSQL",
            "`python -m deploy.local env` prints the addresses with their passwords"
            if stack.own_postgres
            else "as the DSN variables say",
        ),
        (
            "API keys",
            ", ".join(os.path.relpath(stack.settings.keys / role) for role in ROLES),
        ),
        ("logs", f"{os.path.relpath(stack.settings.logs)}/  (make logs, make logs SERVICE=orders)"),
    ]
    print()
    for name, value in rows:
        print(f"  {name:<14} {value}")
    print(flush=True)


def _pages(stack: Stack) -> list[tuple[str, str]]:
    """The pages' addresses, each with the key that opens it: keys of the demonstration, on loopback."""
    if not are_built():
        return [("storefront", "not built: install Node.js 18 or newer, then `make web`")]
    keys = ensure_keys(stack.settings.keys)
    url = stack.settings.gateway_url
    return [
        ("storefront", f"{url}/shop#key={keys['storefront']}"),
        ("console", f"{url}/console#key={keys['operator']}"),
    ]


def print_environment(stack: Stack) -> None:
    """Print the addresses of servers and services as shell exports, for psql, tools and tests."""
    values = {"KAFKA_BOOTSTRAP": stack.bootstrap}
    values |= {f"{name.upper()}_DSN": dsn for name, dsn in stack.dsns.items()}
    if stack.own_postgres:
        values["POSTGRES_DSN"] = stack.postgres.dsn("postgres")
    values["GATEWAY_URL"] = stack.settings.gateway_url
    values["GATEWAY_API_KEYS_FILE"] = str(stack.settings.keys / "gateway-api-keys.json")
    values["WEBHOOKS_SECRET_KEYS_FILE"] = str(stack.settings.keys / WEBHOOK_KEYS_FILE)
    for name, value in values.items():
        print(f"export {name}={shlex.quote(value)}")


def follow_logs(stack: Stack, service: str | None, *, follow: bool) -> None:
    """Become `tail` on the log files."""
    files = stack.log_files(service)
    if not files:
        raise StackError("there are no logs yet: `make up` first")
    command = ["tail", "-n", "50", *(["-F"] if follow else []), *map(str, files)]
    os.execvp(command[0], command)


def _addresses(stack: Stack) -> dict[str, str]:
    ports = stack.settings.ports
    return {
        "postgres": f"{LOOPBACK}:{stack.postgres.port}",
        "kafka": stack.bootstrap,
        "gateway": stack.settings.gateway_url,
        **{
            name: f"{LOOPBACK}:{ports[f'{name.upper()}_GRPC_PORT']}" for name in SERVICES if name != "gateway"
        },
    }
