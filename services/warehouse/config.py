"""The warehouse's settings: variables WAREHOUSE_*, besides those that every service has."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from services.chassis.config import Port, ServiceSettings


class WarehouseSettings(ServiceSettings):
    """Read from the environment and from secret files; refused at start-up where wrong."""

    model_config = SettingsConfigDict(env_prefix="WAREHOUSE_")

    grpc_port: Port = Field(default=50053, description="Port of the gRPC server.")
    admin_port: Port = Field(default=9103, description="Port of /metrics, /healthz and /readyz.")
    dsn: str = Field(min_length=1, repr=False, description="PostgreSQL of the warehouse, as a URL.")
    pool_size_max: int = Field(
        default=8, ge=2, le=200, description="Connections to PostgreSQL at most, without the relay's own."
    )
    statement_timeout_ms: int = Field(
        default=15_000, ge=100, le=600_000, description="Milliseconds that a statement may take."
    )
    concurrent_calls_max: int = Field(
        default=512, ge=1, le=10_000, description="Calls worked on at once; more are refused as overload."
    )
    batch_holds_max: int = Field(
        default=256, ge=1, le=2_000, description="Hold commands of calls that are decided in one transaction."
    )
    batch_delay_ms_max: float = Field(
        default=2,
        ge=0,
        le=1_000,
        description="Milliseconds that a call waits for others to share its transaction.",
    )
    batch_queue_holds_max: int = Field(
        default=10_000,
        ge=1,
        le=1_000_000,
        description="Hold commands that may wait; more are refused as overload.",
    )
    batches_in_flight_max: int = Field(
        default=2,
        ge=1,
        le=16,
        description="Transactions of calls on holds at once; one decides while one commits.",
    )
    consumer_records_max: int = Field(
        default=256, ge=1, le=5_000, description="Order events that are decided in one transaction."
    )
    expiry_sweep_period_s: float = Field(
        default=1, gt=0, le=3_600, description="Seconds between sweeps for holds past their deadline."
    )
    expiry_sweep_holds_max: int = Field(
        default=500, ge=1, le=10_000, description="Holds that one transaction of the sweep expires."
    )
    request_key_ttl_h: float = Field(
        default=48, ge=1, le=8_760, description="Hours for which a repeated movement gets its first answer."
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
