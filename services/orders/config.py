"""The settings of orders: variables ORDERS_*, besides those that every service has."""

from typing import Literal

from pydantic import Field, model_validator
from pydantic_settings import SettingsConfigDict

from services.chassis.config import Port, ServiceSettings


class OrdersSettings(ServiceSettings):
    """Read from the environment and from secret files; refused at start-up where wrong."""

    model_config = SettingsConfigDict(env_prefix="ORDERS_")

    grpc_port: Port = Field(default=50052, description="Port of the gRPC server.")
    admin_port: Port = Field(default=9102, description="Port of /metrics, /healthz and /readyz.")
    dsn: str = Field(min_length=1, repr=False, description="PostgreSQL of orders, as a URL.")
    pool_size_max: int = Field(
        default=10, ge=2, le=200, description="Connections to PostgreSQL at most, without the relay's own."
    )
    statement_timeout_ms: int = Field(
        default=10_000, ge=100, le=600_000, description="Milliseconds that a statement may take."
    )
    concurrent_calls_max: int = Field(
        default=1_024, ge=1, le=10_000, description="Calls worked on at once; more are refused as overload."
    )
    place_batch_items_max: int = Field(
        default=128, ge=1, le=1_000, description="Placements in one transaction at most."
    )
    place_batch_bytes_max: int = Field(
        default=4_000_000,
        ge=1_000,
        le=64_000_000,
        description="Bytes of requests in one transaction at most.",
    )
    place_delay_ms_max: float = Field(
        default=1.0, ge=0, le=100, description="Milliseconds that a placement waits for company."
    )
    place_queue_items_max: int = Field(
        default=4_096,
        ge=1,
        le=1_000_000,
        description="Placements waiting at most; more are refused as overload.",
    )
    place_in_flight_max: int = Field(
        default=2, ge=1, le=16, description="Transactions of placements under way at once."
    )
    payment_window_default_s: int = Field(
        default=1_800,
        ge=60,
        le=2_592_000,
        description="Seconds to pay in, where a pay-later order states none.",
    )
    hold_grace_s: int = Field(
        default=900,
        ge=0,
        le=86_400,
        description="Seconds that stock is held past the end of the payment window.",
    )
    prepaid_hold_s: int = Field(
        default=86_400, ge=60, le=2_592_000, description="Seconds that stock is held for a prepaid order."
    )
    payment_provider: Literal["sandbox"] = Field(
        default="sandbox", description="Who takes payments; the sandbox moves no money."
    )
    payment_call_s_max: float = Field(
        default=5.0, gt=0, le=60, description="Seconds that a call to the payment provider may take."
    )
    payment_check_delay_s: float = Field(
        default=10.0, gt=0, le=3_600, description="Seconds after which a missing answer is asked for."
    )
    worker_pause_s: float = Field(
        default=0.5, gt=0, le=60, description="Seconds between two looks for timers that are due."
    )
    worker_batch_max: int = Field(
        default=200, ge=1, le=5_000, description="Timers of one kind worked on at once at most."
    )
    consumer_batch_records_max: int = Field(
        default=500, ge=1, le=10_000, description="Events applied in one transaction at most."
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

    @model_validator(mode="after")
    def _check_after_call(self) -> "OrdersSettings":
        if self.payment_check_delay_s <= self.payment_call_s_max:
            raise ValueError(
                "ORDERS_PAYMENT_CHECK_DELAY_S must be above ORDERS_PAYMENT_CALL_S_MAX: "
                "an answer is missing only when the call has ended"
            )
        return self
