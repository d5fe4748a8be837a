"""The whole system with every connection encrypted and both of its ends known, by certificates made for it."""

from __future__ import annotations

import json
import os
import re
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import trustme
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from deploy.local.kafka import Distribution, Kafka, Listener
from deploy.local.postgres import Postgres, unprivileged_user
from deploy.local.settings import DATABASES, LOOPBACK, StackSettings, free_ports
from deploy.local.stack import Stack
from tests.certificates import Identity, identity
from tests.e2e.conftest import KEYS

LISTENER = "SECURE"
USER, PASSWORD = "sampan", "brokers-know-this"
GATEWAY = "gateway.sampan.example"
RELOAD_S = 0.2
CONNECTION_AGE_S = 1
PATIENCE_S = 30.0
RELOADED = r'sampan_tls_reloads_total{outcome="loaded",use="(\w+)"} (\S+)'


class Secured:
    """Servers and services below `folder`; everybody accepts what `authority` has signed."""

    def __init__(self, folder: Path, authority: trustme.CA) -> None:
        self.folder = folder
        made = {
            name: identity(folder / name, authority) for name in ("postgres", "kafka", "public", *DATABASES)
        }
        made["gateway"] = identity(folder / "gateway", authority, GATEWAY, LOOPBACK)
        self.identities: dict[str, Identity] = made
        self.postgres = Postgres(folder / "servers" / "postgres", free_ports(1)[0])
        port, controller_port, self.kafka_port = free_ports(3)
        settings = StackSettings.on_free_ports(folder)
        self.kafka = Kafka(
            folder / "servers" / "kafka",
            port,
            controller_port,
            distribution=Distribution(settings.downloads, home=settings.kafka_home),
            listeners=[Listener(LISTENER, self.kafka_port, self.kafka_port, "SASL_SSL")],
            properties=self._broker_properties(),
            users={USER: PASSWORD},
        )
        self.stack = Stack(settings)

    def start(self) -> None:
        """Starts everything and waits until it is ready."""
        self.kafka.start()
        self.postgres.start()
        self.postgres.ensure_databases()
        self.encrypt_postgres()
        settings = self.stack.settings
        self.stack = Stack(
            StackSettings.on_free_ports(
                self.folder,
                ports=settings.ports,
                kafka_bootstrap=f"{LOOPBACK}:{self.kafka_port}",
                dsns={name: self.dsn(name) for name in DATABASES},
                extra=self._variables(),
            )
        )
        for name, service in self.stack.services.items():
            service.environment |= self.identities[name].variables("GRPC_TLS")
            service.environment["KAFKA_CA_FILE"] = str(self.folder / name / "ca.crt")
        self.stack.start_services()

    def remove(self) -> None:
        """Stops everything and deletes it."""
        self.stack.remove()
        self.kafka.remove()
        self.postgres.remove()

    def dsn(self, service: str) -> str:
        """Its database, with the server's certificate and name checked."""
        return (
            f"{self.postgres.dsn(service)}?sslmode=verify-full&sslrootcert={self.folder / service / 'ca.crt'}"
        )

    def https(self, *authorities: trustme.CA) -> ssl.SSLContext:
        """For a client of the public API that accepts these authorities."""
        client = Identity(self.folder / "client")
        client.accept(*authorities)
        return ssl.create_default_context(cafile=client.files.ca)

    def change(
        self, change: Callable[[Identity], object], *, uses: Sequence[str] = ("grpc", "kafka")
    ) -> None:
        """Changes every identity; returns when every process has taken over the files of these uses."""
        before = self._reloads(uses)
        for one in self.identities.values():
            change(one)
        until = time.monotonic() + PATIENCE_S
        while any(count <= before[key] for key, count in self._reloads(uses).items()):
            assert time.monotonic() < until, "the files were not taken over in time"
            time.sleep(0.05)

    def _reloads(self, uses: Sequence[str]) -> dict[tuple[str, str], float]:
        """How often each process has taken over changed files, by service and use."""
        counts: dict[tuple[str, str], float] = {}
        for name, service in self.stack.services.items():
            found = dict(re.findall(RELOADED, service.metrics()))
            counts |= {(name, use): float(found.get(use, 0)) for use in uses}
        return counts

    def encrypt_postgres(self) -> None:
        """Gives PostgreSQL its certificate as it is now; it takes no connection in plain text any more."""
        data = self.postgres.folder / "data"
        user = unprivileged_user()
        for name in ("server.crt", "server.key"):
            source = self.folder / "postgres" / name.replace("server", "tls")
            target = data / name
            target.write_bytes(source.read_bytes())
            target.chmod(0o600)
            if user is not None:
                os.chown(target, *user)
        rules = data / "pg_hba.conf"
        rules.write_text(re.sub(r"^host\b", "hostssl", rules.read_text(), flags=re.MULTILINE))
        self.postgres.execute(["ALTER SYSTEM SET ssl = on", "SELECT pg_reload_conf()"])

    def restart_kafka(self) -> None:
        """Stops the broker and starts it with its certificate as it is now."""
        self.kafka.stop()
        self.kafka.properties = self._broker_properties()
        self.kafka.start()

    def _broker_properties(self) -> dict[str, object]:
        folder = self.folder / "kafka"
        chain = folder / "keystore.pem"
        key = load_pem_private_key((folder / "tls.key").read_bytes(), None)
        # Java reads no other form of a key.
        readable = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        chain.write_bytes(readable + (folder / "tls.crt").read_bytes())
        prefix = f"listener.name.{LISTENER.lower()}"
        login = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        return {
            f"{prefix}.ssl.keystore.type": "PEM",
            f"{prefix}.ssl.keystore.location": chain,
            f"{prefix}.sasl.enabled.mechanisms": "SCRAM-SHA-512",
            f"{prefix}.scram-sha-512.sasl.jaas.config": login,
        }

    def _variables(self) -> dict[str, str]:
        keys = self.folder / "api-keys.json"
        keys.write_text(json.dumps(list(KEYS.values())))
        public = self.identities["public"].variables("GATEWAY_TLS")
        del public["GATEWAY_TLS_CA_FILE"]
        return {
            "GATEWAY_API_KEYS_FILE": str(keys),
            **public,
            "TLS_RELOAD_S": str(RELOAD_S),
            "GRPC_TLS_CLIENTS": GATEWAY,
            "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "KAFKA_SASL_USERNAME": USER,
            "KAFKA_SASL_PASSWORD": PASSWORD,
            # The broker is away for a while when it gets its new certificate.
            "ORDERS_UNDECIDED_AGE_S_MAX": "120",
            **{f"{name.upper()}_GRPC_CONNECTION_AGE_S_MAX": str(CONNECTION_AGE_S) for name in DATABASES},
        }


@contextmanager
def running(folder: Path, authority: trustme.CA) -> Iterator[Secured]:
    """A system of its own, removed afterwards."""
    secured = Secured(folder, authority)
    try:
        secured.start()
        yield secured
    finally:
        secured.remove()
