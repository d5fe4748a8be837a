"""Places an order, repeats it as after a lost answer, reads it back, and shows what a refusal looks like.

SAMPAN_URL=http://127.0.0.1:8080 SAMPAN_API_KEY=... python place_order.py SKU
"""

import json
import os
import sys
from uuid import UUID, uuid4

from sampan_client import AuthenticatedClient
from sampan_client.api.orders import get_order, place_order
from sampan_client.models import Address, LineRequest, Order, PlaceOrder, ProblemDocument


def main(sku: str) -> None:
    """Run the tour."""
    with AuthenticatedClient(os.environ["SAMPAN_URL"], token=os.environ["SAMPAN_API_KEY"]) as client:

        def body(quantity: int) -> PlaceOrder:
            return PlaceOrder(
                buyer_ref="buyer-1",
                currency_code="EUR",
                payment_terms="prepaid",
                lines=[LineRequest(sku=sku, quantity=quantity)],
                ship_to=Address(
                    region_code="ES", postal_code="28013", locality="Madrid", address_lines=["Gran Via 1"]
                ),
            )

        # The same key for every try: however often the answer is lost, there is one order.
        key = str(uuid4())
        placed = place_order.sync(client=client, body=body(1), idempotency_key=key, prefer="wait=20")
        if not isinstance(placed, Order):
            raise SystemExit(f"refused: {placed}")
        again = place_order.sync_detailed(client=client, body=body(1), idempotency_key=key, prefer="wait=20")
        read = get_order.sync(UUID(placed.order_id), client=client)
        refused = place_order.sync(client=client, body=body(2), idempotency_key=key)
        if not isinstance(read, Order) or not isinstance(again.parsed, Order):
            raise SystemExit(f"not found again: {read}, {again}")
        print(
            json.dumps(
                {
                    "order_id": read.order_id,
                    "state": read.state,
                    "total": read.total.to_dict(),
                    "repeated_order_id": again.parsed.order_id,
                    "replayed": again.headers.get("idempotency-replayed"),
                    "other_body_with_the_same_key": (
                        refused.reason if isinstance(refused, ProblemDocument) else None
                    ),
                }
            )
        )


if __name__ == "__main__":
    main(sys.argv[1])
