"""Where the system is that a command works on.

Databases and Kafka are named by the variables and secret files of the services (ORDERS_DSN, KAFKA_BOOTSTRAP, ...);
what these leave open is the local stack's, where one was made here. The API is SAMPAN_URL with SAMPAN_API_KEY, else the
local stack's with a key of its file.
"""

import importlib
import os
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic_settings import SettingsConfigDict

from deploy.cli.exits import Refusal
from deploy.local.settings import DATABASES, StackSettings
from deploy.local.stack import Stack
from deploy.replay.client import Api
from deploy.replay.settings import target_of
from services.chassis import cli, config, kafka
from services.chassis.config import DatabaseServiceSettings, StoringServiceSettings

API_PATIENCE_S = 10.0
API_TIMEOUT_S = 30.0


def adopt_local_stack() -> str | None:
    """Takes over what the environment leaves open from the local stack; its folder, None where there is none."""
    stack = Stack(StackSettings.from_environment(os.environ))
    if not stack.postgres.was_made:
        return None
    known = {f"{name.upper()}_DSN": dsn for name, dsn in stack.dsns.items()}
    for name, value in (known | {"KAFKA_BOOTSTRAP": stack.bootstrap}).items():
        if not os.environ.get(name) and not os.environ.get(f"{name}_FILE"):
            os.environ[name] = value
    return str(stack.settings.folder)


def chosen(services: Sequence[str], among: Sequence[str] = DATABASES) -> list[str]:
    """The services named, or all; raises Refusal for one that is none of them."""
    for name in services:
        if name not in among:
            raise Refusal(f"{name} is none of {', '.join(among)}")
    return [name for name in among if not services or name in services]


def commands_of(service: str) -> cli.Service[Any]:
    """What the service can be told; its code is imported only now."""
    commands: cli.Service[Any] = importlib.import_module(f"services.{service}.__main__").COMMANDS
    return commands


def storage_of(service: str) -> StoringServiceSettings:
    """How to reach a service's database, by its own variables; what else it needs to serve may be missing here.

    A faulty configuration ends the process with 2.
    """

    class Storage(StoringServiceSettings):
        model_config = SettingsConfigDict(env_prefix=f"{service.upper()}_")

    return config.load(Storage)


def publisher(service: str) -> DatabaseServiceSettings:
    """The same, with what its topics shall be like."""

    class Publisher(DatabaseServiceSettings):
        model_config = SettingsConfigDict(env_prefix=f"{service.upper()}_")

    return config.load(Publisher)


def dsns() -> Mapping[str, str]:
    """Every database."""
    return {name: storage_of(name).dsn for name in DATABASES}


def bootstrap() -> str:
    """Kafka's brokers to begin with; from now on they are reached as the variables say."""
    settings = config.load(config.ProcessSettings)
    kafka.configure(settings)
    return settings.kafka_bootstrap


def api(role: str = "administrator") -> Api:
    """The public API, as the environment says or as one of the local stack's keys opens it."""
    target = target_of(os.environ, role)
    return Api(
        target.base_url, target.api_key, patience_s=API_PATIENCE_S, timeout_s=API_TIMEOUT_S, connections_max=4
    )
