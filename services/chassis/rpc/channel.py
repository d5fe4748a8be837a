"""Channels to other services.

What a call needs to carry (deadline, trace context) is added by a thin `Channel` around grpc.aio's and not by
client interceptors: those start a task per call and cost several times as much. It is also what goes over to
another channel when certificates change.
"""

import asyncio
import json
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Any, Self

import grpc
from grpc.aio import Metadata

from services.chassis import trace
from services.chassis.rpc import deadline
from services.chassis.rpc.options import channel_options
from services.chassis.tls import Watched

RETRY_ATTEMPTS_MAX = 4
RETIRE_S = 60.0
"""How long a channel whose certificate was replaced stays open: longer than nearly all calls take."""
CALL_S_MAX = 600.0
"""What the few that are left then have: the longest deadline that a setting allows."""

Certificates = Watched[grpc.ChannelCredentials]


def make_channel(
    target: str, *, retryable_methods: Sequence[str], certificates: Certificates | None = None
) -> "Channel":
    """A channel to `host:port`, or to `dns:///host:port` for all addresses behind a headless service.

    `retryable_methods` ("sampan.orders.v1.OrdersService/BatchPlaceOrders", or only the service) are repeated
    on UNAVAILABLE: reads, and calls with a request id. Each call gets the trace context of its task and a
    deadline: `timeout`, by default 10 s, but no more than what the request at hand has left. With `certificates`
    both sides show theirs; without, they talk in plain text.
    """
    options = channel_options(service_config(retryable_methods))
    if certificates is None:
        return Channel(lambda: grpc.aio.insecure_channel(target, options=options))
    channel = Channel(lambda: grpc.aio.secure_channel(target, certificates.value, options=options))
    certificates.on_change(channel.renew)
    return channel


def service_config(retryable_methods: Sequence[str]) -> str:
    """Round robin over all addresses; few retries, throttled, so that they cannot feed an outage."""
    config: dict[str, Any] = {
        "loadBalancingConfig": [{"round_robin": {}}],
        "retryThrottling": {"maxTokens": 20, "tokenRatio": 0.1},
    }
    if retryable_methods:
        named = (method.strip("/").partition("/") for method in retryable_methods)
        config["methodConfig"] = [
            {
                "name": [
                    {"service": service, "method": method} if method else {"service": service}
                    for service, _, method in named
                ],
                "retryPolicy": {
                    "maxAttempts": RETRY_ATTEMPTS_MAX,
                    "initialBackoff": "0.05s",
                    "maxBackoff": "1s",
                    "backoffMultiplier": 3,
                    "retryableStatusCodes": ["UNAVAILABLE"],
                },
            }
        ]
    return json.dumps(config)


class Channel(grpc.aio.Channel):
    """grpc.aio's channel, adding deadline and trace context to every call."""

    def __init__(self, connect: Callable[[], grpc.aio.Channel]) -> None:
        self._connect = connect
        self._inner = connect()
        self._renewal: asyncio.Task[None] | None = None
        self._retiring: set[asyncio.Task[None]] = set()
        self._followed: set[asyncio.Task[None]] = set()

    def renew(self) -> None:
        """Goes over to a new channel once that is connected; calls under way end on the old one.

        Until the services accept what we show now, calls go on as before.
        """
        if self._renewal is not None:
            self._renewal.cancel()
        self._renewal = asyncio.create_task(self._renew(), name="renew channel")

    async def _renew(self) -> None:
        new = self._connect()
        try:
            await new.channel_ready()
        except BaseException:
            await new.close()
            raise
        old, self._inner = self._inner, new
        retiring = asyncio.create_task(_retire(old), name="retire channel")
        self._retiring.add(retiring)
        retiring.add_done_callback(self._retiring.discard)

    def unary_unary(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Calls with one request and one reply."""
        return self._carrying(method, lambda channel: channel.unary_unary(method, *args, **kwargs))

    def unary_stream(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Calls with a stream of replies."""
        return self._carrying(method, lambda channel: channel.unary_stream(method, *args, **kwargs))

    def stream_unary(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Calls with a stream of requests."""
        return self._carrying(method, lambda channel: channel.stream_unary(method, *args, **kwargs))

    def stream_stream(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Calls with streams both ways."""
        return self._carrying(method, lambda channel: channel.stream_stream(method, *args, **kwargs))

    async def close(self, grace: float | None = None) -> None:
        """Closes the channel; calls under way have `grace` seconds."""
        ending = [*self._retiring, *self._followed, *filter(None, (self._renewal,))]
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        await self._inner.close(grace)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """The connectivity, without waiting."""
        return self._inner.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """Waits until the connectivity is another."""
        await self._inner.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        """Waits until there is a connection."""
        await self._inner.channel_ready()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def _follow(self, span: trace.OpenSpan, call: grpc.aio.Call) -> None:
        task = asyncio.create_task(_end_with(span, call), name="follow call")
        self._followed.add(task)
        task.add_done_callback(self._followed.discard)

    def _carrying(
        self, method: str, bind: Callable[[grpc.aio.Channel], Callable[..., Any]]
    ) -> Callable[..., Any]:
        name = method.lstrip("/")
        attributes = {"rpc.system.name": "grpc", "rpc.method": name}
        bound, call = self._inner, bind(self._inner)

        def start(
            request: Any = None,
            *,
            timeout: float | None = None,
            metadata: Iterable[tuple[str, str | bytes]] | None = None,
            **options: Any,
        ) -> Any:
            nonlocal bound, call
            if bound is not self._inner:
                bound, call = self._inner, bind(self._inner)
            carried = Metadata(*(metadata or ()))
            span = trace.start(name, "client", attributes=attributes)
            traceparent = trace.current_traceparent() if span is None else span.traceparent
            if traceparent is not None:
                carried.add(trace.HEADER, traceparent)
            made = call(request, timeout=deadline.allowance_s(timeout), metadata=carried, **options)
            if span is not None:
                self._follow(span, made)
            return made

        return start


async def _end_with(span: trace.OpenSpan, call: grpc.aio.Call) -> None:
    code = (await call.code()).name
    span.describe({"rpc.response.status_code": code})
    span.end(None if code == "OK" else code)


async def _retire(channel: grpc.aio.Channel) -> None:
    try:
        await asyncio.sleep(RETIRE_S)
        await channel.close(CALL_S_MAX)
    finally:
        await channel.close()
