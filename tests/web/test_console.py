"""What the console shows and refuses beside packing and shipping."""

from __future__ import annotations

import re
from pathlib import Path
from uuid import uuid4

import pytest
from playwright.sync_api import Page, expect

from tests.web.conftest import Open, Shop, only_with_test_web, picture
from tests.web.steps import parcel_of

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300), only_with_test_web()]

HEADER = "product_id,sku,title_en,price_EUR,merchant_id,status\n"


def upload(page: Page, name: str, content: str) -> None:
    """A file of products, imported."""
    page.get_by_label("File").set_input_files(
        {"name": name, "mimeType": "application/octet-stream", "buffer": content.encode()}
    )
    page.get_by_role("button", name="Import", exact=True).click()


def test_orders_are_listed_by_state_and_one_is_seen_live(shop: Shop, open_page: Open) -> None:
    waiting = shop.place(payment_terms="pay_later")
    confirmed = shop.place()
    page = open_page("/console", key="operator")
    page.get_by_role("link", name="Awaiting payment").click()
    rows = page.get_by_role("row")
    expect(rows.filter(has=page.locator(f"a[href$='{waiting['order_id']}']"))).to_be_visible()
    expect(rows.filter(has=page.locator(f"a[href$='{confirmed['order_id']}']"))).to_have_count(0)
    picture(page, "console-orders")
    page.locator(f"a[href$='{waiting['order_id']}']").click()
    expect(page.locator("ol li[aria-current=step]")).to_contain_text("Awaiting payment")
    pay = f"/v1/orders/{waiting['order_id']}:pay"
    headers = {"Idempotency-Key": str(uuid4())}
    shop.must(shop.storefront.post(pay, json={"payment_token": "card_authorised"}, headers=headers))
    expect(page.locator("ol li[aria-current=step]")).to_contain_text("Confirmed")
    expect(page.get_by_role("region", name="Parcels")).to_contain_text("madrid")
    picture(page, "console-order")


def test_a_parcel_that_somebody_else_has_packed_is_not_packed_again(shop: Shop, open_page: Open) -> None:
    order_id = shop.place()["order_id"]
    shop.eventually(lambda: shop.order(order_id)["parcels"])
    page = open_page("/console", key="operator")
    page.get_by_role("link", name="Parcels").click()
    parcel = parcel_of(page, order_id)
    button = parcel.get_by_role("button", name="Packed")
    expect(button).to_be_visible()
    parcel_id = shop.order(order_id)["parcels"][0]["parcel_id"]
    for step in ({"state": "packed"}, {"state": "shipped", "carrier": "SEUR", "tracking_number": "S1"}):
        moved = {"requests": [{"parcel_id": parcel_id, **step}]}
        shop.must(shop.operator.post("/v1/parcels:batchAdvance", json=moved))
    button.click()
    expect(parcel.get_by_role("alert")).to_contain_text("That did not work")
    page.get_by_role("button", name="Refresh").click()
    expect(parcel).to_have_count(0)


def test_stock_is_shown_by_warehouse_and_by_sku(shop: Shop, open_page: Open) -> None:
    page = open_page("/console", key="operator")
    page.get_by_role("link", name="Stock").click()
    page.get_by_label("Warehouse").select_option(label="Bangkok")
    page.get_by_role("searchbox").fill("TOY-PND-60")
    page.get_by_role("button", name="Find").click()
    row = page.get_by_role("row").filter(has_text="TOY-PND-60")
    expect(row).to_have_count(1)
    [stock] = shop.must(
        shop.operator.get("/v1/stock", params={"sku": "TOY-PND-60", "warehouse_id": "bangkok"})
    )["stock"]
    expect(row).to_contain_text(f"{stock['available']:,}")
    expect(row).to_contain_text("bangkok")
    picture(page, "console-stock")


def test_rows_of_an_import_are_counted_and_the_refused_ones_named(shop: Shop, open_page: Open) -> None:
    name = f"import-{uuid4().hex[:8]}"
    page = open_page("/console", key="operator")
    page.get_by_role("link", name="Imports").click()
    upload(
        page,
        "products.csv",
        HEADER
        + f"{name},{name.upper()},Kite,5.00,dongguan-playworks,draft\n"
        + f"{name}-x,{name.upper()}-X,Kite,five,dongguan-playworks,draft\n",
    )
    report = page.get_by_role("region", name="Report")
    expect(report).to_contain_text("1 of 2 rows were refused")
    fault = report.get_by_role("row").last
    expect(fault.get_by_role("rowheader")).to_have_text("3")
    expect(fault).to_contain_text("AMOUNT_INVALID")
    picture(page, "console-import")
    assert shop.must(shop.operator.get(f"/v1/products/{name}"))["titles"] == {"en": "Kite"}


def test_an_import_shows_how_far_it_is_and_can_be_stopped(open_page: Open, tmp_path: Path) -> None:
    page = open_page("/console", key="operator")
    page.get_by_role("link", name="Imports").click()
    name = f"many-{uuid4().hex[:8]}"
    rows = "".join(
        f"{name}-{number},{name}-{number},{'Kite ' * 40},5.00,dongguan-playworks,draft\n"
        for number in range(40_000)
    )
    file = tmp_path / "many.csv"
    file.write_text(HEADER + rows)
    page.get_by_label("File").set_input_files(file)
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.get_by_role("progressbar")).to_be_visible()
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_text("The import was stopped")).to_be_visible()


def test_a_file_that_is_no_import_is_refused_before_it_is_sent(open_page: Open) -> None:
    page = open_page("/console", key="operator")
    page.get_by_role("link", name="Imports").click()
    upload(page, "products.xlsx", "nothing")
    expect(page.get_by_text("The file's name must end in .csv, .ndjson or .jsonl")).to_be_visible()


def test_a_key_without_the_role_is_told_what_it_lacks(open_page: Open) -> None:
    page = open_page("/console", key="storefront")
    page.get_by_role("link", name="Parcels").click()
    expect(page.get_by_role("alert")).to_contain_text(
        "the route needs one of: administrator, reader, warehouse"
    )


def test_a_parked_event_is_seen_and_replayed_once_its_cause_is_gone(shop: Shop, open_page: Open) -> None:
    with shop.parked_event() as order_id:
        page = open_page("/console", key="platform")
        page.get_by_role("link", name="Parked").click()
        event = page.get_by_role("listitem").filter(has_text=order_id).filter(has_text="Refused")
        expect(event).to_contain_text("a bug")
        expect(event).to_contain_text("sampan.warehouse.v1.StockReserved")
        picture(page, "console-parked")
        event.get_by_role("button", name="Replay").click()
        expect(
            page.get_by_role("status").filter(has_text="0 replayed; of 1 the events stay parked")
        ).to_be_visible()
        expect(event).to_contain_text("Replays that failed")
    page.get_by_role("button", name="Replay all").click()
    expect(page.get_by_text(re.compile(r"^[1-9]\d* replayed$"))).to_be_visible()
    expect(page.get_by_text("Nothing is parked")).to_be_visible()
    picture(page, "console-parked-replayed")
    shop.eventually(lambda: shop.order(order_id)["state"] == "confirmed")


def test_a_parked_event_is_discarded_only_with_a_reason_and_when_it_is_said_twice(
    shop: Shop, open_page: Open
) -> None:
    with shop.parked_event() as order_id:
        page = open_page("/console", key="platform")
        page.get_by_role("link", name="Parked").click()
        event = page.get_by_role("listitem").filter(has_text=order_id).filter(has_text="Refused")
        event.get_by_role("button", name="Discard").click()
        event.get_by_role("button", name="Keep it").click()
        event.get_by_role("button", name="Discard").click()
        expect(event.get_by_label("Why it is given up")).to_be_focused()
        event.get_by_role("button", name="Discard for good").click()
        expect(event).to_be_visible()
        event.get_by_label("Why it is given up").fill("a bug, see incident 12")
        event.get_by_role("button", name="Discard for good").click()
        expect(page.get_by_text("The event was given up")).to_be_visible()
        expect(event).to_have_count(0)
        picture(page, "console-parked-discarded")


def test_a_key_of_a_tenant_is_told_that_parked_events_are_not_its_own(open_page: Open) -> None:
    page = open_page("/console", key="operator")
    page.get_by_role("link", name="Parked").click()
    expect(page.get_by_role("alert")).to_contain_text("the route needs one of: platform")
