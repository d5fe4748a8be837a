"""Answers compressed by zstd or gzip, where the caller takes that and it pays.

Only what the framework routes comes here: lists, reports, documents about the API. The hottest routes answer small
documents, and at once. An answer with an ETag is sent as it is: its tag stands for these bytes, and must be good for
If-Match.
"""

import asyncio
import functools
import zlib

import zstandard

from services.gateway.call import Call, Reply

ZSTD_LEVEL = 3
GZIP_LEVEL = 5
GZIP_WINDOW = 31
"""zlib's word for a gzip header around the largest window."""
AT_ONCE_BYTES_MAX = 32_768
"""What is larger is compressed beside the event loop: gzip takes some 20 ms for a MiB."""
ENCODINGS = ("zstd", "gzip")
"""Best first: zstd is the smaller and takes a fraction of the time."""

_VARY = (b"vary", b"accept-encoding")
_PACKED = frozenset((b"image/png",))


@functools.lru_cache(maxsize=256)
def encoding_for(accept: bytes) -> str | None:
    """The best encoding that an Accept-Encoding header takes (RFC 9110, 12.5.3); None for the bytes as they are."""
    weights: dict[str, float] = {}
    for part in accept.decode("latin-1").lower().split(","):
        name, _, rest = part.strip().partition(";")
        key, _, value = rest.strip().partition("=")
        try:
            weights[name.strip()] = float(value) if key.strip() == "q" else 1.0
        except ValueError:
            weights[name.strip()] = 0.0
    wanted = {name: weights.get(name, weights.get("*", 0.0)) for name in ENCODINGS}
    best = max(ENCODINGS, key=lambda name: wanted[name])
    return best if wanted[best] > 0 and wanted[best] >= weights.get("identity", 0.0) else None


def pack(encoding: str, body: bytes) -> bytes:
    """The body in that encoding."""
    if encoding == "zstd":
        return zstandard.ZstdCompressor(level=ZSTD_LEVEL).compress(body)
    return zlib.compress(body, GZIP_LEVEL, GZIP_WINDOW)


async def compressed(reply: Reply, call: Call, *, bytes_min: int) -> Reply:
    """The reply as it is to be sent to this caller."""
    headers = dict(reply.headers)
    if (
        not bytes_min
        or len(reply.body) < bytes_min
        or b"etag" in headers
        or headers[b"content-type"] in _PACKED
    ):
        return reply
    encoding = encoding_for(call.headers.get(b"accept-encoding", b""))
    if encoding is None:
        reply.headers.append(_VARY)
        return reply
    if len(reply.body) <= AT_ONCE_BYTES_MAX:
        body = pack(encoding, reply.body)
    else:
        body = await asyncio.to_thread(pack, encoding, reply.body)
    ours = (b"content-type", b"content-length")
    kept = [(name, value) for name, value in reply.headers if name not in ours]
    return Reply(
        reply.status,
        body,
        media_type=headers[b"content-type"],
        headers=[*kept, _VARY, (b"content-encoding", encoding.encode())],
    )
