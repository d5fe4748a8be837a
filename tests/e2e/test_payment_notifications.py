"""Payment providers notify by the public API, with all services behind: signed, repeated, late, overtaken, forged."""

from __future__ import annotations

from uuid import uuid4

import httpx
import pytest

from tests.e2e.conftest import Document, Shop, key
from tests.e2e.provider import NEW, OLD, PATH, decide, notify, waiting

pytestmark = pytest.mark.stack

STRANGER = "whsec_" + "A" * 44


def standing(shop: Shop, order: Document) -> tuple[str, str]:
    """The order's state and its payment's."""
    found = shop.order(order["order_id"])
    return found["state"], found["payment_state"]


def refused(answer: httpx.Response, status: int, reason: str) -> None:
    """Asserts that an answer is that refusal."""
    assert (answer.status_code, answer.json()["reason"]) == (status, reason), answer.text


def causes(shop: Shop, order: Document) -> list[str]:
    """What moved the order on."""
    history = shop.must(shop.operator.get(f"/v1/orders/{order['order_id']}/history"))
    return [one["cause"] for one in history["transitions"]]


def test_a_payment_that_is_notified_late_confirms_its_order_once(shop: Shop) -> None:
    order = waiting(shop)
    decide(shop, order["payment_id"], "AUTHORISED")
    for secret, ago_s in ((NEW, 0), (NEW, 240), (OLD, 0)):
        answer = notify(
            shop, order["payment_id"], "authorised", webhook_id="msg_once", secret=secret, ago_s=ago_s
        )
        assert (answer.status_code, answer.content) == (204, b"")
    shop.eventually(lambda: shop.order(order["order_id"])["parcels"])
    assert causes(shop, order).count("PaymentAuthorised") == 1
    shop.eventually(lambda: standing(shop, order) == ("confirmed", "captured"))


def test_a_declined_payment_is_followed_by_another(shop: Shop) -> None:
    order = waiting(shop)
    decide(shop, order["payment_id"], "DECLINED")
    answer = notify(shop, order["payment_id"], "declined", decline_code="card_expired")
    assert answer.status_code == 204
    assert standing(shop, order) == ("awaiting_payment", "declined")
    path = f"/v1/orders/{order['order_id']}:pay"
    shop.must(shop.storefront.post(path, json={"payment_token": "card_authorised"}, headers=key()))
    shop.eventually(lambda: standing(shop, order) == ("confirmed", "captured"))
    # Money for the first one after all: it goes back, and the order keeps what it has.
    decide(shop, order["payment_id"], "AUTHORISED")
    assert notify(shop, order["payment_id"], "authorised").status_code == 204
    assert standing(shop, order) == ("confirmed", "captured")


def test_money_that_comes_for_a_cancelled_order_goes_back(shop: Shop) -> None:
    order = waiting(shop)
    shop.must(shop.storefront.post(f"/v1/orders/{order['order_id']}:cancel", headers=key()))
    decide(shop, order["payment_id"], "AUTHORISED")
    assert notify(shop, order["payment_id"], "authorised").status_code == 204
    shop.eventually(lambda: standing(shop, order) == ("cancelled", "refunded"))


def test_what_overtakes_the_authorisation_counts_when_it_comes_again(shop: Shop) -> None:
    order = waiting(shop)
    refused(notify(shop, order["payment_id"], "captured", webhook_id="msg_early"), 409, "PAYMENT_STATE_WRONG")
    decide(shop, order["payment_id"], "CAPTURED")
    assert notify(shop, order["payment_id"], "authorised").status_code == 204
    assert notify(shop, order["payment_id"], "captured", webhook_id="msg_early").status_code == 204
    assert standing(shop, order) == ("confirmed", "captured")


def test_whoever_has_no_secret_or_an_old_message_changes_nothing(shop: Shop) -> None:
    order = waiting(shop)
    payment_id = order["payment_id"]
    refused(notify(shop, payment_id, "authorised", secret=STRANGER), 401, "SIGNATURE_INVALID")
    for ago_s in (310, -310):
        refused(notify(shop, payment_id, "authorised", ago_s=ago_s), 401, "SIGNATURE_TIME_WRONG")
    refused(notify(shop, str(uuid4()), "authorised"), 404, "PAYMENT_NOT_FOUND")
    refused(notify(shop, payment_id, "paid"), 400, "NOTIFICATION_MALFORMED")
    for provider in ("external", "nobody"):
        path = f"/v1/payments/notifications/{provider}"
        refused(notify(shop, payment_id, "authorised", path=path), 404, "PAYMENT_PROVIDER_NOT_FOUND")
    # A key opens this door no more than none.
    answer = shop.operator.post(PATH, json={"payment_id": payment_id, "outcome": "authorised"})
    refused(answer, 400, "FIELD_REQUIRED")
    assert standing(shop, order) == ("awaiting_payment", "pending")
    decide(shop, payment_id, "AUTHORISED")
    assert notify(shop, payment_id, "authorised", webhook_id="msg_used").status_code == 204
    refused(notify(shop, payment_id, "captured", webhook_id="msg_used"), 422, "NOTIFICATION_ID_REUSED")
