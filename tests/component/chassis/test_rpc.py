"""Server and channel, talking to each other over loopback."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.protobuf.wrappers_pb2 import StringValue
from google.rpc.status_pb2 import Status
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from services.chassis import errors, trace
from services.chassis.config import ServiceSettings
from services.chassis.rpc import deadline
from services.chassis.rpc.channel import make_channel, service_config
from services.chassis.rpc.server import Health, add_health, make_server
from services.chassis.rpc.status import DETAILS_KEY, error_of
from tests.component.chassis import echo

CALLS_MAX = 8


@pytest.fixture
async def address() -> AsyncIterator[str]:
    server = make_server(ServiceSettings(grpc_deadline_s_max=0.5), max_concurrent=CALLS_MAX)
    echo.add_to(server)
    add_health(server, [echo.SERVICE])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(0)


@pytest.fixture
async def channel(address: str) -> AsyncIterator[grpc.aio.Channel]:
    async with make_channel(address, retryable_methods=[f"{echo.SERVICE}/Echo"]) as made:
        yield made


async def call(channel: grpc.aio.Channel, method: str, value: str = "", **options: Any) -> str:
    reply: StringValue = await echo.stub(channel, method)(StringValue(value=value), **options)
    return reply.value


async def failure(
    channel: grpc.aio.Channel, method: str, value: str = "", **options: Any
) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await call(channel, method, value, **options)
    return failed.value


async def counted(method: str, code: str, expected: float = 1) -> None:
    """Waits for a count: the client may have its answer before the server has noted it."""
    for _ in range(500):
        if handled(method, code) >= expected:
            break
        await asyncio.sleep(0.01)
    assert handled(method, code) == expected


def handled(method: str, code: str) -> float:
    labels = {"method": f"{echo.SERVICE}/{method}", "code": code}
    return REGISTRY.get_sample_value("sampan_rpc_server_handled_total", labels) or 0.0


async def test_a_call_is_answered_and_counted(channel: grpc.aio.Channel) -> None:
    before = handled("Echo", "OK")
    assert await call(channel, "Echo", "hello") == "hello"
    await counted("Echo", "OK", before + 1)


async def test_a_domain_error_arrives_whole(channel: grpc.aio.Channel) -> None:
    failed = await failure(channel, "Refuse", "x")
    details = failed.trailing_metadata().get(DETAILS_KEY)
    assert isinstance(details, bytes)
    assert [detail.TypeName() for detail in Status.FromString(details).details] == ["google.rpc.ErrorInfo"]
    error = error_of(failed)
    assert type(error) is errors.NotFound
    assert (error.reason, error.message) == ("WORD_NOT_FOUND", "no such word: 三板")
    assert error.metadata == {"word": "x", "field": "value"}
    assert error.domain == "sampan.sampan"


async def test_an_unexpected_exception_is_logged_and_its_text_stays_inside(channel: grpc.aio.Channel) -> None:
    with capture_logs() as lines:
        failed = await failure(channel, "Fail")
    assert failed.code() is grpc.StatusCode.INTERNAL
    assert error_of(failed).reason == "INTERNAL"
    assert echo.SECRET not in str(failed)
    (line,) = [line for line in lines if line["event"] == "call failed"]
    assert str(line["exc_info"]) == echo.SECRET
    await counted("Fail", "INTERNAL")


async def test_an_abort_by_hand_passes_through(channel: grpc.aio.Channel) -> None:
    failed = await failure(channel, "Abort")
    assert (failed.code(), failed.details()) == (grpc.StatusCode.OUT_OF_RANGE, "by hand")
    assert error_of(failed).domain == "grpc"
    await counted("Abort", "OUT_OF_RANGE")


async def test_the_callers_deadline_cancels_the_handler(channel: grpc.aio.Channel) -> None:
    failed = await failure(channel, "Sleep", "30", timeout=0.1)
    assert isinstance(error_of(failed), errors.DeadlineExceeded)
    await counted("Sleep", "DEADLINE_EXCEEDED")


@pytest.mark.parametrize("timeout_s", [None, 60.0])
async def test_no_deadline_or_a_long_one_is_bounded_by_the_servers(
    address: str, timeout_s: float | None
) -> None:
    async with grpc.aio.insecure_channel(address) as plain:
        failed = await failure(plain, "Sleep", "30", timeout=timeout_s)
    error = error_of(failed)
    assert isinstance(error, errors.DeadlineExceeded)
    assert error.message == "the server allows this call 0.5 s"


async def test_a_cancelled_call_is_counted_as_such(channel: grpc.aio.Channel) -> None:
    before = handled("Sleep", "CANCELLED")
    running = asyncio.ensure_future(call(channel, "Sleep", "30"))
    await asyncio.sleep(0.1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await counted("Sleep", "CANCELLED", before + 1)


async def test_what_is_left_of_a_deadline_and_the_trace_go_along(channel: grpc.aio.Channel) -> None:
    trace.set_current("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00")
    deadline.begin(0.3)
    traceparent, left_s = (await call(channel, "Tell", timeout=5)).split()
    assert traceparent == trace.current_traceparent()
    assert 0.1 < float(left_s) < 0.3


async def test_a_call_without_trace_begins_one(channel: grpc.aio.Channel) -> None:
    traceparent, _ = (await call(channel, "Tell")).split()
    assert trace.parse(traceparent) is not None


async def test_streams_are_guarded_too(channel: grpc.aio.Channel) -> None:
    received = []

    async def receive() -> None:
        async for reply in echo.stub(channel, "Count", "unary_stream")(StringValue(value="3")):
            received.append(reply.value)

    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await receive()
    assert received == ["0", "1", "2"]
    assert error_of(failed.value).reason == "NO_MORE"

    async def words() -> AsyncIterator[StringValue]:
        for word in ("a", "b"):
            yield StringValue(value=word)

    joined = await echo.stub(channel, "Join", "stream_unary")(words())
    assert joined.value == "ab"


async def test_overload_is_refused_while_health_answers(address: str, channel: grpc.aio.Channel) -> None:
    running = [asyncio.ensure_future(call(channel, "Sleep", "0.3")) for _ in range(CALLS_MAX)]
    await asyncio.sleep(0.1)
    error = error_of(await failure(channel, "Echo"))
    assert isinstance(error, errors.ResourceExhausted)
    assert (error.reason, error.retry_after_s) == ("OVERLOADED", 1.0)
    health: Any = health_pb2_grpc.HealthStub(channel)
    await health.Check(health_pb2.HealthCheckRequest(), timeout=5)
    assert await asyncio.gather(*running) == ["slept"] * CALLS_MAX
    assert await call(channel, "Echo", "again") == "again"


async def test_a_dead_server_is_unavailable() -> None:
    async with make_channel("127.0.0.1:1", retryable_methods=[]) as nowhere:
        error = error_of(await failure(nowhere, "Echo", timeout=5))
    assert isinstance(error, errors.Unavailable)


async def test_watchers_do_not_hold_up_a_drain() -> None:
    server = make_server(ServiceSettings(), max_concurrent=1)
    health: Health = add_health(server, ["a"])
    await health.tell(False)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as plain:
        watches: Any = health_pb2_grpc.HealthStub(plain)
        seen = []

        async def watch() -> None:
            async for reply in watches.Watch(health_pb2.HealthCheckRequest(service="a")):
                seen.append(reply.status)

        watching = asyncio.ensure_future(watch())
        await asyncio.sleep(0.1)
        await health.tell(True)
        await asyncio.sleep(0.1)
        await health.drain()
        async with asyncio.timeout(2):
            await server.stop(10)
            await watching
    serving = health_pb2.HealthCheckResponse
    assert seen[:2] == [serving.NOT_SERVING, serving.SERVING]


def test_only_named_methods_are_retried_and_only_when_unavailable() -> None:
    config = json.loads(service_config(["/a.B/C", "a.D"]))
    (methods,) = config["methodConfig"]
    assert methods["name"] == [{"service": "a.B", "method": "C"}, {"service": "a.D"}]
    assert methods["retryPolicy"]["retryableStatusCodes"] == ["UNAVAILABLE"]
    assert config["retryThrottling"]
    assert "methodConfig" not in json.loads(service_config([]))
