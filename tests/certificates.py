"""Authorities and certificates for a test, in files as operators mount them."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from pathlib import Path

import trustme

from services.chassis.tls import Files

LOOPBACK = ("127.0.0.1", "localhost")


class Identity:
    """A certificate with its key and the authorities that its owner accepts, in files of one folder."""

    def __init__(self, folder: Path, *names: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.names = names or LOOPBACK
        self.files = Files(folder / "tls.crt", folder / "tls.key", folder / "ca.crt")

    def issue(self, authority: trustme.CA, *, expires: datetime | None = None) -> None:
        """Writes a new certificate and its key."""
        made = authority.issue_cert(*self.names, not_after=expires)
        chain = b"".join(pem.bytes() for pem in made.cert_chain_pems)
        self._replace("tls.key", made.private_key_pem.bytes())
        self._replace("tls.crt", chain)

    def accept(self, *authorities: trustme.CA) -> None:
        """Writes the authorities that are accepted from now on."""
        self._replace("ca.crt", b"".join(one.cert_pem.bytes() for one in authorities))

    def variables(self, prefix: str) -> dict[str, str]:
        """The settings that name these files, as GRPC_TLS_CERT_FILE for the prefix GRPC_TLS."""
        named = {"CERT": "tls.crt", "KEY": "tls.key", "CA": "ca.crt"}
        return {f"{prefix}_{kind}_FILE": str(self.folder / name) for kind, name in named.items()}

    def client_context(self) -> ssl.SSLContext:
        """For a client that shows this certificate and accepts these authorities."""
        return self.files.client_context()

    def _replace(self, name: str, content: bytes) -> None:
        new = self.folder / f"{name}.new"
        new.write_bytes(content)
        new.replace(self.folder / name)


def identity(folder: Path, authority: trustme.CA, *names: str) -> Identity:
    """A certificate of the authority, whose owner accepts that authority."""
    made = Identity(folder, *names)
    made.issue(authority)
    made.accept(authority)
    return made


def in_unix_seconds(moment: datetime) -> float:
    """As metrics tell times; certificates know whole seconds."""
    return moment.astimezone(UTC).replace(microsecond=0).timestamp()
