"""A real process from start to drain."""

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import structlog
from google.protobuf.wrappers_pb2 import StringValue
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.chassis.config import ProcessSettings
from services.chassis.lifecycle import Runtime
from tests import child
from tests.component.chassis import echo

ROOT = Path(__file__).parents[3]
START_S_MAX = 20.0


class Process:
    """The demo service, its log as it comes, and its end."""

    def __init__(self, process: child.Child) -> None:
        self.process = process
        self.lines: list[dict[str, Any]] = []

    async def line(self, event: str) -> dict[str, Any]:
        """Reads the log up to the line of that event."""
        assert self.process.stdout is not None
        async with asyncio.timeout(START_S_MAX):
            async for raw in self.process.stdout:
                self.lines.append(json.loads(raw))
                if self.lines[-1]["event"] == event:
                    return self.lines[-1]
        raise AssertionError(f"the process ended without saying {event}: {self.lines}")

    async def end(self) -> int:
        """The exit code, after the rest of the log."""
        assert self.process.stdout is not None
        async with asyncio.timeout(START_S_MAX):
            self.lines += [json.loads(raw) async for raw in self.process.stdout]
            return await self.process.wait()

    def closed(self) -> list[str]:
        return [line["part"] for line in self.lines if line["event"] == "closed"]


@contextlib.asynccontextmanager
async def demo(*arguments: str, **variables: str) -> AsyncIterator[Process]:
    process = await child.start(
        [sys.executable, "-m", "tests.component.chassis.demo", *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **variables},
    )
    try:
        yield Process(process)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def fetch(port: int, path: str) -> tuple[int, str]:
    def get() -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    return await asyncio.to_thread(get)


async def health(channel: grpc.aio.Channel, service: str = "") -> int:
    request = health_pb2.HealthCheckRequest(service=service)
    stub: Any = health_pb2_grpc.HealthStub(channel)
    status: int = (await stub.Check(request, timeout=5)).status
    return status


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


async def test_it_serves_tells_its_state_and_drains_what_is_under_way() -> None:
    async with demo(DEMO_DRAIN_WAIT_S="0.4") as process:
        serving = await process.line("serving")
        assert (serving["service"], serving["level"]) == ("demo", "info")
        admin = serving["admin_port"]
        assert (await fetch(admin, "/healthz"))[0] == 200
        assert json.loads((await fetch(admin, "/readyz"))[1])["ready"] is True
        status, page = await fetch(admin, "/metrics")
        assert status == 200
        for family in (
            "sampan_build_info",
            "sampan_event_loop_lag_seconds",
            "process_resident",
            "sampan_rpc_server_in_flight",
        ):
            assert family in page
        assert (await fetch(admin, "/"))[0] == 404

        async with grpc.aio.insecure_channel(f"127.0.0.1:{serving['grpc_port']}") as channel:
            assert await health(channel) == health_pb2.HealthCheckResponse.SERVING
            assert await health(channel, echo.SERVICE) == health_pb2.HealthCheckResponse.SERVING
            running = asyncio.ensure_future(echo.stub(channel, "Sleep")(StringValue(value="1"), timeout=10))
            await asyncio.sleep(0.1)
            process.process.send_signal(signal.SIGTERM)
            await asyncio.sleep(0.15)
            assert await health(channel) == health_pb2.HealthCheckResponse.NOT_SERVING
            assert (await fetch(admin, "/readyz"))[0] == 503
            assert (await fetch(admin, "/healthz"))[0] == 200
            assert (await running).value == "slept"
        assert await process.end() == 0
        assert process.closed() == ["cache", "worker", "database"]
        assert process.lines[-1]["event"] == "stopped"


async def test_a_call_that_never_ends_is_cut_off_after_the_grace() -> None:
    async with demo(DEMO_DRAIN_WAIT_S="0", DEMO_DRAIN_GRACE_S="1") as process:
        serving = await process.line("serving")
        async with grpc.aio.insecure_channel(f"127.0.0.1:{serving['grpc_port']}") as channel:
            running = asyncio.ensure_future(echo.stub(channel, "Sleep")(StringValue(value="25"), timeout=25))
            await asyncio.sleep(0.1)
            began = time.monotonic()
            process.process.send_signal(signal.SIGINT)
            with pytest.raises(grpc.aio.AioRpcError):
                await running
            assert await process.end() == 0
            assert time.monotonic() - began < 4


async def test_a_stuck_part_does_not_keep_the_others_from_closing() -> None:
    async with demo(DEMO_DRAIN_WAIT_S="0", DEMO_DRAIN_GRACE_S="1", DEMO_FAULT="stuck closer") as process:
        await process.line("serving")
        process.process.send_signal(signal.SIGTERM)
        assert await process.end() == 0
        assert process.closed() == ["cache", "worker", "database"]
        assert [line["part"] for line in process.lines if line["event"] == "closing took too long"] == [
            "stuck"
        ]


async def test_a_second_signal_ends_it_at_once() -> None:
    async with demo(DEMO_DRAIN_WAIT_S="10") as process:
        await process.line("serving")
        process.process.send_signal(signal.SIGTERM)
        await process.line("stopping")
        process.process.send_signal(signal.SIGTERM)
        assert await process.end() == 128 + signal.SIGTERM


async def test_a_crashed_task_stops_the_process_with_a_failure() -> None:
    async with demo(DEMO_FAULT="crash") as process:
        assert await process.end() == 1
        (crash,) = [line for line in process.lines if line["event"] == "a background task crashed"]
        assert "RuntimeError: the worker broke" in crash["exception"]
        assert process.closed()[-1] == "database"


async def test_it_can_be_stopped_while_it_starts() -> None:
    async with demo(DEMO_FAULT="slow start") as process:
        await process.line("opening")
        process.process.send_signal(signal.SIGTERM)
        assert await process.end() == 0
        assert process.closed() == ["database"]


async def test_a_failing_check_makes_it_not_ready_but_alive() -> None:
    async with demo(DEMO_FAULT="not ready") as process:
        serving = await process.line("serving")
        status, body = await fetch(serving["admin_port"], "/readyz")
        assert status == 503
        assert json.loads(body)["checks"] == {"serving": "ok", "database": "failed"}
        assert (await fetch(serving["admin_port"], "/healthz"))[0] == 200
        async with grpc.aio.insecure_channel(f"127.0.0.1:{serving['grpc_port']}") as channel:
            assert await health(channel) == health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.mark.parametrize("variable", ["DEMO_ADMIN_PORT", "DEMO_GRPC_PORT"])
async def test_a_used_port_is_one_clear_line(variable: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        async with demo(**{variable: str(port)}) as process:
            assert await process.end() == 1
            last = process.lines[-1]
            assert last["event"] == "cannot start"
            assert f"127.0.0.1:{port} ({variable})" in last["cause"]
            assert "exception" not in last


async def test_a_reason_not_to_start_is_one_clear_line() -> None:
    async with demo(DEMO_FAULT="cannot start") as process:
        assert await process.end() == 1
        assert process.lines[-1]["cause"] == "the schema is behind"


async def test_wrong_configuration_exits_with_2_before_anything_starts() -> None:
    async with demo(DEMO_GRPC_PORT="x", LOG_LEVEL="y") as process:
        assert await process.end() == 2
        assert process.process.stderr is not None
        report = (await process.process.stderr.read()).decode()
        assert "DEMO_GRPC_PORT" in report
        assert "LOG_LEVEL" in report
        assert "Traceback" not in report


async def test_other_commands() -> None:
    async with demo("setup") as process:
        assert await process.end() == 0
        assert process.lines[-1]["event"] == "set up"
    async with demo("config", "--markdown") as process:
        assert process.process.stdout is not None
        assert "| `DEMO_GRPC_PORT` | `0` |" in (await process.process.stdout.read()).decode()
        assert await process.process.wait() == 0
    async with demo("list-parked") as process:
        assert await process.process.wait() == 2


@pytest.fixture
def own_logging() -> Iterator[None]:
    """Puts the logging of the test process back as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.usefixtures("own_logging")
async def test_any_server_can_be_served() -> None:
    told: list[str] = []

    async def start() -> None:
        told.append("start")

    async def stop(grace_s: float) -> None:
        assert 0 < grace_s < 5
        told.append("stop")

    settings = ProcessSettings(admin_port=free_port(), drain_wait_s=0, drain_grace_s=5)
    async with Runtime(settings, name="test") as rt:
        rt.on_close("last", lambda: told.append("closed"))
        asyncio.get_running_loop().call_later(0.1, rt.stop)
        await rt.serve_with(start, stop)
    assert told == ["start", "stop", "closed"]
