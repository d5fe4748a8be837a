"""Settings from the environment and from secret files, refused at start-up with every fault listed at once.

A service declares its settings once; the variable's name is the prefix and the field's name in capitals:

    class OrdersSettings(ServiceSettings):
        model_config = SettingsConfigDict(env_prefix="ORDERS_")

        grpc_port: Port = Field(default=50052, description="Port of the gRPC server.")
        dsn: str = Field(description="PostgreSQL, as a URL.", repr=False)    # ORDERS_DSN, required, secret

A field with a `validation_alias` has that name in every service (`KAFKA_BOOTSTRAP`). The value of `NAME` is
taken from, in this order: the variable `NAME`; the file that `NAME_FILE` points to; the file `NAME` or `name`
in `SECRETS_DIR` (default /run/secrets); the default. An empty variable counts as not set. `repr=False` marks
a secret: it is never printed. Lists are separated by commas (`Names`); what is longer is JSON
(`pydantic.Json`), best kept in a file.
"""

import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BeforeValidator, Field, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from services.chassis import crash
from services.chassis.transport import TransportSettings

SECRETS_DIR_DEFAULT = "/run/secrets"
SECRET_BYTES_MAX = 65_536
EXIT_CONFIGURATION = 2


def _split_at_commas(value: object) -> object:
    return tuple(filter(None, map(str.strip, value.split(",")))) if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_split_at_commas)]
"""A list separated by commas."""

Port = Annotated[int, Field(ge=0, le=65535)]
"""A TCP port; 0 takes any free one."""


@dataclass(frozen=True, slots=True)
class _Fault:
    """Stands for a value that could not be read, so that validation reports it along with all others."""

    text: str


class Variables(PydanticBaseSettingsSource):
    """Reads a settings class's variables and secret files; exact names only."""

    def __call__(self) -> dict[str, Any]:
        """The values that are set, by field name."""
        found = {
            name: self._value(_variable(self.settings_cls, name)) for name in self.settings_cls.model_fields
        }
        return {name: value for name, value in found.items() if value is not None}

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """One field's value, as the base class wants it."""
        return self._value(_variable(self.settings_cls, field_name)), field_name, False

    def _value(self, variable: str) -> str | _Fault | None:
        direct, path = os.environ.get(variable), os.environ.get(f"{variable}_FILE")
        if direct and path:
            return _Fault(f"is set twice, by {variable} and by {variable}_FILE")
        if direct:
            return direct
        if path:
            return _read_secret(Path(path))
        secrets_dir = Path(os.environ.get("SECRETS_DIR") or SECRETS_DIR_DEFAULT)
        for candidate in (secrets_dir / variable, secrets_dir / variable.lower()):
            if candidate.is_file():
                return _read_secret(candidate)
        return None


class ProcessSettings(TransportSettings):
    """What every process has."""

    model_config = SettingsConfigDict(populate_by_name=True, frozen=True, enable_decoding=False)

    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", validation_alias="LOG_LEVEL", description="The least severe log lines to write."
    )
    trace_sample_ratio: float = Field(
        default=0.01,
        ge=0,
        le=1,
        validation_alias="TRACE_SAMPLE_RATIO",
        description="Share of the requests without a trace context of their own that are traced and logged.",
    )
    otel_endpoint: str = Field(
        default="",
        pattern="^(https?://.+)?$",
        validation_alias="OTEL_EXPORTER_OTLP_ENDPOINT",
        description="Collector that gets the spans of traced requests by OTLP over HTTP, as `http://collector:4318`. "
        "Empty: none does. OpenTelemetry's further variables hold then (see operations.md).",
    )
    otel_headers: str = Field(
        default="",
        validation_alias="OTEL_EXPORTER_OTLP_HEADERS",
        repr=False,
        description="Headers for the collector, as `name=value,name=value`.",
    )
    crash_points: Names = Field(
        default=(),
        validation_alias="CRASH_POINTS",
        description="For tests only: places at which the process kills itself, `name` or `name:passes`.",
    )
    test_configuration: bool = Field(
        default=False,
        validation_alias="TEST_CONFIGURATION",
        description="The process serves a test; without it CRASH_POINTS is refused.",
    )
    kafka_bootstrap: str = Field(
        default="127.0.0.1:19092",
        min_length=1,
        validation_alias="KAFKA_BOOTSTRAP",
        description="Kafka brokers to begin with, `host:port` separated by commas.",
    )
    host: str = Field(default="127.0.0.1", min_length=1, description="Address to listen on.")
    admin_port: Port = Field(default=9100, description="Port of /metrics, /healthz and /readyz.")
    drain_wait_s: float = Field(
        default=0.5,
        ge=0,
        le=60,
        description="Seconds between telling that we go and refusing new work, for balancers to notice.",
    )
    drain_grace_s: float = Field(
        default=20, gt=0, le=300, description="Seconds that a stop may take in all before work is cut off."
    )

    @classmethod
    def service_name(cls) -> str:
        """The service that these settings are of: "orders" for the prefix ORDERS_."""
        return cls.model_config.get("env_prefix", "").rstrip("_").lower() or "sampan"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments first, then `Variables` in place of pydantic's own environment and file sources."""
        return init_settings, Variables(settings_cls)

    @field_validator("crash_points")
    @classmethod
    def _readable(cls, points: tuple[str, ...]) -> tuple[str, ...]:
        crash.passes_of(points)
        return points

    @model_validator(mode="after")
    def _crash_in_tests_only(self) -> Self:
        if self.crash_points and not self.test_configuration:
            raise ValueError("CRASH_POINTS is for tests only and needs TEST_CONFIGURATION=true")
        return self

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_faults(cls, value: object) -> object:
        if isinstance(value, _Fault):
            raise ValueError(value.text)
        return value


class ServiceSettings(ProcessSettings):
    """What every process with a gRPC server has."""

    grpc_port: Port = Field(default=50050, description="Port of the gRPC server.")
    grpc_deadline_s_max: float = Field(
        default=30,
        gt=0,
        le=600,
        description="Seconds that a unary call may take, whatever its caller allows.",
    )
    grpc_connection_age_s_max: float = Field(
        default=300,
        ge=1,
        description="Seconds after which clients are asked to connect anew, to find new replicas.",
    )
    grpc_connection_age_grace_s: float = Field(
        default=30, ge=1, description="Seconds that calls on such an old connection have to finish."
    )
    grpc_reflection: bool = Field(
        default=False,
        validation_alias="GRPC_REFLECTION",
        description="Serve the schema to tools such as grpcurl.",
    )
    grpc_tls_clients: Names = Field(
        default=(),
        validation_alias="GRPC_TLS_CLIENTS",
        description="Names in the certificates (subject alternative names) of those who may call. Empty: whoever has "
        "an accepted certificate.",
    )

    @model_validator(mode="after")
    def _clients_have_certificates(self) -> Self:
        if self.grpc_tls_clients and self.grpc_files is None:
            raise ValueError("GRPC_TLS_CLIENTS needs GRPC_TLS_CERT_FILE: names are told by certificates")
        return self


PoolSize = Annotated[
    int,
    Field(ge=2, le=200, description="Connections to PostgreSQL at most, without the relay's own."),
]
StatementTimeout = Annotated[
    int, Field(ge=100, le=600_000, description="Milliseconds that a statement may take.")
]
ConcurrentCalls = Annotated[
    int, Field(ge=1, le=10_000, description="Calls worked on at once; more are refused as overload.")
]


ConsumerLinger = Annotated[
    float,
    Field(
        ge=0,
        le=1_000,
        description="Milliseconds between two batches of a consumer at least: fewer, larger ones cost less.",
    ),
]


class StoringServiceSettings(ServiceSettings):
    """What every service has that keeps a database."""

    dsn: str = Field(min_length=1, repr=False, description="PostgreSQL of the service, as a URL.")
    pool_size_max: PoolSize = 8
    statement_timeout_ms: StatementTimeout = 15_000
    concurrent_calls_max: ConcurrentCalls = 512
    request_key_ttl_h: float = Field(
        default=48,
        ge=1,
        le=8_760,
        description="Hours for which a repeated request gets its first answer, and what that says is kept.",
    )


class DatabaseServiceSettings(StoringServiceSettings):
    """What every service has that publishes what happens to its database, too."""

    relay_shards: int = Field(
        default=1,
        ge=1,
        le=16,
        description="Outbox relays of this process that publish side by side, besides those of its replicas.",
    )
    relay_linger_ms: float = Field(
        default=20,
        ge=0,
        le=1_000,
        description="Milliseconds between two rounds of the outbox relay at least: fewer, larger ones cost less.",
    )
    topic_partitions: int = Field(
        default=4,
        ge=1,
        le=1024,
        validation_alias="TOPIC_PARTITIONS",
        description="Partitions of a topic at its creation; never changed afterwards.",
    )
    topic_replication: int = Field(
        default=1,
        ge=1,
        le=7,
        validation_alias="TOPIC_REPLICATION",
        description="Copies of each partition; 3 in production.",
    )


P = TypeVar("P", bound=ProcessSettings)


def load(settings_type: type[P]) -> P:
    """The settings; if wrong, every fault goes to stderr by variable name and the process exits 2."""
    try:
        return settings_type()
    except ValidationError as error:
        faults = list(_faults(settings_type, error))
        count = f"{len(faults)} fault{'s' if len(faults) > 1 else ''}"
        sys.stderr.write(f"{settings_type.service_name()}: the configuration has {count}\n")
        sys.stderr.writelines(f"  {fault}\n" for fault in faults)
        raise SystemExit(EXIT_CONFIGURATION) from None


def variables(settings_type: type[ProcessSettings]) -> Mapping[str, FieldInfo]:
    """The fields by variable name."""
    return {_variable(settings_type, name): field for name, field in settings_type.model_fields.items()}


def current_values(settings: ProcessSettings) -> dict[str, str]:
    """The values in force by variable name, with secrets masked."""
    values = {}
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        values[_variable(type(settings), name)] = "(secret)" if not field.repr and value else _shown(value)
    return values


def markdown_table(settings_type: type[ProcessSettings]) -> str:
    """Every variable of a settings class with default, bounds and meaning, as a Markdown table."""
    schemas = settings_type.model_json_schema()["properties"]
    lines = ["| variable | default | allowed | meaning |", "|---|---|---|---|"]
    for name, field in settings_type.model_fields.items():
        schema = schemas[field.validation_alias if isinstance(field.validation_alias, str) else name]
        default = "required" if field.is_required() else f"`{_shown(field.get_default())}`".replace("``", "")
        meaning = (field.description or "") + ("" if field.repr else " Secret.")
        cells = (f"`{_variable(settings_type, name)}`", default, _allowed(schema), meaning)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _variable(settings_type: type[BaseSettings], field_name: str) -> str:
    alias = settings_type.model_fields[field_name].validation_alias
    return (
        alias
        if isinstance(alias, str)
        else settings_type.model_config.get("env_prefix", "") + field_name.upper()
    )


def _faults(settings_type: type[ProcessSettings], error: ValidationError) -> Iterator[str]:
    """One line each. The faulty value is left out: it may be a secret."""
    for fault in error.errors(include_url=False, include_input=False, include_context=False):
        place = str(fault["loc"][0]) if fault["loc"] else "(together)"
        variable = _variable(settings_type, place) if place in settings_type.model_fields else place
        if fault["type"] == "missing":
            yield f"{variable}: is required: {variables(settings_type)[variable].description or ''}"
        else:
            yield f"{variable}: {fault['msg'].removeprefix('Value error, ')}"


def _read_secret(path: Path) -> str | _Fault | None:
    try:
        if path.stat().st_size > SECRET_BYTES_MAX:
            return _Fault(f"the secret file {path} has more than {SECRET_BYTES_MAX} bytes")
        return path.read_text("utf-8").strip() or None
    except (OSError, UnicodeDecodeError) as error:
        cause = error.strerror if isinstance(error, OSError) else "not UTF-8"
        return _Fault(f"the secret file {path} cannot be read: {cause}")


def _shown(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, tuple | list | frozenset) else str(value)


def _allowed(schema: Mapping[str, Any]) -> str:
    """The bounds of a JSON schema in words."""
    if "anyOf" in schema:
        return next(filter(None, map(_allowed, schema["anyOf"])), "")
    if "enum" in schema:
        return ", ".join(map(str, schema["enum"]))
    if schema.get("type") == "boolean":
        return "true, false"
    words = {
        "minimum": "at least",
        "exclusiveMinimum": "above",
        "maximum": "at most",
        "exclusiveMaximum": "below",
        "minLength": "characters at least",
        "maxLength": "characters at most",
        "pattern": "matches",
    }
    return ", ".join(f"{word} {schema[key]}" for key, word in words.items() if key in schema)
