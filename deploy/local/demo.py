"""Fills the marketplace with a small catalogue and carries one order to delivery, all through the public API.

What is there already stays as it is; only the order is new each time.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from deploy.local.keys import ensure_keys
from deploy.local.settings import TENANT_ID, StackError
from deploy.local.stack import Stack

CATALOGUE = Path(__file__).with_name("demonstration.json")
SKU = "WIG-BOB-NAT-14"
ADDRESS: Mapping[str, object] = {
    "region_code": "ES",
    "postal_code": "28013",
    "locality": "Madrid",
    "address_lines": ["Gran Via 1"],
    "recipients": ["Ana García"],
}
PROPAGATION_S_MAX = 30.0
POLL_INTERVAL_S = 0.05
REQUEST_TIMEOUT_S = 30.0

Document = dict[str, Any]


class Shop:
    """The public API with one role's key; every answer that is not 2xx is a StackError with the problem's words."""

    def __init__(self, base_url: str, key: str, *, traceparent: str | None = None) -> None:
        headers = {"Authorization": f"Bearer {key}"}
        if traceparent is not None:
            headers["traceparent"] = traceparent
        self._client = httpx.Client(
            base_url=base_url, headers=headers, timeout=REQUEST_TIMEOUT_S, trust_env=False
        )

    def get(self, path: str, *, accept: Iterable[int] = (), **query: str | int) -> Document:
        """Return the document at `path`."""
        return self._answer(self._client.get(path, params=query), accept=accept)

    def post(
        self,
        path: str,
        body: object,
        *,
        key: str | None = None,
        accept: Iterable[int] = (),
        prefer: str | None = None,
    ) -> Document:
        """Send a JSON body; `accept` names statuses beyond 2xx whose document is returned as well."""
        headers = {"Idempotency-Key": key} if key else {}
        if prefer:
            headers["Prefer"] = prefer
        return self._answer(self._client.post(path, json=body, headers=headers), accept=accept)

    def post_text(self, path: str, text: str, *, media_type: str) -> Document:
        """Send text as it is."""
        return self._answer(
            self._client.post(path, content=text.encode(), headers={"Content-Type": media_type})
        )

    def close(self) -> None:
        self._client.close()

    @staticmethod
    def _answer(answer: httpx.Response, *, accept: Iterable[int] = ()) -> Document:
        if not answer.is_success and answer.status_code not in accept:
            raise StackError(
                f"demonstration: {answer.request.method} {answer.request.url.path} "
                f"answered {answer.status_code}: {answer.text[:400]}"
            )
        document: Document = answer.json()
        return document


def demonstrate(stack: Stack) -> None:
    """Seed, place an order, walk its parcels to the buyer, print the journey."""
    keys = ensure_keys(stack.settings.keys)
    trace_id = secrets.token_hex(16)
    # The last two digits ask every service to log and trace this order.
    traceparent = f"00-{trace_id}-{secrets.token_hex(8)}-01"
    url = stack.settings.gateway_url
    seeding = Shop(url, keys["operator"])
    operator = Shop(url, keys["operator"], traceparent=traceparent)
    storefront = Shop(url, keys["storefront"], traceparent=traceparent)
    platform = Shop(url, keys["platform"])
    try:
        tenant = {"tenant_id": TENANT_ID, "display_name": "The demonstration"}
        platform.post("/v1/tenants", tenant, accept=(409,))
        seed(seeding, lambda text: stack.say("seed", text))
        order = place(storefront)
        stack.say(
            "order", f"{order['order_id']} placed: {order['state']}, {order['sourcing'] or order['reason']}"
        )
        with packing(url, operator, traceparent) as packer:
            order = deliver(storefront, packer, order)
        print_journey(stack, order, storefront.get(f"/v1/orders/{order['order_id']}/history"), trace_id)
    except httpx.HTTPError as fault:
        raise StackError(f"demonstration: the gateway did not answer: {fault!r}") from None
    finally:
        for shop in (seeding, operator, storefront, platform):
            shop.close()


def seed(operator: Shop, say: Callable[[str], None]) -> None:
    """Create merchants, products, warehouses and stock where they are missing."""
    wanted = json.loads(CATALOGUE.read_text())
    for merchant in wanted["merchants"]:
        operator.post("/v1/merchants", merchant, accept=(409,))
    lines = "".join(json.dumps(product) + "\n" for product in wanted["products"])
    report = operator.post_text("/v1/imports/products", lines, media_type="application/x-ndjson")
    if report["failed"]:
        raise StackError(f"demonstration: products were refused: {report['errors'][:3]}")
    for warehouse in wanted["warehouses"]:
        operator.post("/v1/warehouses", warehouse, accept=(409,))
    received = 0
    for delivery in wanted["stock"]:
        there = stocked(operator, delivery["warehouse_id"])
        missing = [line for line in delivery["lines"] if line["sku"] not in there]
        if missing:
            document = f"DEMO-{delivery['warehouse_id']}-{delivery['merchant_id']}"
            operator.post(
                "/v1/stock:receive", {**delivery, "document": document, "lines": missing}, key=document
            )
            received += sum(line["quantity"] for line in missing)
    say(
        f"{len(wanted['merchants'])} merchants, {report['read']} products ({report['created']} new), "
        f"{len(wanted['warehouses'])} warehouses, {received:,} units received"
    )


def stocked(operator: Shop, warehouse_id: str) -> set[str]:
    """Return the SKUs that a warehouse knows."""
    skus: set[str] = set()
    token = ""
    while True:
        page = operator.get("/v1/stock", warehouse_id=warehouse_id, page_size=1000, page_token=token)
        skus |= {row["sku"] for row in page["stock"]}
        token = page["next_page_token"]
        if not token:
            return skus


def place(storefront: Shop) -> Document:
    """Place one prepaid order for Spain once the catalogue's events have reached the orders service."""
    lines = [{"sku": SKU, "quantity": 1}]
    cart = {"currency_code": "EUR", "lines": lines}
    quote = await_document(
        lambda: storefront.post("/v1/quotes", cart, accept=(422,)),
        lambda found: "total" in found,
        f"the price of {SKU}",
    )
    wanted = {
        **cart,
        "buyer_ref": "demonstration",
        "ship_to": ADDRESS,
        "payment_terms": "prepaid",
        "expected_total": quote["total"],
    }
    return storefront.post("/v1/orders", wanted, key=f"demo-{secrets.token_hex(8)}", prefer="wait=10")


@contextmanager
def packing(url: str, operator: Shop, traceparent: str) -> Iterator[Shop]:
    """The API with a key of its own for the packing line, which may do nothing else and is revoked afterwards."""
    wanted = {"display_name": "Demonstration: packing line", "roles": ["warehouse"]}
    issued = operator.post("/v1/api-keys", wanted, key=f"demo-{secrets.token_hex(8)}")
    packer = Shop(url, issued["secret"], traceparent=traceparent)
    try:
        await_document(
            lambda: packer.get("/v1/parcels", accept=(401,), page_size=1),
            lambda found: "parcels" in found,
            "the packing line's key",
        )
        yield packer
    finally:
        packer.close()
        operator.post(f"/v1/api-keys/{issued['api_key']['api_key_id']}:revoke", {})


def deliver(storefront: Shop, packer: Shop, order: Document) -> Document:
    """Pack, ship and deliver every parcel of the order; return the delivered order."""
    path = f"/v1/orders/{order['order_id']}"
    order = await_document(
        lambda: storefront.get(path),
        lambda found: bool(found["parcels"]) or found["state"] in ("rejected", "cancelled", "expired"),
        "the order's parcels",
    )
    if not order["parcels"]:
        raise StackError(f"demonstration: the order was {order['state']}: {order['reason']}")
    for number, parcel in enumerate(order["parcels"], start=1):
        parcel_path = f"/v1/parcels/{parcel['parcel_id']}"
        packer.post(f"{parcel_path}:pack", None)
        packer.post(
            f"{parcel_path}:ship",
            {"carrier": "SEUR", "tracking_number": f"DEMO{order['order_id'][-8:]}{number}ES"},
        )
        packer.post(f"{parcel_path}:deliver", None)
    return await_document(
        lambda: storefront.get(path), lambda found: found["state"] == "delivered", "the delivery"
    )


def await_document(read: Callable[[], Document], holds: Callable[[Document], bool], what: str) -> Document:
    """Read again until `holds`; raise StackError naming `what` when it takes too long."""
    deadline = time.monotonic() + PROPAGATION_S_MAX
    while True:
        document = read()
        if holds(document):
            return document
        if time.monotonic() > deadline:
            raise StackError(
                f"demonstration: {what} did not come within {PROPAGATION_S_MAX:.0f} s, "
                f"last seen: {json.dumps(document)[:300]}"
            )
        time.sleep(POLL_INTERVAL_S)


def print_journey(stack: Stack, order: Document, history: Document, trace_id: str) -> None:
    """Print what happened to the order and how to place one by hand."""
    total, line = order["total"], order["lines"][0]
    paid = f"{total['amount']} {total['currency_code']}"
    print(f"\n  Order {order['order_id']}: {line['quantity']} x {line['title']}, {paid}")
    for transition in history["transitions"]:
        moment = (transition["time"] or "").partition("T")[2].rstrip("Z")[:12]
        print(f"    {moment:<12}  {transition['to_state']:<17} {transition['cause']}")
    for parcel in order["parcels"]:
        print(
            f"    parcel {parcel['parcel_id']} from {parcel['warehouse_id']}: {parcel['state']}, "
            f"{parcel['carrier']} {parcel['tracking_number']}"
        )
    print(f"    sourced: {order['sourcing']}")
    logs = os.path.relpath(stack.settings.logs)
    print(f"    trace {trace_id}: grep -h {trace_id} {logs}/*.log")
    body = {
        "buyer_ref": "buyer-1",
        "currency_code": "EUR",
        "payment_terms": "prepaid",
        "lines": [{"sku": SKU, "quantity": 1}],
        "ship_to": ADDRESS,
    }
    key = os.path.relpath(stack.settings.keys / "storefront")
    print(f"""
  Your first order:

    curl -s {stack.settings.gateway_url}/v1/orders -H "Authorization: Bearer $(cat {key})" \\
      -H 'Content-Type: application/json' -H "Idempotency-Key: first-$RANDOM" -H 'Prefer: wait=5' \\
      -d '{json.dumps(body, ensure_ascii=False)}'""")
