"""The images and the stack in containers, on a real Docker Engine: `make test-containers`."""

from __future__ import annotations

import functools
import json
import os
import re
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import httpx
import pytest

from deploy.compose.order import carry
from deploy.local import demo
from deploy.local.settings import DATABASES, LOOPBACK, PORT_DEFAULTS, ROOT, SERVICES
from tests.containers import standins
from tests.containers.conftest import VERSION, Stack, figures, measured
from tests.containers.engine import Engine

pytestmark = [
    pytest.mark.containers,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not os.environ.get("TEST_CONTAINERS"), reason="takes minutes: make test-containers"),
]

BYTES_ABOVE_BASE_MAX = 200_000_000
PATIENCE_S = 60.0
UID = "10001"
SETUPS = tuple(f"{service}-setup" for service in DATABASES)

Images = dict[str, dict[str, Any]]

every_service = pytest.mark.parametrize("service", SERVICES)


@every_service
def test_an_image_adds_less_than_200_mb_to_its_base(engine: Engine, images: Images, service: str) -> None:
    base = engine.inspect(standins.BASE)["Size"]
    above = images[service]["Size"] - base
    figures.append(f"{service} image: {above / 1e6:.0f} MB above the base of {base / 1e6:.0f} MB")
    assert 0 < above < BYTES_ABOVE_BASE_MAX


@every_service
def test_an_image_says_what_it_is_and_runs_without_root(images: Images, service: str) -> None:
    settings = images[service]["Config"]
    assert settings["User"] == f"{UID}:{UID}"
    assert settings["Entrypoint"][0] == "dumb-init"
    assert settings["Healthcheck"]["Test"][-1] == f"{service.upper()}_ADMIN_PORT"
    labels = {name.rpartition(".")[2]: value for name, value in settings["Labels"].items()}
    assert labels["title"] == f"sampan-{service}"
    assert labels["version"] == VERSION
    assert labels["licenses"] == "Apache-2.0"
    assert re.fullmatch(r"[0-9a-f]{40}", labels["revision"])


@every_service
def test_an_image_lists_its_locked_packages_and_no_tool(engine: Engine, images: Images, service: str) -> None:
    image = images[service]["Id"]
    listed = json.loads(engine.run("run", "--rm", "--entrypoint", "cat", image, "/app/sbom.cdx.json"))
    assert listed["bomFormat"] == "CycloneDX"
    assert listed["metadata"]["component"]["name"] == f"sampan-{service}"
    found = {re.sub(r"[-_.]+", "-", one["name"]).lower(): one["version"] for one in listed["components"]}
    lock = (ROOT / "services" / service / "requirements.txt").read_text()
    locked = dict(re.findall(r"^([a-z0-9-]+)==([\w.]+)", lock, re.MULTILINE))
    assert found
    assert found.items() <= locked.items()
    assert {"grpcio", "aiokafka", "protobuf"} <= found.keys()
    assert not found.keys() & {"pip", "grpcio-tools", "mypy-protobuf", "cyclonedx-bom"}


@every_service
def test_an_image_refuses_a_wrong_configuration_on_a_read_only_file_system(
    engine: Engine, images: Images, service: str
) -> None:
    hardened = (
        "--read-only",
        "--cap-drop",
        "ALL",
        "--security-opt",
        "no-new-privileges",
        "--network",
        "none",
    )
    done = engine.try_run(
        "run", "--rm", *hardened, "--env", "LOG_LEVEL=loud", images[service]["Id"], "config"
    )
    assert done.returncode == 2, done.stdout + done.stderr
    assert "LOG_LEVEL: " in done.stderr


def test_one_command_makes_everything_ready(stack: Stack) -> None:
    for service in (*SERVICES, "postgres", "kafka"):
        for container in stack.containers(service):
            assert stack.state(container)["Health"]["Status"] == "healthy", service
    for setup in SETUPS:
        state = stack.state(stack.containers(setup)[0])
        assert (state["Status"], state["ExitCode"]) == ("exited", 0), setup


@every_service
def test_a_service_can_neither_write_nor_rise(stack: Stack, service: str) -> None:
    container = stack.containers(service)[0]
    limits = stack.engine.inspect(container)["HostConfig"]
    assert limits["ReadonlyRootfs"]
    assert limits["CapDrop"] == ["ALL"]
    assert "no-new-privileges:true" in limits["SecurityOpt"]
    assert limits["Memory"] > 0
    assert limits["PidsLimit"] > 0
    assert stack.inside(container, "import os; print(os.getuid())").strip() == UID
    refused = stack.engine.try_run("exec", container, "python3", "-c", "open('/app/x', 'w')")
    assert "Read-only file system" in refused.stderr
    rights = stack.inside(container, "print(open('/proc/self/status').read())")
    assert re.search(r"^CapEff:\t0+$", rights, re.MULTILINE)
    assert re.search(r"^NoNewPrivs:\t1$", rights, re.MULTILINE)


def test_secrets_are_files_and_not_variables(stack: Stack) -> None:
    for service in SERVICES:
        settings = stack.engine.inspect(stack.containers(service)[0])["Config"]["Env"]
        assert not [one for one in settings if "DSN=" in one or "API_KEYS=" in one]


def test_an_order_is_carried_to_delivery(stack: Stack) -> None:
    with measured("catalogue seeded, an order placed and delivered"):
        assert carry(stack.url, stack.keys)["state"] == "delivered"


def test_three_replicas_share_the_calls(stack: Stack) -> None:
    with measured("orders scaled to three"):
        stack.compose(
            "up", "--detach", "--wait", "--no-recreate", "--no-build", "--scale", "orders=3", "orders"
        )
    replicas = stack.containers("orders")
    assert len(replicas) == 3
    shop = demo.Shop(stack.url, stack.keys["storefront"])

    def all_have_placed() -> bool:
        place(shop)
        return all(placements(stack, replica) > 0 for replica in replicas)

    eventually(all_have_placed, "each of the three placed an order")
    shop.close()


def test_a_killed_replica_loses_no_order_and_comes_back(stack: Stack) -> None:
    replicas = stack.containers("orders")
    victim = replicas[0]
    kill = (
        "import os, pathlib, signal\n"
        "for one in pathlib.Path('/proc').glob('[0-9]*/cmdline'):\n"
        "    parts = one.read_bytes().split(b'\\0')\n"
        "    if int(one.parent.name) > 1 and b'services.orders' in parts: os.kill(int(one.parent.name), signal.SIGKILL)"
    )
    restarts = stack.state(victim)["RestartCount"]
    shop = demo.Shop(stack.url, stack.keys["storefront"])

    def is_back() -> bool:
        state = stack.state(victim)
        healthy: bool = state["RestartCount"] > restarts and state["Health"]["Status"] == "healthy"
        return healthy

    with measured("from SIGKILL to healthy again, 20 orders placed and decided meanwhile"):
        # The container ends with its only process; whether this command still hears of it is chance.
        stack.engine.try_run("exec", victim, "python3", "-c", kill)
        placed = [place(shop)["order_id"] for _ in range(20)]
        assert len(set(placed)) == 20
        for order_id in placed:
            decided = demo.await_document(
                functools.partial(shop.get, f"/v1/orders/{order_id}"),
                lambda found: found["state"] != "pending",
                "the decision",
            )
            assert decided["state"] == "confirmed", decided
        eventually(is_back, "the killed replica is back")
    shop.close()
    assert carry(stack.url, stack.keys)["state"] == "delivered"


@pytest.mark.skipif(not (ROOT / "deploy" / "prometheus").is_dir(), reason="no deploy/prometheus to run with")
def test_prometheus_watches_every_replica_and_knows_its_alertmanager(stack: Stack) -> None:
    if stack.engine.own:
        standins.make_monitoring(stack.engine)
    with measured("Prometheus and Alertmanager started"):
        stack.compose(
            *("--profile", "monitoring", "up", "--detach", "--wait", "--no-recreate", "--no-build"),
            *("prometheus", "alertmanager"),
        )
    api = f"http://{LOOPBACK}:{stack.engine.environment['PROMETHEUS_PORT']}/api/v1"

    def watched() -> dict[str, list[str]]:
        jobs: dict[str, list[str]] = {}
        for target in httpx.get(f"{api}/targets", timeout=10).json()["data"]["activeTargets"]:
            jobs.setdefault(target["labels"]["job"], []).append(target["health"])
        return jobs

    expected = {service: 3 if service == "orders" else 1 for service in SERVICES}
    eventually(
        lambda: all(watched().get(job, []) == ["up"] * count for job, count in expected.items()),
        "every replica is scraped",
    )
    eventually(
        lambda: bool(httpx.get(f"{api}/alertmanagers", timeout=10).json()["data"]["activeAlertmanagers"]),
        "the alertmanager is known",
    )
    rules = httpx.get(f"{api}/rules", timeout=10).json()["data"]["groups"]
    assert rules
    assert not [rule["lastError"] for group in rules for rule in group["rules"] if rule.get("lastError")]


def test_nothing_ran_out_of_memory(stack: Stack) -> None:
    for service in (*SERVICES, "postgres", "kafka"):
        container = stack.containers(service)[0]
        used = stack.engine.run("stats", "--no-stream", "--format", "{{.MemUsage}}", container).strip()
        figures.append(f"{service} memory: {used}")
        assert not stack.state(container)["OOMKilled"]


def place(shop: demo.Shop) -> demo.Document:
    """A prepaid order, as a storefront places it: repeated with its key while the answer is not known."""
    key = str(uuid4())
    body = {
        "buyer_ref": "containers",
        "currency_code": "EUR",
        "payment_terms": "prepaid",
        "lines": [{"sku": demo.SKU, "quantity": 1}],
        "ship_to": demo.ADDRESS,
    }
    answers: list[demo.Document] = []

    def answered() -> bool:
        document = shop.post("/v1/orders", body, key=key, prefer="wait=5", accept=(429, 503))
        answers.append(document)
        return "order_id" in document

    eventually(answered, "the order is placed")
    return answers[-1]


def placements(stack: Stack, container: str) -> float:
    """How many calls of BatchPlaceOrders a replica has answered; one that nobody has called yet has no such row."""
    url = f"http://127.0.0.1:{PORT_DEFAULTS['ORDERS_ADMIN_PORT']}/metrics"
    said = stack.inside(container, f"import urllib.request as r; print(r.urlopen('{url}').read().decode())")
    assert "sampan_build_info" in said
    rows = re.findall(r"^sampan_rpc_server_handled_total\{([^}]*)\} ([\d.e+]+)$", said, re.MULTILINE)
    return sum(float(value) for labels, value in rows if "BatchPlaceOrders" in labels)


def eventually(holds: Callable[[], bool], what: str) -> None:
    """Wait for what takes its time."""
    until = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < until, f"not within {PATIENCE_S:.0f} s: {what}"
        time.sleep(0.2)
