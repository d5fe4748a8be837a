"""Which pages of other origins may read the API's answers in a browser: none, unless they are configured.

A key in a page is everybody's, so this is for a storefront's own pages behind its own gateway, for operators' consoles
and for tools. Cookies play no part: a key is sent by the page or not at all.
"""

import re
from collections.abc import Collection, Mapping

from services.gateway.call import Reply

ANY = "*"
PREFLIGHT_S_MAX = 7200
"""For so long a browser may remember a preflight's answer; Chromium forgets it after two hours anyway."""
METHODS = ("GET", "POST", "PUT", "DELETE")
REQUEST_HEADERS = (
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "If-Match",
    "If-None-Match",
    "Last-Event-ID",
    "Prefer",
    "X-API-Key",
    "X-Request-Id",
    "traceparent",
)
ANSWER_HEADERS = (
    "ETag",
    "Idempotency-Replayed",
    "Location",
    "Preference-Applied",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "WWW-Authenticate",
    "X-Request-Id",
    "traceparent",
)
_ORIGIN = re.compile(r"https?://[a-z0-9.-]+(?::[0-9]{1,5})?|https?://\[[0-9a-f:]+\](?::[0-9]{1,5})?")
_VARY = (b"vary", b"origin")


def origins_of(text: str) -> tuple[str, ...]:
    """The origins of a setting, separated by commas; raises ValueError for what no browser would send as one."""
    origins = tuple(origin for part in text.split(",") if (origin := part.strip()))
    for origin in origins:
        if origin != ANY and not _ORIGIN.fullmatch(origin):
            raise ValueError(
                f"{origin!r} is no origin such as https://shop.example.com, in lower case, without a path"
            )
    if ANY in origins and len(origins) > 1:
        raise ValueError("* stands alone: it is every origin")
    return origins


class Cors:
    """The headers that let a page of an allowed origin read an answer."""

    def __init__(self, origins: Collection[str]) -> None:
        self._any = ANY in origins
        exposed = (b"access-control-expose-headers", ", ".join(ANSWER_HEADERS).encode())
        self._headers = {
            origin.encode(): ((b"access-control-allow-origin", origin.encode()), exposed, _VARY)
            for origin in origins
        }
        self._headers_of_any = ((b"access-control-allow-origin", b"*"), exposed)
        self._preflight = (
            (b"access-control-allow-methods", ", ".join(METHODS).encode()),
            (b"access-control-allow-headers", ", ".join(REQUEST_HEADERS).encode()),
            (b"access-control-max-age", b"%d" % PREFLIGHT_S_MAX),
        )

    def headers(self, origin: bytes | None) -> tuple[tuple[bytes, bytes], ...]:
        """What an answer carries for a request from that origin. For others it carries no permission; that it depends
        on the origin is said to every cache."""
        if self._any:
            return self._headers_of_any if origin is not None else ()
        return self._headers.get(origin or b"", (_VARY,))

    def preflight(self, method: str, headers: Mapping[bytes, bytes]) -> Reply | None:
        """The answer to a browser that asks before it sends; None for any other request."""
        if method != "OPTIONS" or b"access-control-request-method" not in headers:
            return None
        origin = headers.get(b"origin")
        is_allowed = origin is not None and (self._any or origin in self._headers)
        return Reply(204, headers=self._preflight if is_allowed else ())
