"""An issuer of tokens with keys of its own, which it publishes over real HTTP on loopback."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

ISSUER = "https://login.example"
AUDIENCE = "sampan"

_MAKERS: dict[str, Any] = {
    "RS256": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
}
_JWK_OF: dict[str, Any] = {
    "RS256": jwt.algorithms.RSAAlgorithm,
    "ES256": jwt.algorithms.ECAlgorithm,
    "EdDSA": jwt.algorithms.OKPAlgorithm,
}


@cache
def _private_key(algorithm: str) -> Any:
    """Made once: a key of RSA takes its time, and the tests tell keys apart by their ids."""
    return _MAKERS[algorithm]()


@dataclass
class Issuer:
    """Its private keys by id, and what it publishes; `requests` counts how often it was asked."""

    url: str = ""
    keys: dict[str, tuple[str, Any]] = field(default_factory=dict)
    published: list[dict[str, Any]] = field(default_factory=list)
    requests: int = 0
    status: int = 200
    body: bytes | None = None
    location: str = ""

    def add(self, kid: str, algorithm: str, *, private: Any = None, **changes: Any) -> Any:
        """Takes a key and publishes its public half."""
        private = private or _private_key(algorithm)
        self.keys[kid] = (algorithm, private)
        public = json.loads(_JWK_OF[algorithm].to_jwk(private.public_key()))
        self.published.append(public | {"kid": kid, "use": "sig", "alg": algorithm} | changes)
        return private

    def token(self, kid: str, *, headers: dict[str, Any] | None = None, **changes: Any) -> bytes:
        """A token by one of its keys; a claim of None is left out."""
        algorithm, private = self.keys[kid]
        return jwt.encode(
            claims(**changes), private, algorithm=algorithm, headers={"kid": kid} | (headers or {})
        ).encode()

    def public_pem(self, kid: str) -> bytes:
        """A public key as a file would hold it."""
        public: bytes = (
            self.keys[kid][1]
            .public_key()
            .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        )
        return public


def claims(**changes: Any) -> dict[str, Any]:
    """The claims of a good token, changed; None leaves one out."""
    stated: dict[str, Any] = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "ana",
        "exp": int(time.time()) + 600,
        "tenant_id": "acme",
        "roles": ["storefront"],
    }
    return {name: value for name, value in (stated | changes).items() if value is not None}


@contextmanager
def serving() -> Iterator[Issuer]:
    """An issuer whose keys can be fetched."""
    issuer = Issuer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer.requests += 1
            body = issuer.body if issuer.body is not None else json.dumps({"keys": issuer.published}).encode()
            self.send_response(issuer.status)
            if issuer.location:
                self.send_header("Location", issuer.location)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    # Looked at often, so that it ends at once.
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    issuer.url = f"http://127.0.0.1:{server.server_port}/jwks"
    try:
        yield issuer
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
