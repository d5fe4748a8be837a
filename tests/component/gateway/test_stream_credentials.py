"""A stream lasts no longer than the credential that opened it."""

from __future__ import annotations

from hashlib import sha256

from google.type.postal_address_pb2 import PostalAddress
from sampan.orders.v1 import order_service_pb2 as pb

from services.gateway.auth import Caller
from tests.component.gateway.backends import NOW
from tests.component.gateway.conftest import Start

ORDER_ID = "019ab3c0-5e1f-7c3e-8f65-0d6c2f3f5b11"


async def test_a_stream_ends_at_the_heartbeat_after_its_key_was_revoked(start: Start) -> None:
    system = await start(stream_heartbeat_s=0.05)
    system.orders.orders["demo", ORDER_ID] = pb.Order(
        order_id=ORDER_ID,
        state=pb.ORDER_STATE_PENDING,
        version=1,
        etag="1",
        ship_to=PostalAddress(region_code="ES"),
        create_time=NOW,
        update_time=NOW,
    )
    digest = sha256(b"of-a-key").digest()
    system.gateway.ring.put(digest, Caller("demo", frozenset(("storefront",)), "key:1"), None)
    path = f"/v1/orders/{ORDER_ID}/events"
    beats = 0
    async with system.anonymous.stream("GET", path, headers={"X-API-Key": "of-a-key"}) as stream:
        assert stream.status_code == 200
        async for line in stream.aiter_lines():
            if line.startswith(": still here"):
                beats += 1
                if beats == 3:
                    system.gateway.ring.remove(digest)
    # Ended by the gateway: the order is not final, and nobody else would end it.
    assert beats == 3
    assert (await system.anonymous.get(path, headers={"X-API-Key": "of-a-key"})).status_code == 401
