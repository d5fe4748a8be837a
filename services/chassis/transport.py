"""The settings of encrypted and authenticated connections, alike in every service; all are off by default."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator
from pydantic_settings import BaseSettings

from services.chassis.tls import Files


def _readable(path: Path | None) -> Path | None:
    if path is not None:
        try:
            path.open("rb").close()
        except OSError as error:
            raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    return path


PemFile = Annotated[Path | None, AfterValidator(_readable)]
"""A file in PEM. Where it is replaced, the new one is used from the next connection on."""


class TransportSettings(BaseSettings):
    """How a process talks to the others and to Kafka. PostgreSQL's part of it stands in its URL."""

    tls_reload_s: float = Field(
        default=10,
        ge=0.1,
        le=3_600,
        validation_alias="TLS_RELOAD_S",
        description="Seconds between two looks for certificate files that were replaced.",
    )
    grpc_tls_cert_file: PemFile = Field(
        default=None,
        validation_alias="GRPC_TLS_CERT_FILE",
        description="Our certificate and what leads from it to its authority, PEM: shown to callers and to called "
        "services. With it and the next two, services talk by mutual TLS only.",
    )
    grpc_tls_key_file: PemFile = Field(
        default=None,
        validation_alias="GRPC_TLS_KEY_FILE",
        description="Its private key, PEM, without a password.",
    )
    grpc_tls_ca_file: PemFile = Field(
        default=None,
        validation_alias="GRPC_TLS_CA_FILE",
        description="The authorities, PEM, whose certificates are accepted between services.",
    )
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        default="PLAINTEXT",
        validation_alias="KAFKA_SECURITY_PROTOCOL",
        description="How the brokers' listener is secured.",
    )
    kafka_ca_file: PemFile = Field(
        default=None,
        validation_alias="KAFKA_CA_FILE",
        description="The authorities, PEM, that the brokers' certificates are of. Empty: the machine's.",
    )
    kafka_cert_file: PemFile = Field(
        default=None,
        validation_alias="KAFKA_CERT_FILE",
        description="Our certificate for the brokers, PEM, where they ask for one.",
    )
    kafka_key_file: PemFile = Field(
        default=None,
        validation_alias="KAFKA_KEY_FILE",
        description="Its private key, PEM, without a password.",
    )
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        default="SCRAM-SHA-512",
        validation_alias="KAFKA_SASL_MECHANISM",
        description="How we prove to the brokers who we are, where the protocol is a SASL one.",
    )
    kafka_sasl_username: str = Field(
        default="", validation_alias="KAFKA_SASL_USERNAME", description="Our name for that."
    )
    kafka_sasl_password: str = Field(
        default="", validation_alias="KAFKA_SASL_PASSWORD", repr=False, description="Our password for that."
    )

    @model_validator(mode="after")
    def _grpc_files_together(self) -> Self:
        given = {
            self.grpc_tls_cert_file is None,
            self.grpc_tls_key_file is None,
            self.grpc_tls_ca_file is None,
        }
        if len(given) > 1:
            raise ValueError(
                "GRPC_TLS_CERT_FILE, GRPC_TLS_KEY_FILE and GRPC_TLS_CA_FILE go together: set all three or none"
            )
        return self

    @model_validator(mode="after")
    def _kafka_fits_together(self) -> Self:
        protocol = self.kafka_security_protocol
        if (self.kafka_cert_file is None) != (self.kafka_key_file is None):
            raise ValueError("KAFKA_CERT_FILE and KAFKA_KEY_FILE go together: set both or none")
        if (self.kafka_ca_file or self.kafka_cert_file) and not protocol.endswith("SSL"):
            raise ValueError(
                f"KAFKA_CA_FILE and KAFKA_CERT_FILE mean nothing while KAFKA_SECURITY_PROTOCOL is {protocol}"
            )
        has_login = bool(self.kafka_sasl_username), bool(self.kafka_sasl_password)
        if protocol.startswith("SASL") and not all(has_login):
            raise ValueError(f"{protocol} needs KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD")
        if any(has_login) and not protocol.startswith("SASL"):
            raise ValueError(f"KAFKA_SASL_* mean nothing while KAFKA_SECURITY_PROTOCOL is {protocol}")
        return self

    @property
    def grpc_files(self) -> Files | None:
        """What mutual TLS between services is made of; None where they talk in plain text."""
        if self.grpc_tls_cert_file is None:
            return None
        return Files(self.grpc_tls_cert_file, self.grpc_tls_key_file, self.grpc_tls_ca_file)
