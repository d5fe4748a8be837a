"""Certificates from files that are replaced while the process runs: what is made of them is made anew.

    certificates = tls.Watched("grpc", files, files.channel_credentials)
    certificates.value                       # of the newest files that fit together
    certificates.on_change(channel.renew)    # for what cannot ask anew each time

`watch`, which every serving process runs, looks at the files' times of change now and then. Files that cannot be
used, such as a new certificate whose key has not come yet, leave in force what was: the log and a metric say so.
"""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

import grpc
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from prometheus_client import Counter, Gauge

from services.chassis import log, metrics

T = TypeVar("T")

PEM_BYTES_MAX = 1_000_000

_log = log.get(__name__)
_BEGIN = metrics.Kept(
    Gauge(
        "sampan_tls_certificate_begin_timestamp_seconds",
        "When the certificate in use began to be valid, in Unix seconds.",
        ["use"],
    ),
    children_max=4,
)
_EXPIRY = metrics.Kept(
    Gauge(
        "sampan_tls_certificate_expiry_timestamp_seconds",
        "When the certificate in use expires, in Unix seconds.",
        ["use"],
    ),
    children_max=4,
)
_RELOADS = metrics.Kept(
    Counter(
        "sampan_tls_reloads_total", "Changed certificate files, by whether they are used.", ["use", "outcome"]
    ),
    children_max=8,
)


class Unusable(ValueError):
    """Certificate files that do not fit together or are none; the text names the fault and no secret."""


@dataclass(frozen=True, slots=True)
class Files:
    """PEM files: our chain with its key, and the authorities whose certificates we accept; each may be missing."""

    cert: Path | None = None
    key: Path | None = None
    ca: Path | None = None

    def server_context(self) -> ssl.SSLContext:
        """For a server that anybody may call."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._load(context)
        context.set_alpn_protocols(["http/1.1"])
        return context

    def client_context(self) -> ssl.SSLContext:
        """For a client that checks the server's certificate and name, by the machine's authorities without ours."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._load(context)
        if self.ca is None:
            context.load_default_certs()
        return context

    def channel_credentials(self) -> grpc.ChannelCredentials:
        """For a gRPC client that shows its certificate and checks the server's."""
        return grpc.ssl_channel_credentials(_read(self.ca), _read(self.key), _read(self.cert))

    def server_configuration(self) -> grpc.ServerCertificateConfiguration:
        """For a gRPC server that accepts clients of our authorities only."""
        return grpc.ssl_server_certificate_configuration(
            [(_read(self.key), _read(self.cert))], _read(self.ca)
        )

    def _load(self, context: ssl.SSLContext) -> None:
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.cert is not None:
            context.load_cert_chain(self.cert, self.key)
        if self.ca is not None:
            context.load_verify_locations(self.ca)

    def state(self) -> tuple[object, ...]:
        """Differs when a file was replaced or written anew."""
        stats = [path.stat() for path in (self.cert, self.key, self.ca) if path is not None]
        return tuple((one.st_mtime_ns, one.st_size, one.st_ino) for one in stats)

    def check(self) -> x509.Certificate | None:
        """Our certificate, if any; raises `Unusable` unless the key is its own and the authorities are some."""
        if self.ca is not None:
            _certificates(self.ca)
        if self.cert is None or self.key is None:
            return None
        own = _certificates(self.cert)[0]
        try:
            key = load_pem_private_key(_read(self.key), None)
        except (ValueError, TypeError):
            raise Unusable(f"{self.key} holds no private key in PEM without a password") from None
        shape = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        if key.public_key().public_bytes(*shape) != own.public_key().public_bytes(*shape):
            raise Unusable(f"the key in {self.key} is not that of the certificate in {self.cert}")
        return own


class Watched(Generic[T]):
    """What `make` makes of the files; made anew by `refresh` when they change. `use` is a metric's label.

    Raises `Unusable` where the files cannot be used at the start.
    """

    def __init__(self, use: str, files: Files, make: Callable[[], T]) -> None:
        self._use = use
        self._files = files
        self._make = make
        self._listeners: list[Callable[[], object]] = []
        try:
            self._state = files.state()
            self.value = self._load()
        except OSError as error:
            raise Unusable(f"{error.filename}: {error.strerror}") from None
        _watched.append(self)

    def on_change(self, listener: Callable[[], object]) -> None:
        """Calls `listener`, on the event loop, after `value` has changed."""
        self._listeners.append(listener)

    def refresh(self) -> None:
        """Takes over changed files."""
        try:
            state = self._files.state()
            if state == self._state:
                return
            self.value = self._load()
        except (OSError, ValueError) as error:
            # Tried again at the next look: in between, the rest of the files may have come.
            _RELOADS[self._use, "refused"].inc()
            _log.warning("changed certificates are not used", use=self._use, error=str(error))
            return
        self._state = state
        _RELOADS[self._use, "loaded"].inc()
        _log.info("certificates changed", use=self._use)
        for listener in self._listeners:
            listener()

    def _load(self) -> T:
        own = self._files.check()
        value = self._make()
        if own is not None:
            _BEGIN[self._use].set(own.not_valid_before_utc.timestamp())
            _EXPIRY[self._use].set(own.not_valid_after_utc.timestamp())
        return value


class RotatingContext(ssl.SSLContext):
    """An SSLContext that gives each new connection of an event loop the newest certificates."""

    _watched: Watched[ssl.SSLContext]

    def __new__(cls, watched: Watched[ssl.SSLContext]) -> "RotatingContext":
        """Itself it accepts nobody: only `wrap_bio`, which event loops use, is of any use."""
        context = super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)
        context._watched = watched
        return context

    def __init__(self, watched: Watched[ssl.SSLContext]) -> None:
        super().__init__()

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:
        """Called by the event loop for each connection."""
        return self._watched.value.wrap_bio(*args, **kwargs)


_watched: list[Watched[Any]] = []


async def watch(period_s: float) -> None:
    """Looks for changed files every `period_s` seconds, for ever."""
    while True:
        await asyncio.sleep(period_s)
        for one in _watched:
            one.refresh()


def server_credentials(certificates: Watched[grpc.ServerCertificateConfiguration]) -> grpc.ServerCredentials:
    """Credentials of a gRPC server; a new connection gets the newest certificates, and needs an accepted one."""
    used = certificates.value

    def changed() -> grpc.ServerCertificateConfiguration | None:
        # Called on a thread of gRPC's before each handshake.
        nonlocal used
        newest = certificates.value
        if newest is used:
            return None
        used = newest
        return newest

    # The stubs do not know that None means: as before.
    fetch = cast("Callable[[], grpc.ServerCertificateConfiguration]", changed)
    return grpc.dynamic_ssl_server_credentials(used, fetch, require_client_authentication=True)


def _read(path: Path | None) -> bytes:
    if path is None:
        return b""
    with path.open("rb") as file:
        return file.read(PEM_BYTES_MAX)


def _certificates(path: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(_read(path))
    except ValueError:
        raise Unusable(f"{path} holds no certificate in PEM") from None
