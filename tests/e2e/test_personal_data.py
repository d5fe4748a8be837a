"""Who buys and where they live is known to the orders database and to nobody else: not to a log, a metric or a topic.

Orders are placed, refused, broken and caught by an outage with words planted in everything that is personal; then all
that the system has written is searched for them. Every request is traced, so that every log line is written.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from deploy.local.postgres import run_blocking
from deploy.local.settings import DATABASES, ROOT, TENANT_ID
from tests.e2e.conftest import Document, Shop, key, order_body

pytestmark = pytest.mark.stack

SECURITY_PAGE = ROOT / "docs" / "security.md"
WORDS = {
    "buyer_ref": "zyxantippe@mail.invalid",
    "recipient": "Zyxantippe Quandary-Öberg",
    "street": "Gran Vía Zyxwut 77",
    "sorting_code": "+34 600 777 999",
    "postal_code": "Z9Y8X",
    "locality": "Zyxville",
    "organization": "Zyxcorp GmbH",
    "garbage": "zyxgarbage",
}


@dataclass
class Written:
    """Everything that the processes have written down, by where."""

    texts: dict[str, bytes] = field(default_factory=dict)

    def places_of(self, word: str) -> list[str]:
        """Where a word stands, as it is or as JSON escapes it."""
        forms = {word.encode(), json.dumps(word)[1:-1].encode()}
        return [place for place, text in self.texts.items() if any(form in text for form in forms)]


def ship_to(**changes: Any) -> Document:
    address: Document = {
        "region_code": "ES",
        "postal_code": WORDS["postal_code"],
        "sorting_code": WORDS["sorting_code"],
        "locality": WORDS["locality"],
        "organization": WORDS["organization"],
        "address_lines": [WORDS["street"]],
        "recipients": [WORDS["recipient"]],
    }
    return address | changes


def body_of(sku: str, **changes: Any) -> Document:
    return order_body((sku, 1)) | {"buyer_ref": WORDS["buyer_ref"], "ship_to": ship_to()} | changes


def traced() -> dict[str, str]:
    """Headers of a request that every stage tells of."""
    return key() | {"traceparent": f"00-{uuid4().hex}-{uuid4().hex[:16]}-01"}


def refused_bodies(sku: str) -> Iterator[Document | str]:
    """Orders that cannot be placed, each for another cause."""
    yield body_of(sku, ship_to=ship_to(region_code="XX"))
    yield body_of(sku, ship_to=ship_to(region_code=WORDS["locality"]))
    yield body_of(sku, ship_to=ship_to(address_lines=WORDS["street"]))
    yield body_of(sku, ship_to=ship_to(address_lines=[WORDS["street"] * 100]))
    yield body_of(sku, ship_to=ship_to(recipients=[WORDS["recipient"] + "\x00"]))
    yield body_of(sku, ship_to=ship_to() | {WORDS["garbage"]: WORDS["recipient"]})
    yield body_of(sku, ship_to=[ship_to()])
    yield body_of(sku, buyer_ref=[WORDS["buyer_ref"]])
    yield body_of(sku, buyer_ref=WORDS["buyer_ref"] * 50)
    yield body_of(sku, currency_code=WORDS["garbage"])
    yield body_of(WORDS["garbage"])
    yield body_of(sku, lines=[{"sku": sku, "quantity": -1}])
    yield body_of(sku, expected_total={"currency_code": "EUR", "amount": "0.01"})
    yield json.dumps(body_of(sku))[:-2] + WORDS["garbage"]
    yield '{"buyer_ref": "\\ud800' + WORDS["buyer_ref"] + '"}'


def send(client: httpx.Client, path: str, body: Document | str, **headers: str) -> httpx.Response:
    content = body if isinstance(body, str) else json.dumps(body)
    sent = traced() | {"Content-Type": "application/json", "User-Agent": WORDS["buyer_ref"]}
    return client.post(path, content=content.encode(), headers=sent | headers)


def everything_written(shop: Shop) -> Written:
    """Logs and metrics of all processes, and every record of every topic."""
    written = Written()
    for path in shop.stack.log_files():
        written.texts[f"log {path.stem}"] = path.read_bytes()
    for name, service in shop.stack.services.items():
        written.texts[f"metrics {name}"] = service.metrics().encode()
    for topic, records in asyncio.run(all_records(shop.stack.bootstrap)).items():
        written.texts[f"topic {topic}"] = records
    return written


async def all_records(bootstrap: str) -> dict[str, bytes]:
    """Keys, headers and values of every topic, in one text each."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    topics = [name for name in await admin.list_topics() if not name.startswith("__")]
    described = await admin.describe_topics(topics)
    await admin.close()
    places = [
        TopicPartition(topic["topic"], part["partition"])
        for topic in described
        for part in topic["partitions"]
    ]
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
    await consumer.start()
    try:
        consumer.assign(places)
        await consumer.seek_to_beginning()
        ends = await consumer.end_offsets(places)
        texts = dict.fromkeys(topics, b"")
        while any([await consumer.position(place) < end for place, end in ends.items()]):
            for place, records in (await consumer.getmany(timeout_ms=200)).items():
                parts = [
                    part or b""
                    for record in records
                    for part in (record.key, record.value, *(value for _, value in record.headers))
                ]
                texts[place.topic] += b"\n".join(parts) + b"\n"
    finally:
        await consumer.stop()
    return texts


def rows_with(dsn: str, word: str) -> set[str]:
    """The tables of a database with a row that holds the word, in whatever column."""

    async def look() -> set[str]:
        connection = await asyncpg.connect(dsn)
        try:
            tables = await connection.fetch(
                "SELECT c.oid::regclass::text AS name FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace"
                " WHERE relkind IN ('r', 'p') AND nspname NOT IN ('pg_catalog', 'information_schema')"
            )
            found = set()
            for (name,) in tables:
                # A column of bytes is shown in hexadecimal digits.
                query = f"SELECT EXISTS (SELECT FROM {name} t WHERE strpos(t::text, $1) > 0 OR strpos(t::text, $2) > 0)"
                if await connection.fetchval(query, word, word.encode().hex()):
                    found.add(name)
            return found
        finally:
            await connection.close()

    return run_blocking(look())


def place_while_the_database_is_down(shop: Shop, sku: str) -> None:
    postgres = shop.stack.postgres
    postgres.kill()
    try:
        assert send(shop.storefront, "/v1/orders", body_of(sku)).status_code == 503
    finally:
        postgres.start()
    shop.eventually(lambda: send(shop.storefront, "/v1/orders", body_of(sku)).status_code == 201)


@pytest.fixture(scope="module")
def order_id(shop: Shop) -> str:
    """An order that is delivered, after everything else that can become of one."""
    sku = shop.new_sku()
    storefront = shop.storefront
    for body in refused_bodies(sku):
        assert 400 <= send(storefront, "/v1/orders", body).status_code < 500, body
        assert 400 <= send(storefront, "/v1/quotes", body).status_code < 500, body
    for path in (f"/v1/orders/{WORDS['garbage']}", f"/v1/{WORDS['garbage']}", f"/{WORDS['garbage']}"):
        assert storefront.get(path, params={WORDS["garbage"]: WORDS["recipient"]}, headers=traced()).is_error
    cancelled = send(storefront, "/v1/orders", body_of(sku), Prefer="wait=20").json()
    path = f"/v1/orders/{cancelled['order_id']}"
    assert send(storefront, f"{path}:pay", {"payment_token": WORDS["garbage"]}).is_error
    shop.must(send(storefront, f"{path}:cancel", {"reason": "changed my mind"}))
    place_while_the_database_is_down(shop, sku)
    placed = send(storefront, "/v1/orders", body_of(sku, payment_terms="prepaid"), Prefer="wait=20")
    order_id: str = shop.must(placed, 201)["order_id"]
    shop.eventually(lambda: shop.order(order_id)["parcels"])
    [parcel] = shop.order(order_id)["parcels"]
    parcel_path = f"/v1/parcels/{parcel['parcel_id']}"
    for step, label in (
        ("pack", {}),
        ("ship", {"carrier": "SEUR", "tracking_number": "SE9"}),
        ("deliver", {}),
    ):
        shop.must(send(shop.operator, f"{parcel_path}:{step}", label))
    shop.eventually(lambda: shop.order(order_id)["state"] == "delivered")
    return order_id


@pytest.fixture(scope="module")
def written(shop: Shop, order_id: str) -> Written:
    return everything_written(shop)


def test_what_is_not_personal_is_found_where_it_is_written(written: Written, order_id: str) -> None:
    assert {"log gateway", "log orders", "log warehouse", "topic sampan.orders.orders.v1"} <= set(
        written.places_of(order_id)
    )
    assert written.places_of("sampan_http_requests_total") == ["metrics gateway"]


@pytest.mark.parametrize("kind", WORDS)
def test_no_log_no_metric_and_no_topic_tells_it(written: Written, kind: str) -> None:
    assert written.places_of(WORDS[kind]) == []


def test_only_the_orders_database_keeps_it(shop: Shop, order_id: str) -> None:
    dsns = shop.stack.dsns
    assert rows_with(dsns["orders"], WORDS["recipient"]) == {"orders", "request_key"}
    for database in DATABASES:
        for word in WORDS.values():
            if database != "orders":
                assert rows_with(dsns[database], word) == set(), (database, word)


def test_what_the_page_says_erases_it(shop: Shop, order_id: str) -> None:
    statements = erasing_statements(SECURITY_PAGE)
    assert len(statements) == 2

    async def erase() -> None:
        connection = await asyncpg.connect(shop.stack.dsns["orders"])
        for statement in statements:
            await connection.execute(
                statement.replace("<buyer_ref>", WORDS["buyer_ref"]).replace("<tenant_id>", TENANT_ID)
            )
        await connection.close()

    run_blocking(erase())
    for kind in ("buyer_ref", "recipient", "street", "locality"):
        assert rows_with(shop.stack.dsns["orders"], WORDS[kind]) == set()
    order = shop.order(order_id)
    assert (order["state"], order["ship_to"]["region_code"]) == ("delivered", "ES")


def erasing_statements(page: Path) -> list[str]:
    """The statements of the page's block of SQL."""
    found = re.search(r"```sql\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
    assert found is not None
    return [statement.strip() for statement in found[1].split(";") if statement.strip()]
