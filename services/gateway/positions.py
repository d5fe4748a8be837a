"""Places in a topic as the ids of a stream's events: the offset of the next record of each partition.

They mean the same to every gateway, now and after a restart. A byte for the format, then each offset as a varint
(LEB128), all in base64url without padding: 12 partitions with a million records each take 50 characters.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from collections.abc import Sequence

CHARS_MAX = 2_048
OFFSET_MAX = 2**63 - 1
_FORMAT = 1


def encode(offsets: Sequence[int]) -> bytes:
    """The id of a place."""
    packed = bytearray((_FORMAT,))
    for offset in offsets:
        rest = offset
        while rest > 0x7F:
            packed.append(rest & 0x7F | 0x80)
            rest >>= 7
        packed.append(rest)
    return urlsafe_b64encode(packed).rstrip(b"=")


def decode(text: str) -> list[int]:
    """The place of an id; raises ValueError for what `encode` has not made."""
    if len(text) > CHARS_MAX:
        raise ValueError("too long")
    try:
        packed = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
    except (Error, UnicodeEncodeError) as error:
        raise ValueError("not base64url") from error
    offsets: list[int] = []
    offset = shift = 0
    for byte in packed[1:]:
        offset |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            offsets.append(offset)
            offset = shift = 0
    if not offsets or max(offsets) > OFFSET_MAX or encode(offsets) != text.encode("ascii"):
        raise ValueError("not an id of ours")
    return offsets
