"""Secrets at rest. Who signs must have the secret itself, so it cannot be kept as a hash: it is sealed by a key that
the database does not hold (Fernet: AES-128-CBC with HMAC-SHA256).
"""

from collections.abc import Sequence
from hashlib import sha256

from cryptography.fernet import Fernet, MultiFernet

PRINT_CHARS = 16


class Vault:
    """Seals by the first of some keys, opens by any. Each key is 32 random bytes in URL-safe Base64."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._fernets = MultiFernet([Fernet(key) for key in keys])
        self.sealed_by = sha256(keys[0].encode()).hexdigest()[:PRINT_CHARS]
        """Names the key that seals, without telling it."""

    def seal(self, text: str) -> bytes:
        """What may be stored of a secret."""
        return self._fernets.encrypt(text.encode())

    def open(self, sealed: bytes) -> str:
        """The secret; raises `cryptography.fernet.InvalidToken` where none of the keys has sealed it."""
        return self._fernets.decrypt(sealed).decode()

    def seal_anew(self, sealed: bytes) -> bytes:
        """The same, sealed by the first key; raises as `open` does."""
        return self._fernets.rotate(sealed)
