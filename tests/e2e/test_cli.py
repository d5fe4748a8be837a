"""The operators' command line, as a process of its own on a system that runs: each command as a table and as JSON."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from deploy.asyncapi.topics import all_topics
from deploy.local.settings import DATABASES, PUBLISHERS, ROOT, free_ports
from services.access.events import KEYS_TOPIC, TENANTS_TOPIC
from services.chassis.kafka import make_producer
from services.orders.events import FULFILMENTS_GROUP, FULFILMENTS_TOPIC
from services.orders.published import ORDERS_TOPIC
from tests import servers
from tests.chaos.sales import write_sales
from tests.e2e.conftest import KEYS, Shop, key, open_shop, order_body

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

COMMAND_S_MAX = 120


@dataclass(frozen=True)
class Answer:
    """How a command ended, and what it said."""

    code: int
    out: str
    errors: str

    @property
    def document(self) -> Any:
        """What was printed with --json."""
        return json.loads(self.out)


@dataclass(frozen=True)
class Operator:
    """Somebody with a shell on the machine of the stack."""

    shop: Shop
    environment: dict[str, str]

    def sampan(self, *arguments: str | Path, **variables: str) -> Answer:
        """Runs the command to its end."""
        done = subprocess.run(
            [ROOT / "sampan", *map(str, arguments)],
            env=self.environment | variables,
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_S_MAX,
            check=False,
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    def must(self, *arguments: str | Path, code: int = 0) -> Answer:
        """The same, where the end is known."""
        answer = self.sampan(*arguments)
        assert answer.code == code, (arguments, answer)
        return answer


@pytest.fixture(scope="module")
def operator(session_folder: Path) -> Iterator[Operator]:
    """A stack of this module's own, and what an operator knows of it: where it lies. All else is found."""
    folder = session_folder / "cli"
    folder.mkdir()
    keys_file = folder / "api-keys.json"
    keys_file.write_text(json.dumps(list(KEYS.values())))
    stack = servers.whole_stack(folder, GATEWAY_API_KEYS_FILE=str(keys_file))
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.endswith("_DSN") and not name.startswith(("SAMPAN_", "KAFKA_"))
    }
    try:
        stack.up()
        with open_shop(stack) as shop:
            ports = {name: str(port) for name, port in stack.settings.ports.items()}
            places = {"SAMPAN_LOCAL_DIR": str(folder), "GATEWAY_API_KEYS_FILE": str(keys_file)}
            yield Operator(shop, kept | ports | places)
    finally:
        stack.remove()


def poison(shop: Shop, order_id: str) -> None:
    """Sends a record in the order's place that nobody can read."""

    async def send() -> None:
        producer = make_producer(shop.stack.bootstrap)
        await producer.start()
        try:
            await producer.send_and_wait(FULFILMENTS_TOPIC, b"\xff", key=order_id.encode())
        finally:
            await producer.stop()

    asyncio.run(send())


async def lose(bootstrap: str, topics: list[str]) -> None:
    """Deletes topics with all that is in them."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.delete_topics(topics)
        while set(topics) & set(await admin.list_topics()):
            pass
    finally:
        await admin.close()


def set_retention(bootstrap: str, topic: str, milliseconds: str) -> None:
    """Changes a topic behind its owner's back."""

    async def change() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        await admin.start()
        try:
            resource = ConfigResource(ConfigResourceType.TOPIC, topic, {"retention.ms": milliseconds})
            await admin.alter_configs([resource])
        finally:
            await admin.close()

    asyncio.run(change())


def test_an_untouched_system_holds_in_every_respect(operator: Operator) -> None:
    """First: what other tests leave behind would be found."""
    assert "FAILED" not in operator.must("audit").out
    found = operator.must("audit", "--settle", "60", "--json").document
    assert found["settled"]
    assert {check["status"] for check in found["checks"]} == {"ok"}
    assert operator.must("topics", "verify").out == f"all {len(all_topics())} topics are as they should be\n"
    assert operator.must("topics", "verify", "--json").document == []
    assert operator.must("parked", "list", "--fail").out == "nothing is parked\n"
    assert operator.must("parked", "list", "--fail", "--json").document == []
    assert operator.must("orders", "stuck", "--fail").out == "no order is stuck\n"


def test_the_version_says_which_system_was_found(operator: Operator) -> None:
    stack = operator.shop.stack
    found = operator.must("version", "--json").document
    assert (found["local_stack"], found["kafka"]) == (str(stack.settings.folder), stack.bootstrap)
    assert found["version"] in operator.must("version").out


def test_a_topic_that_was_changed_is_told_and_creating_again_leaves_it(operator: Operator) -> None:
    bootstrap = operator.shop.stack.bootstrap
    made = operator.must("topics", "create", "--json").document
    assert ORDERS_TOPIC in {row["topic"] for row in made}
    set_retention(bootstrap, ORDERS_TOPIC, "1000000")
    try:
        assert ORDERS_TOPIC in operator.must("topics", "create", "orders").out
        differing = operator.must("topics", "verify", "--json", code=1).document
        wanted = {"topic": ORDERS_TOPIC, "setting": "retention.ms", "wanted": "604800000", "found": "1000000"}
        assert wanted in differing
        assert "retention.ms" in operator.must("topics", "verify", "orders", code=1).out
        assert operator.must("topics", "verify", "access", "--json").document == []
    finally:
        set_retention(bootstrap, ORDERS_TOPIC, "604800000")


def test_a_schema_that_is_behind_is_told_and_brought_forward(operator: Operator) -> None:
    async def put(revision: str) -> str:
        connection = await asyncpg.connect(operator.shop.stack.dsns["orders"])
        try:
            before = await connection.fetchval("SELECT version_num FROM alembic_version")
            await connection.execute("UPDATE alembic_version SET version_num = $1", revision)
            return str(before)
        finally:
            await connection.close()

    current = operator.must("migrate", "--json").document
    assert [row["service"] for row in current] == list(DATABASES)
    assert {row["state"] for row in current} == {"current"}
    newest = asyncio.run(put("0000"))
    try:
        assert "behind" in operator.must("migrate", "--check", code=1).out
        (row,) = operator.must("migrate", "orders", "--check", "--json", code=1).document
        assert (row["revision"], row["newest"], row["state"]) == ("0000", newest, "behind")
    finally:
        asyncio.run(put(newest))


def test_a_key_is_created_rotated_and_revoked(operator: Operator) -> None:
    made = operator.must("keys", "create", "Checkout", "--role", "storefront", "--json").document
    api_key_id = made["api_key"]["api_key_id"]
    assert made["secret"].startswith("sampan_")
    rotated = operator.must("keys", "rotate", api_key_id, "--grace", "60", "--json").document
    assert rotated["secret"] not in (None, made["secret"])
    shown = operator.must("keys", "show", api_key_id, "--json").document
    assert len(shown["secrets"]) == 2
    assert "Checkout" in operator.must("keys", "show", api_key_id).out
    listed = operator.must("keys", "list")
    assert [line for line in listed.out.splitlines() if api_key_id in line and "storefront" in line]
    assert made["secret"] not in listed.out + operator.must("keys", "list", "--json").out
    secret_id = shown["secrets"][-1]["secret_id"]
    assert "(revoked)" in operator.must("keys", "revoke", api_key_id, "--secret-id", secret_id).out
    assert operator.must("keys", "revoke", api_key_id, "--json").document["state"] == "revoked"
    refused = operator.must("keys", "rotate", api_key_id, code=2)
    assert "API_KEY_REVOKED" in refused.errors


def test_the_platform_gives_a_tenant_its_first_key(operator: Operator) -> None:
    arguments = ("keys", "create", "First", "--role", "administrator", "--tenant")
    assert "sampan_" in operator.must(*arguments, "other").out
    assert "TENANT_NOT_FOUND" in operator.must(*arguments, "nobody", code=2).errors


def test_keys_are_known_again_when_the_topics_of_access_were_lost(operator: Operator) -> None:
    shop = operator.shop
    gateway = shop.stack.services["gateway"]
    secret = operator.must("keys", "create", "Kiosk", "--role", "storefront", "--json").document["secret"]

    def answered() -> int:
        return shop.scratch.get("/v1/merchants", headers={"Authorization": f"Bearer {secret}"}).status_code

    shop.eventually(lambda: answered() == 200)
    gateway.stop()
    asyncio.run(lose(shop.stack.bootstrap, [TENANTS_TOPIC, KEYS_TOPIC]))
    operator.must("topics", "create", "access")
    gateway.start()
    gateway.wait_ready()
    assert answered() == 401
    told = operator.must("topics", "republish", "access", "--json").document
    assert {row["topic"] for row in told} == {TENANTS_TOPIC, KEYS_TOPIC}
    shop.eventually(lambda: answered() == 200)
    assert operator.must("topics", "republish", "orders", "--json").document == []
    assert "12 access" in operator.must("audit").out


def test_the_outbox_is_empty_and_all_of_it_is_served(operator: Operator) -> None:
    rows = operator.must("outbox", "status", "--fail", "--json").document
    assert [row["service"] for row in rows] == list(PUBLISHERS)
    assert {row["buckets_held"] for row in rows} == {rows[0]["buckets"]}
    assert len(operator.must("outbox", "status").out.splitlines()) == 1 + len(PUBLISHERS)


def test_products_are_imported_and_refused_rows_are_told(operator: Operator, tmp_path: Path) -> None:
    good = tmp_path / "good.csv"
    good.write_text(
        "product_id,sku,title_en,price_EUR\ncli-1,CLI-1,A lamp,10.00\ncli-2,CLI-2,Another,11.00\n"
    )
    report = operator.must("import", good, "--merchant", "north-lights", "--json").document
    assert (report["read"], report["created"], report["failed"]) == (2, 2, 0)
    mixed = tmp_path / "mixed.csv"
    mixed.write_text("product_id,sku,title_en,price_EUR\ncli-3,CLI-3,A lamp,much\ncli-1,CLI-1,A lamp,10.00\n")
    refused = operator.must("import", mixed, "--merchant", "north-lights", code=1)
    assert "price" in refused.out
    unknown = tmp_path / "goods.xlsx"
    unknown.touch()
    assert "none of .csv" in operator.must("import", unknown, code=2).errors


def test_an_order_that_waits_for_the_warehouse_is_listed(operator: Operator) -> None:
    shop = operator.shop
    sku = shop.new_sku(10)
    warehouse = shop.stack.services["warehouse"]
    warehouse.stop()
    try:
        order = shop.must(shop.storefront.post("/v1/orders", json=order_body((sku, 1)), headers=key()), 201)
        assert operator.must("orders", "stuck", "--json").document == []
        (row,) = operator.must("orders", "stuck", "--wait", "0", "--fail", "--json", code=1).document
        assert (row["order_id"], row["tenant_id"], row["state"]) == (order["order_id"], "demo", "PENDING")
        assert order["order_id"] in operator.must("orders", "stuck", "--wait", "0").out
    finally:
        warehouse.start()
        warehouse.wait_ready()
    shop.eventually(lambda: shop.order(order["order_id"])["state"] == "awaiting_payment")
    assert operator.must("orders", "stuck", "--wait", "0", "--json").document == []


def test_a_parked_event_is_listed_replayed_and_given_up(operator: Operator) -> None:
    shop = operator.shop
    sku = shop.new_sku(10)
    warehouse = shop.stack.services["warehouse"]
    warehouse.stop()
    try:
        order = shop.must(shop.storefront.post("/v1/orders", json=order_body((sku, 1)), headers=key()), 201)
        order_id = order["order_id"]
        poison(shop, order_id)
    finally:
        warehouse.start()
        warehouse.wait_ready()
    mine = ("--service", "orders", "--aggregate-id", order_id)
    # The record that nobody can read, and the decision behind it.
    shop.eventually(lambda: len(operator.must("parked", "list", *mine, "--json").document) == 2, timeout_s=60)
    listed = operator.must("parked", "list", *mine, "--fail", "--json", code=1).document
    assert {(row["service"], row["cause"]) for row in listed} == {
        ("orders", "UNREADABLE"),
        ("orders", "BLOCKED"),
    }
    table = operator.must("parked", "list", *mine).out
    assert len([line for line in table.splitlines() if order_id in line]) == 2
    assert "\x1b" not in table

    stays = operator.must("parked", "replay", *mine, "--json", code=1).document
    assert sum(row.get("failed", 0) for row in stays) == 1
    poisoned = next(row for row in listed if row["cause"] == "UNREADABLE")
    why = ("--group", FULFILMENTS_GROUP, "--note", "broken off")
    assert (
        "say why"
        in operator.must("parked", "discard", str(poisoned["id"]), *why[:2], "--note", " ", code=2).errors
    )
    assert operator.must("parked", "discard", str(poisoned["id"]), *why).out
    operator.must("parked", "discard", str(poisoned["id"]), *why, code=2)
    assert "replayed" in operator.must("parked", "replay", *mine).out
    assert shop.order(order_id)["state"] == "awaiting_payment"
    assert operator.must("parked", "list", *mine, "--fail", "--json").document == []


def test_a_replay_accounts_for_every_order(operator: Operator, tmp_path: Path) -> None:
    sales = write_sales(tmp_path / "sales.csv", 40)
    arguments = ("replay", sales, "--run", "cli", "--concurrency", "4", "--orders")
    report = operator.must(*arguments, "20", "--json").document
    assert report["holds"]
    again = operator.must(*arguments, "20")
    assert "Replay cli" in again.out
    assert "run cli" in again.errors


def test_wrong_arguments_and_faulty_configuration_are_refused(operator: Operator) -> None:
    operator.must("topics", "forget", code=2)
    operator.must("parked", "discard", "1", code=2)
    assert "none of access" in operator.must("migrate", "stock", code=2).errors
    assert "catalog reads no events" in operator.must("parked", "list", "--group", "catalog.x", code=2).errors
    assert "GROUP_UNKNOWN" in operator.must("parked", "list", "--group", "orders.x", code=2).errors
    wrong = operator.sampan("outbox", "status", ORDERS_POOL_SIZE_MAX="0")
    assert (wrong.code, "ORDERS_POOL_SIZE_MAX" in wrong.errors) == (2, True)
    unknown = operator.sampan("keys", "list", SAMPAN_API_KEY="sampan_nobody")
    assert (unknown.code, "CREDENTIAL_UNKNOWN" in unknown.errors) == (2, True)


def test_what_cannot_be_reached_is_told_apart(operator: Operator) -> None:
    (port,) = free_ports(1)
    for name in DATABASES:
        gone = operator.sampan(
            "migrate", name, "--check", **{f"{name.upper()}_DSN": f"postgresql://a@127.0.0.1:{port}/a"}
        )
        assert gone.code == 3, gone
    nowhere = f"127.0.0.1:{port}"
    assert operator.sampan("topics", "verify", KAFKA_BOOTSTRAP=nowhere).code == 3
    assert operator.sampan("topics", "create", "--timeout", "2", KAFKA_BOOTSTRAP=nowhere).code == 3
    assert operator.sampan("keys", "list", SAMPAN_URL=f"http://{nowhere}", SAMPAN_API_KEY="k").code == 3
    assert operator.sampan("audit", "--settle", "0", KAFKA_BOOTSTRAP=nowhere).code == 3
