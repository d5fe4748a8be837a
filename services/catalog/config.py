"""The catalog's settings: variables CATALOG_*, besides those that every service has."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from services.chassis.config import DatabaseServiceSettings, Port


class CatalogSettings(DatabaseServiceSettings):
    """Read from the environment and from secret files; refused at start-up where wrong."""

    model_config = SettingsConfigDict(env_prefix="CATALOG_")

    grpc_port: Port = Field(default=50051, description="Port of the gRPC server.")
    admin_port: Port = Field(default=9101, description="Port of /metrics, /healthz and /readyz.")
    import_streams_max: int = Field(
        default=4, ge=1, le=64, description="Imports at work at once; more are refused as overload."
    )
