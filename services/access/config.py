"""The access service's settings: variables ACCESS_*, besides those that every service has."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from services.chassis.config import DatabaseServiceSettings, Port


class AccessSettings(DatabaseServiceSettings):
    """Read from the environment and from secret files; refused at start-up where wrong."""

    model_config = SettingsConfigDict(env_prefix="ACCESS_")

    grpc_port: Port = Field(default=50054, description="Port of the gRPC server.")
    admin_port: Port = Field(default=9104, description="Port of /metrics, /healthz and /readyz.")
