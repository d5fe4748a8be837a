"""The catalog's settings: variables CATALOG_*, besides those that every service has."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from services.chassis.config import Port, ServiceSettings


class CatalogSettings(ServiceSettings):
    """Read from the environment and from secret files; refused at start-up where wrong."""

    model_config = SettingsConfigDict(env_prefix="CATALOG_")

    grpc_port: Port = Field(default=50051, description="Port of the gRPC server.")
    admin_port: Port = Field(default=9101, description="Port of /metrics, /healthz and /readyz.")
    dsn: str = Field(min_length=1, repr=False, description="PostgreSQL of the catalog, as a URL.")
    pool_size_max: int = Field(
        default=8, ge=2, le=200, description="Connections to PostgreSQL at most, without the relay's own."
    )
    statement_timeout_ms: int = Field(
        default=15_000, ge=100, le=600_000, description="Milliseconds that a statement may take."
    )
    concurrent_calls_max: int = Field(
        default=512, ge=1, le=10_000, description="Calls worked on at once; more are refused as overload."
    )
    import_streams_max: int = Field(
        default=4, ge=1, le=64, description="Imports at work at once; more are refused as overload."
    )
    request_key_ttl_h: float = Field(
        default=48, ge=1, le=8760, description="Hours for which a repeated creation gets its first answer."
    )
    relay_shards: int = Field(default=2, ge=1, le=16, description="Outbox relays that publish side by side.")
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
