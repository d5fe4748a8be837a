"""What a replay is told by its command line and its environment; the only reader of both in this package."""

import argparse
import json
import os
import re
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from deploy.local.settings import StackError, StackSettings

ROLE_WORDS: Mapping[str, Sequence[str]] = {"administrator": ("administrator", "operator")}
"""What a role may be called in the file of keys: earlier releases had another word."""
_RUN = re.compile(r"[a-z0-9]([a-z0-9-]{0,14}[a-z0-9])?")


class SettingsError(Exception):
    """A fault of the command line or the environment; its text says what to do."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where the API is and with which right it is called."""

    base_url: str
    api_key: str


@dataclass(frozen=True, slots=True)
class ReplaySettings:
    """One replay."""

    file: Path
    target: Target
    run: str
    orders_max: int | None
    """Only the first n invoices of the file; None for all."""
    concurrency: int
    until: Literal["delivered", "confirmed"]
    patience_s: float
    """How long one request is repeated, and how long a phase may stand still, before it is given up."""
    repeat_every: int
    """Every n-th order is posted a second time to see that its answer is the same; 0 for none."""
    json_path: Path | None
    history_path: Path
    audits: bool
    """Whether an audit of the databases and topics ends the replay."""


def target_of(environment: Mapping[str, str], role: str = "administrator") -> Target:
    """The local stack's API, or the one of SAMPAN_URL and SAMPAN_API_KEY. Raises SettingsError.

    `role` is that of the key to take from the local stack's file.
    """
    stack = _stack(environment)
    base_url = environment.get("SAMPAN_URL", stack.gateway_url).rstrip("/")
    api_key = environment.get("SAMPAN_API_KEY", "")
    if not api_key:
        keys_file = Path(environment.get("GATEWAY_API_KEYS_FILE") or stack.keys / "gateway-api-keys.json")
        api_key = _key_of(keys_file, ROLE_WORDS.get(role, (role,)))
    return Target(base_url, api_key)


def parse(arguments: Sequence[str]) -> ReplaySettings:
    """Reads the command line; argparse ends the process on a fault, SettingsError is for the rest."""
    parser = argparse.ArgumentParser(
        prog="python -m deploy.replay",
        description="Replay a file in the Online Retail format through the API, account for every row, audit.",
    )
    add = parser.add_argument
    add("file", nargs="?", default=os.environ.get("FILE", ""), help=".csv, .csv.gz or .csv.xz")
    add("--orders", type=_count, default=None, help="only the first n invoices")
    add(
        "--run",
        default=os.environ.get("RUN", ""),
        help="name of the run; a known one is resumed, not doubled",
    )
    add("--concurrency", type=_count, default=64, help="orders in flight (default 64)")
    add("--until", choices=("delivered", "confirmed"), default="delivered")
    add("--patience", type=float, default=300.0, help="seconds before something is given up")
    add("--repeat-every", type=int, default=100, help="post every n-th order twice; 0 for none")
    add("--json", type=Path, default=None, help="where to write the report as JSON")
    add("--history", type=Path, default=None, help="where to append the operations (default: local folder)")
    add("--no-audit", action="store_true", help="leave out the audit at the end")
    given = parser.parse_args(arguments)
    if not given.file:
        raise SettingsError("which file? make replay FILE=online_retail.csv.xz [ORDERS=n]")
    run = run_name(given.run)
    return ReplaySettings(
        file=Path(given.file),
        target=target_of(os.environ),
        run=run,
        orders_max=given.orders,
        concurrency=given.concurrency,
        until=given.until,
        patience_s=given.patience,
        repeat_every=given.repeat_every,
        json_path=given.json,
        history_path=given.history or history_path(run),
        audits=not given.no_audit,
    )


def run_name(text: str) -> str:
    """The name of a run, made of the time where none is given. Raises SettingsError."""
    name = text or time.strftime("%y%m%d%H%M%S", time.gmtime())
    if not _RUN.fullmatch(name):
        raise SettingsError("a run's name is 1 to 16 of a-z, 0-9 and inner hyphens")
    return name


def history_path(run: str) -> Path:
    """Where the operations of a run are recorded."""
    return _stack(os.environ).folder / "replay" / f"{run}.jsonl"


def _stack(environment: Mapping[str, str]) -> StackSettings:
    try:
        return StackSettings.from_environment(environment)
    except StackError as error:
        raise SettingsError(str(error)) from error


def _key_of(keys_file: Path, roles: Collection[str]) -> str:
    try:
        entries = json.loads(keys_file.read_text("utf-8"))
        return next(str(entry["key"]) for entry in entries if entry["role"] in roles)
    except FileNotFoundError:
        raise SettingsError(
            f"no API key: there is no {keys_file}. "
            "Start the stack by `make up`, or set SAMPAN_URL and SAMPAN_API_KEY"
        ) from None
    except (OSError, ValueError, KeyError, TypeError, StopIteration):
        raise SettingsError(f"{keys_file} holds no key of the role {' or '.join(roles)}") from None


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number
