"""The settings of orders: variables ORDERS_*, besides those that every service has."""

from typing import Literal, TypeAlias

from pydantic import Field, Json, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from services.chassis import signatures
from services.chassis.config import (
    ConcurrentCalls,
    ConsumerLinger,
    DatabaseServiceSettings,
    PoolSize,
    Port,
    StatementTimeout,
)

ProviderName: TypeAlias = Literal["sandbox"]
NOTIFICATION_SECRETS_MAX = 3
"""Of a provider: what it signs with now, what it did before, and one to spare."""


class OrdersSettings(DatabaseServiceSettings):
    """Read from the environment and from secret files; refused at start-up where wrong."""

    model_config = SettingsConfigDict(env_prefix="ORDERS_")

    grpc_port: Port = Field(default=50052, description="Port of the gRPC server.")
    admin_port: Port = Field(default=9102, description="Port of /metrics, /healthz and /readyz.")
    pool_size_max: PoolSize = 10
    statement_timeout_ms: StatementTimeout = 10_000
    concurrent_calls_max: ConcurrentCalls = 1_024
    place_batch_items_max: int = Field(
        default=128, ge=1, le=1_000, description="Placements in one transaction at most."
    )
    place_batch_lines_max: int = Field(
        default=4_000,
        ge=1,
        le=1_000_000,
        description="Lines, over its placements, that a transaction may hold; one order is never split.",
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
    place_wait_s_max: float = Field(
        default=1.0,
        gt=0,
        le=60,
        description="Seconds that the oldest waiting placement may have waited before more are refused as overload.",
    )
    undecided_age_s_max: float = Field(
        default=5.0,
        gt=0,
        le=86_400,
        description="Seconds that a placed order may wait for the warehouse before more are refused as overload.",
    )
    undecided_ignored: int = Field(
        default=100,
        ge=0,
        le=100_000,
        description="The oldest undecided orders left out of that age, besides those asked for again.",
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
    payment_provider: ProviderName = Field(
        default="sandbox", description="Who takes payments; the sandbox moves no money."
    )
    payment_call_s_max: float = Field(
        default=5.0, gt=0, le=60, description="Seconds that a call to the payment provider may take."
    )
    payment_check_delay_s: float = Field(
        default=10.0, gt=0, le=3_600, description="Seconds after which a missing answer is asked for."
    )
    payment_notification_secrets: Json[dict[ProviderName, tuple[str, ...]]] = Field(
        default="{}",  # type: ignore[arg-type]  # as a variable would say it: defaults are read, too
        repr=False,
        description="What each payment provider signs its notifications with, as JSON: "
        '`{"sandbox": ["whsec_...", "whsec_..."]}`, one or, while it is replaced, up to three, each 24 to 64 random '
        "bytes in Base64. A provider without any cannot notify. Best given as a file.",
    )
    answer_wait_s: float = Field(
        default=60,
        ge=0.1,
        le=3_600,
        description="Seconds that an order waits for the warehouse until it asks again; then twice as long each time.",
    )
    answer_wait_s_max: float = Field(
        default=3_600, ge=1, le=86_400, description="Seconds between two such questions at most."
    )
    answer_attempts_alarm: int = Field(
        default=5,
        ge=1,
        le=100,
        description="Questions without an answer from which on an order needs a person.",
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
    consumer_linger_ms: ConsumerLinger = 30

    @field_validator("payment_notification_secrets")
    @classmethod
    def _are_secrets(cls, found: dict[ProviderName, tuple[str, ...]]) -> dict[ProviderName, tuple[str, ...]]:
        for secrets in found.values():
            if not 1 <= len(secrets) <= NOTIFICATION_SECRETS_MAX:
                raise ValueError(f"a provider has 1 to {NOTIFICATION_SECRETS_MAX} secrets")
            for secret in secrets:
                signatures.check_secret(secret)
        return found

    @model_validator(mode="after")
    def _check_after_call(self) -> "OrdersSettings":
        if self.payment_check_delay_s <= self.payment_call_s_max:
            raise ValueError(
                "ORDERS_PAYMENT_CHECK_DELAY_S must be above ORDERS_PAYMENT_CALL_S_MAX: "
                "an answer is missing only when the call has ended"
            )
        return self
