"""Replicas beside a stack: ports of their own, one target for all of a service, names that cannot be mixed up."""

from pathlib import Path

from deploy.local.replicas import Replicas
from deploy.local.settings import DATABASES, StackSettings
from deploy.local.stack import Stack


def replicas(folder: Path) -> Replicas:
    stack = Stack(
        StackSettings.on_free_ports(
            folder, kafka_bootstrap="127.0.0.1:1", dsns={name: f"postgresql://{name}" for name in DATABASES}
        )
    )
    counts = {"access": 1, "catalog": 1, "orders": 3, "warehouse": 1, "webhooks": 1, "gateway": 2}
    return Replicas(stack, counts)


def test_every_replica_has_ports_of_its_own(tmp_path: Path) -> None:
    made = replicas(tmp_path)
    assert sorted(made.processes) == [
        *(
            "access-1",
            "catalog-1",
            "gateway-1",
            "gateway-2",
            "orders-1",
            "orders-2",
            "orders-3",
            "warehouse-1",
            "webhooks-1",
        )
    ]
    grpc = [made.processes[f"orders-{n}"].environment["ORDERS_GRPC_PORT"] for n in (1, 2, 3)]
    admin = [process.admin_url for process in made.processes.values()]
    http = [made.processes[f"gateway-{n}"].environment["GATEWAY_PORT"] for n in (1, 2)]
    assert len({*grpc, *http, *(url.rpartition(":")[2] for url in admin)}) == 3 + 2 + 9
    assert [str(port) for port in made.gateway_ports] == http
    assert len({process.process.pid_file for process in made.processes.values()}) == 9


def test_every_gateway_calls_all_replicas_of_a_service(tmp_path: Path) -> None:
    made = replicas(tmp_path)
    ports = [made.processes[f"orders-{n}"].environment["ORDERS_GRPC_PORT"] for n in (1, 2, 3)]
    for number in (1, 2):
        target = made.processes[f"gateway-{number}"].environment["ORDERS_ADDRESS"]
        assert target == "ipv4:" + ",".join(f"127.0.0.1:{port}" for port in ports)


def test_replicas_that_were_never_started_have_no_pids(tmp_path: Path) -> None:
    assert set(replicas(tmp_path).pids.values()) == {None}
