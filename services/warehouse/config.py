"""The warehouse's settings: variables WAREHOUSE_*, besides those that every service has."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from services.chassis.config import ConsumerLinger, DatabaseServiceSettings, Port


class WarehouseSettings(DatabaseServiceSettings):
    """Read from the environment and from secret files; refused at start-up where wrong."""

    model_config = SettingsConfigDict(env_prefix="WAREHOUSE_")

    grpc_port: Port = Field(default=50053, description="Port of the gRPC server.")
    admin_port: Port = Field(default=9103, description="Port of /metrics, /healthz and /readyz.")
    hold_batch_items_max: int = Field(
        default=256, ge=1, le=2_000, description="Hold commands of calls that are decided in one transaction."
    )
    hold_delay_ms_max: float = Field(
        default=2,
        ge=0,
        le=1_000,
        description="Milliseconds that a call waits for others to share its transaction.",
    )
    hold_queue_items_max: int = Field(
        default=10_000,
        ge=1,
        le=1_000_000,
        description="Hold commands that may wait; more are refused as overload.",
    )
    hold_wait_s_max: float = Field(
        default=1.0,
        gt=0,
        le=60,
        description="Seconds that the oldest waiting hold command may have waited before more are refused as overload.",
    )
    hold_in_flight_max: int = Field(
        default=2,
        ge=1,
        le=16,
        description="Transactions of calls on holds at once; one decides while one commits.",
    )
    consumer_batch_records_max: int = Field(
        default=256, ge=1, le=5_000, description="Order events that are decided in one transaction."
    )
    consumer_linger_ms: ConsumerLinger = 30
    expiry_sweep_period_s: float = Field(
        default=1, gt=0, le=3_600, description="Seconds between sweeps for holds past their deadline."
    )
    expiry_sweep_holds_max: int = Field(
        default=500, ge=1, le=10_000, description="Holds that one transaction of the sweep expires."
    )
