"""What a shop does all day, in small pieces: what its dashboards count."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.e2e.conftest import Shop, key, order_body
from tests.e2e.endpoints import create, path_of
from tests.e2e.hooks import receiving
from tests.e2e.provider import decide, notify, waiting


def place(shop: Shop, sku: str, **changes: object) -> str:
    """An order that nobody waits for; its id."""
    answer = shop.storefront.post("/v1/orders", json=order_body((sku, 1), **changes), headers=key())
    return str(shop.must(answer, 201)["order_id"])


def deliver_one(shop: Shop, sku: str) -> str:
    """An order that is brought to the buyer and paid for; its id."""
    order_id = place(shop, sku)
    shop.eventually(lambda: shop.order(order_id)["state"] == "awaiting_payment")
    pay = {"payment_token": "card_authorised"}
    shop.must(shop.storefront.post(f"/v1/orders/{order_id}:pay", json=pay, headers=key()))
    shop.eventually(lambda: shop.order(order_id)["parcels"])
    for parcel in shop.order(order_id)["parcels"]:
        path = f"/v1/parcels/{parcel['parcel_id']}"
        shop.must(shop.operator.post(f"{path}:pack"))
        shop.must(
            shop.operator.post(f"{path}:ship", json={"carrier": "SEUR", "tracking_number": order_id[:8]})
        )
        shop.must(shop.operator.post(f"{path}:deliver"))
    shop.eventually(lambda: shop.order(order_id)["state"] == "delivered")
    shop.eventually(lambda: shop.order(order_id)["payment_state"] == "captured")
    return order_id


def cancel_one(shop: Shop, sku: str) -> None:
    """A prepaid order whose money goes back."""
    order_id = place(shop, sku, payment_terms="prepaid")
    shop.eventually(lambda: shop.order(order_id)["state"] == "confirmed")
    shop.must(shop.storefront.post(f"/v1/orders/{order_id}:cancel", json={}, headers=key()))
    shop.eventually(lambda: shop.order(order_id)["state"] == "cancelled")


def sell_out(shop: Shop) -> None:
    """Two orders for more than there is: the warehouse rejects one, the door the other."""
    sku = shop.new_sku(1)
    body = order_body((sku, 5))
    assert shop.place(body)["state"] == "rejected"
    last = shop.place(order_body((sku, 1)))
    shop.eventually(
        lambda: (
            shop.storefront.post("/v1/orders", json=order_body((sku, 1)), headers=key()).status_code == 409
        )
    )
    assert last["state"] == "awaiting_payment"


@contextmanager
def told_by_webhook(shop: Shop) -> Iterator[None]:
    """While it lasts a program of the marketplace is told of all that happens."""
    with receiving() as hook:
        issued = create(shop, shop.operator, hook.url)
        try:
            yield
        finally:
            shop.must(shop.operator.delete(path_of(issued)))


@contextmanager
def following(shop: Shop) -> Iterator[Iterator[str]]:
    """The lines of a stream of all orders that has begun."""
    with shop.storefront.stream("GET", "/v1/orders/events") as answer:
        lines = answer.iter_lines()
        next(line for line in lines if line.startswith("id: "))
        yield lines


def hear_of_delivery(lines: Iterator[str], order_id: str) -> None:
    """Reads a stream until it tells of that order's delivery."""
    next(line for line in lines if order_id in line and '"delivered"' in line)


def owe_notification(shop: Shop) -> str:
    """A payment that its provider has authorised and has not told of yet; its id."""
    payment_id = str(waiting(shop)["payment_id"])
    decide(shop, payment_id, "AUTHORISED")
    return payment_id


def notify_again(shop: Shop, payment_id: str) -> None:
    """The provider tells of it, as often as it likes."""
    assert notify(shop, payment_id, "authorised", webhook_id="msg_authorised").status_code == 204


def limit_scratch(shop: Shop) -> None:
    """From now on the marketplace `scratch` may read once a minute."""
    shop.must(shop.platform.post("/v1/tenants/scratch:limit", json={"reads": 1}))


def read_beyond_limit(shop: Shop) -> None:
    """`scratch` reads until it is refused."""
    shop.eventually(lambda: shop.scratch.get("/v1/merchants").status_code == 429)
