"""What stands in the way is told in one line each, with what to do."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local import java, preflight
from deploy.local.settings import LOOPBACK, StackError, StackSettings


@pytest.fixture
def listener() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.socket() as server:
        server.bind((LOOPBACK, 0))
        server.listen()
        yield int(server.getsockname()[1])


def stack(folder: Path, **ports: int) -> StackSettings:
    """Return a stack on free ports except those given, with an unpacked Kafka."""
    settings = StackSettings.on_free_ports(folder)
    return StackSettings.on_free_ports(folder, ports={**settings.ports, **ports}, kafka_home=folder)


def test_a_used_port_names_its_user_and_a_free_one(tmp_path: Path, listener: int) -> None:
    (fault,) = preflight.faults(stack(tmp_path, GATEWAY_PORT=listener), running=())
    assert f"port {listener} (GATEWAY_PORT) is used by " in fault
    assert "choose another: GATEWAY_PORT=" in fault


def test_the_ports_of_a_running_part_are_its_own(tmp_path: Path, listener: int) -> None:
    assert preflight.faults(stack(tmp_path, GATEWAY_PORT=listener), running={"gateway"}) == []


def test_one_port_for_two_is_refused(tmp_path: Path) -> None:
    settings = stack(tmp_path)
    port = settings.ports["KAFKA_PORT"]
    (fault,) = preflight.faults(stack(tmp_path, KAFKA_PORT=port, POSTGRES_PORT=port), running=())
    assert fault == f"POSTGRES_PORT and KAFKA_PORT are both {port}: give each its own port"


def test_a_missing_jdk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(java, "find_java", lambda: None)
    (fault,) = preflight.faults(stack(tmp_path), running=())
    assert fault.startswith("no JDK 17 or newer: install one")


def test_a_full_disk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "FREE_BYTES_MIN", 2**60)
    (fault,) = preflight.faults(stack(tmp_path), running=())
    assert "are free below" in fault
    assert "make room" in fault


def test_a_kafka_that_does_not_answer_is_one_line(tmp_path: Path) -> None:
    settings = StackSettings.on_free_ports(tmp_path, kafka_bootstrap=f"{LOOPBACK}:1")
    (fault,) = preflight.faults(settings, running=())
    assert fault.startswith(f"no Kafka answers at KAFKA_BOOTSTRAP={LOOPBACK}:1")


@pytest.mark.parametrize("text", ["0", "65536", "-1", "x", "8080 ", "٨٠"])
def test_a_port_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(StackError, match=r"^GATEWAY_PORT=.* is not a port"):
        StackSettings.from_environment({"GATEWAY_PORT": text})


def test_existing_databases_and_brokers_are_taken_from_the_environment() -> None:
    settings = StackSettings.from_environment(
        {"ORDERS_DSN": "postgresql://x/orders", "KAFKA_BOOTSTRAP": "kafka:9092", "KAFKA_HOME": "/opt/kafka"}
    )
    assert settings.dsns == {"orders": "postgresql://x/orders"}
    assert settings.kafka_bootstrap == "kafka:9092"
    assert settings.kafka_home == Path("/opt/kafka")
