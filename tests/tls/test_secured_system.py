"""Every connection is encrypted and both its ends are known; certificates are replaced while orders flow."""

from __future__ import annotations

import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import grpc
import httpx
import pytest
import trustme
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from grpc_health.v1 import health_pb2, health_pb2_grpc
from sampan.warehouse.v1 import warehouse_service_pb2 as warehouse_pb
from sampan.warehouse.v1 import warehouse_service_pb2_grpc as warehouse_grpc

from deploy.local.postgres import run_blocking
from deploy.local.settings import DATABASES, LOOPBACK, ROOT
from tests.certificates import identity
from tests.e2e.conftest import KEYS, Shop, key, open_shop, order_body
from tests.tls.secured import Secured, running

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def authorities() -> tuple[trustme.CA, trustme.CA]:
    """The one that everybody accepts at first, and its successor."""
    return trustme.CA(), trustme.CA()


@pytest.fixture(scope="module")
def secured(session_folder: Path, authorities: tuple[trustme.CA, trustme.CA]) -> Iterator[Secured]:
    with running(session_folder / "tls", authorities[0]) as secured:
        yield secured


@pytest.fixture(scope="module")
def shop(secured: Secured, authorities: tuple[trustme.CA, trustme.CA]) -> Iterator[Shop]:
    with open_shop(secured.stack, https=secured.https(*authorities)) as shop:
        yield shop


def carry_to_delivery(shop: Shop, sku: str) -> None:
    """A paid order goes through every service and every topic."""
    order_id = shop.place(order_body((sku, 1), payment_terms="prepaid"))["order_id"]
    shop.eventually(lambda: shop.order(order_id)["parcels"])
    [parcel] = shop.order(order_id)["parcels"]
    path = f"/v1/parcels/{parcel['parcel_id']}"
    shop.must(shop.operator.post(f"{path}:pack"))
    shop.must(shop.operator.post(f"{path}:ship", json={"carrier": "SEUR", "tracking_number": "SE1"}))
    shop.must(shop.operator.post(f"{path}:deliver"))
    shop.eventually(lambda: shop.order(order_id)["state"] == "delivered")


@contextmanager
def orders_flowing(shop: Shop, sku: str, context: ssl.SSLContext) -> Iterator[list[int]]:
    """Orders are placed all the time, each over a connection of its own; gives their statuses so far."""
    statuses: list[int] = []
    stop = threading.Event()
    url = str(shop.storefront.base_url.join("/v1/orders"))
    authorization = {"Authorization": f"Bearer {KEYS['storefront']['key']}"}

    def place() -> None:
        while not stop.is_set():
            headers = authorization | key()
            body = order_body((sku, 1))
            statuses.append(
                httpx.post(url, json=body, headers=headers, verify=context, timeout=30).status_code
            )

    thread = threading.Thread(target=place)
    thread.start()
    try:
        yield statuses
    finally:
        stop.set()
        thread.join(60)
    assert not thread.is_alive()


def address(secured: Secured, service: str) -> str:
    return f"{LOOPBACK}:{secured.stack.settings.ports[f'{service.upper()}_GRPC_PORT']}"


def test_an_order_reaches_delivery(shop: Shop) -> None:
    carry_to_delivery(shop, shop.new_sku())


def test_the_public_api_speaks_no_plain_http(secured: Secured) -> None:
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{secured.stack.settings.gateway_url}/v1/products")


@pytest.mark.parametrize("service", DATABASES)
def test_a_service_talks_to_nobody_without_a_certificate(secured: Secured, service: str) -> None:
    accepting = secured.identities[service].files.ca
    assert accepting is not None
    for channel in (
        grpc.insecure_channel(address(secured, service)),
        grpc.secure_channel(address(secured, service), grpc.ssl_channel_credentials(accepting.read_bytes())),
    ):
        health: Any = health_pb2_grpc.HealthStub(channel)
        with channel, pytest.raises(grpc.RpcError) as refused:
            health.Check(health_pb2.HealthCheckRequest(), timeout=2)
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


def test_a_service_that_is_not_named_may_not_call(secured: Secured) -> None:
    asked = warehouse_pb.ListWarehousesRequest(tenant_id="demo")
    for caller, code in (("gateway", None), ("catalog", grpc.StatusCode.PERMISSION_DENIED)):
        credentials = secured.identities[caller].files.channel_credentials()
        with grpc.secure_channel(address(secured, "warehouse"), credentials) as channel:
            stub = warehouse_grpc.WarehouseServiceStub(channel)
            if code is None:
                stub.ListWarehouses(asked, timeout=5)
                continue
            with pytest.raises(grpc.RpcError) as refused:
                stub.ListWarehouses(asked, timeout=5)
            assert refused.value.code() is code


def test_the_database_takes_no_connection_in_plain_text(secured: Secured) -> None:
    async def connect() -> None:
        await asyncpg.connect(f"{secured.postgres.dsn('orders')}?sslmode=disable", timeout=5)

    with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError, match="no encryption"):
        run_blocking(connect())


def test_the_brokers_take_no_connection_in_plain_text(secured: Secured) -> None:
    async def connect() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=secured.stack.bootstrap, request_timeout_ms=2_000)
        try:
            await admin.start()
        finally:
            await admin.close()

    with pytest.raises(KafkaError):
        run_blocking(connect())


@pytest.mark.parametrize("peer", ["database", "brokers"])
def test_a_service_does_not_trust_a_server_of_another_authority(
    secured: Secured, tmp_path: Path, peer: str
) -> None:
    stranger = identity(tmp_path, trustme.CA())
    changes = {
        "database": {
            "CATALOG_DSN": f"{secured.postgres.dsn('catalog')}?sslmode=verify-full&sslrootcert={stranger.files.ca}"
        },
        "brokers": {"KAFKA_CA_FILE": str(stranger.files.ca)},
    }[peer]
    command = [*secured.stack.services["catalog"].command, "setup"]
    environment = secured.stack.services["catalog"].environment | changes
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as setup:
        assert setup.stdout is not None
        # For brokers that it can trust it would wait; its log says what is wrong.
        told = any("CERTIFICATE_VERIFY_FAILED" in line for line in setup.stdout)
        setup.kill()
    assert told


def test_an_authority_is_replaced_while_orders_flow(
    secured: Secured, shop: Shop, authorities: tuple[trustme.CA, trustme.CA]
) -> None:
    old, new = authorities
    sku = shop.new_sku(1_000_000)
    with orders_flowing(shop, sku, secured.https(old, new)) as statuses:

        def some_more() -> None:
            """Longer than connections between services last."""
            wanted = len(statuses) + 100
            shop.eventually(lambda: len(statuses) >= wanted)

        some_more()
        secured.change(lambda one: one.accept(old, new))
        some_more()
        # Services have no certificate for the brokers: they log in.
        secured.change(lambda one: one.issue(new), uses=["grpc"])
        secured.encrypt_postgres()
        secured.restart_kafka()
        some_more()
        secured.change(lambda one: one.accept(new))
        some_more()
    assert set(statuses) == {201}
    # Connections to the databases last: they are cut, to be made anew with what is accepted now.
    secured.postgres.execute(
        ["SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = ANY ('{orders,warehouse}')"]
    )
    shop.eventually(lambda: all(service.ready for service in secured.stack.services.values()))
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.get(str(shop.storefront.base_url), verify=secured.https(old))
    carry_to_delivery(shop, sku)
    # Nothing was lost or doubled meanwhile; the audit reaches databases and brokers by the services' own settings.
    audit = [sys.executable, "-m", "deploy.audit", "--settle", "30"]
    environment = secured.stack.services["orders"].environment
    done = subprocess.run(audit, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
