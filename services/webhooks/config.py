"""The settings of webhooks: variables WEBHOOKS_*, besides those that every service has."""

from cryptography.fernet import Fernet
from pydantic import Field, field_validator
from pydantic_settings import SettingsConfigDict

from services.chassis.config import ConsumerLinger, Names, Port, StoringServiceSettings


class WebhooksSettings(StoringServiceSettings):
    """Read from the environment and from secret files; refused at start-up where wrong."""

    model_config = SettingsConfigDict(env_prefix="WEBHOOKS_")

    grpc_port: Port = Field(default=50055, description="Port of the gRPC server.")
    admin_port: Port = Field(default=9105, description="Port of /metrics, /healthz and /readyz.")
    secret_keys: Names = Field(
        min_length=1,
        repr=False,
        description="Keys that the secrets of endpoints are sealed with, each 32 random bytes in URL-safe Base64: the "
        "first seals, all open; what an older one has sealed is sealed anew.",
    )
    insecure_targets: bool = Field(
        default=False,
        description="For development only: endpoints may be http and at addresses that are not public.",
    )
    attempt_s_max: float = Field(
        default=15, gt=0, le=60, description="Seconds that an endpoint has to answer an attempt."
    )
    retry_first_s: float = Field(
        default=5,
        gt=0,
        le=3_600,
        description="Seconds to the second attempt, about; each further pause is four times as long, up to 8 hours.",
    )
    retry_for_h: float = Field(
        default=72, gt=0, le=240, description="Hours for which a failed delivery is tried again."
    )
    disable_after_h: float = Field(
        default=120,
        gt=0,
        le=2_400,
        description="Hours of nothing but failed attempts after which an endpoint is disabled.",
    )
    deliveries_kept_days: float = Field(
        default=14, ge=1, le=365, description="Days for which deliveries are kept, whatever came of them."
    )
    endpoint_in_flight_max: int = Field(
        default=8, ge=1, le=100, description="Attempts at one endpoint at once; one while it fails."
    )
    endpoints_at_once_max: int = Field(
        default=200,
        ge=1,
        le=2_000,
        description="Endpoints that a process sends to at once, and as many again of those that fail.",
    )
    poll_s: float = Field(
        default=0.5, gt=0, le=60, description="Seconds between looks for what another process has made due."
    )
    consumer_batch_records_max: int = Field(
        default=500, ge=1, le=5_000, description="Events that are taken over in one transaction."
    )
    consumer_linger_ms: ConsumerLinger = 100

    @field_validator("secret_keys")
    @classmethod
    def _are_keys(cls, keys: tuple[str, ...]) -> tuple[str, ...]:
        for key in keys:
            try:
                Fernet(key)
            except ValueError:
                raise ValueError("each key is 32 random bytes in URL-safe Base64") from None
        return keys
