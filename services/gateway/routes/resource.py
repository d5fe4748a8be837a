"""What all resources do alike."""

from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec

from services.gateway.call import Call, Reply, decode_json
from services.gateway.clients import Clients
from services.gateway.config import GatewaySettings
from services.gateway.errors import Problem

T = TypeVar("T")

encode = msgspec.json.encode


class Resource:
    """The base of the resources: reads bodies, writes documents."""

    def __init__(self, clients: Clients, settings: GatewaySettings) -> None:
        self.clients = clients
        self.settings = settings

    async def read(self, call: Call, decoder: msgspec.json.Decoder[T]) -> T:
        """The JSON body as its struct."""
        media_type = call.media_type()
        if media_type != b"application/json":
            raise Problem("MEDIA_TYPE_UNSUPPORTED", "the body must be application/json")
        body = await call.body(bytes_max=self.settings.body_bytes_max)
        if not body:
            raise Problem("BODY_REQUIRED", "the route needs a JSON body")
        return decode_json(decoder, body)

    async def read_optional(self, call: Call, decoder: msgspec.json.Decoder[T], absent: T) -> T:
        """The JSON body as its struct, `absent` where there is none."""
        body = await call.body(bytes_max=self.settings.body_bytes_max)
        if not body:
            return absent
        if call.media_type() != b"application/json":
            raise Problem("MEDIA_TYPE_UNSUPPORTED", "the body must be application/json")
        return decode_json(decoder, body)


def document(value: Any, *, status: int = 200, etag: str = "", location: str = "") -> Reply:
    """A JSON answer."""
    headers = []
    if etag:
        headers.append((b"etag", f'"{etag}"'.encode()))
    if location:
        headers.append((b"location", location.encode()))
    return Reply(status, encode(value), headers=headers)


_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


def picked(body: bytes, fields: Sequence[str] | None) -> bytes:
    """Of a JSON object only these fields, in their own order; all of it for None."""
    if fields is None:
        return body
    return encode({name: value for name, value in _members.decode(body).items() if name in fields})


def is_not_modified(call: Call, quoted_etag: bytes) -> bool:
    """Whether If-None-Match names the ETag, compared weakly."""
    text = call.header(b"if-none-match")
    if text is None:
        return False
    if text == "*":
        return True
    wanted = quoted_etag.decode()
    return any(candidate.strip().removeprefix("W/") == wanted for candidate in text.split(","))


def not_modified(quoted_etag: bytes) -> Reply:
    """304: the caller's copy is the current one."""
    return Reply(304, headers=[(b"etag", quoted_etag)])
