"""Server-Sent Events as bytes (WHATWG HTML, 9.2): what every stream of ours says alike."""

MEDIA_TYPE = b"text/event-stream; charset=utf-8"
RETRY = b"retry: 2000\n\n"
"""How long a client that has lost its stream waits before it comes back, in milliseconds."""
ALIVE = b": still here\n\n"


def event(name: bytes, data: bytes, last_id: bytes) -> bytes:
    """One event; `data` is one line of JSON. A client that comes back sends the last id that it has got."""
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (last_id, name, data)


def told(name: bytes, data: bytes) -> bytes:
    """One event of a stream that begins anew each time, and so needs no ids."""
    return b"event: %b\ndata: %b\n\n" % (name, data)


def place(last_id: bytes) -> bytes:
    """Moves on what the client will send as its last id, without an event."""
    return b"id: %b\n\n" % last_id
