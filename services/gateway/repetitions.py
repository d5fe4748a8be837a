"""Requests that come again while the first one with their Idempotency-Key is still at work in this process.

What another gateway is at work on, the service behind finds in its database.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from services.gateway.call import Call, is_settled
from services.gateway.errors import Problem


class Repetitions:
    """Keys at work, by tenant and route; as many as there are requests."""

    def __init__(self) -> None:
        self._at_work: dict[tuple[str, str, bytes], Call] = {}

    def __len__(self) -> int:
        return len(self._at_work)

    @contextmanager
    def first(self, path: str, call: Call) -> Iterator[None]:
        """The request is the only one with its key as long as the block lasts, or until it is settled.

        Raises REQUEST_IN_PROGRESS where another one is at work.
        """
        given = call.headers.get(b"idempotency-key")
        if not given:
            yield
            return
        key = (call.tenant_id, path, given)
        if self._at_work.setdefault(key, call) is not call:
            raise Problem(
                "REQUEST_IN_PROGRESS", "the first request with this Idempotency-Key is still at work"
            )

        def settle() -> None:
            # Once it is settled, the next one with the key may be at work.
            if self._at_work.get(key) is call:
                del self._at_work[key]

        call.settle = settle
        try:
            yield
        finally:
            settle()
            # Else the call and its closure would hold each other, and all of the request, until the collector comes.
            call.settle = is_settled
