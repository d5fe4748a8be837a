"""Identifiers that sort by the time of their making (UUIDv7, RFC 9562)."""

import os
import threading
import time
from uuid import UUID

_VERSION_AND_VARIANT = (0x7 << 76) | (0x2 << 62)
_COUNTER_BITS = 42
_lock = threading.Lock()
_last_ms = 0
_counter = 0


def uuid7() -> UUID:
    """A new UUIDv7, greater than every one made before in this process.

    48 bits of milliseconds, a counter of 42 bits that starts at random in each millisecond (upper half left
    free to count), 32 random bits. A clock that steps back does not break the order: the counter goes on.
    """
    global _last_ms, _counter
    noise = int.from_bytes(os.urandom(10), "big")
    with _lock:
        now_ms = time.time_ns() // 1_000_000
        if now_ms > _last_ms:
            _last_ms = now_ms
            _counter = noise >> 39
        else:
            _counter += 1
            if _counter >> _COUNTER_BITS:
                _last_ms += 1
                _counter = noise >> 39
        stamp_ms, counter = _last_ms, _counter
    return UUID(
        int=stamp_ms << 80
        | _VERSION_AND_VARIANT
        | (counter >> 30) << 64
        | (counter & 0x3FFF_FFFF) << 32
        | noise & 0xFFFF_FFFF
    )
