"""Channels to other services.

What a call needs to carry (deadline, trace context) is added by a thin `Channel` around grpc.aio's and not by
client interceptors: those start a task per call and cost several times as much.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Any, Self

import grpc
from grpc.aio import Metadata

from services.chassis import trace
from services.chassis.rpc import deadline
from services.chassis.rpc.options import channel_options

RETRY_ATTEMPTS_MAX = 4


def make_channel(target: str, *, retryable_methods: Sequence[str]) -> grpc.aio.Channel:
    """A channel to `host:port`, or to `dns:///host:port` for all addresses behind a headless service.

    `retryable_methods` ("sampan.orders.v1.OrdersService/BatchPlaceOrders", or only the service) are repeated
    on UNAVAILABLE: reads, and calls with a request id. Each call gets the trace context of its task and a
    deadline: `timeout`, by default 10 s, but no more than what the request at hand has left.
    """
    return Channel(
        grpc.aio.insecure_channel(target, options=channel_options(service_config(retryable_methods)))
    )


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

    def __init__(self, inner: grpc.aio.Channel) -> None:
        self._inner = inner

    def unary_unary(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Calls with one request and one reply."""
        return _carrying(self._inner.unary_unary(method, *args, **kwargs))

    def unary_stream(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Calls with a stream of replies."""
        return _carrying(self._inner.unary_stream(method, *args, **kwargs))

    def stream_unary(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Calls with a stream of requests."""
        return _carrying(self._inner.stream_unary(method, *args, **kwargs))

    def stream_stream(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Calls with streams both ways."""
        return _carrying(self._inner.stream_stream(method, *args, **kwargs))

    async def close(self, grace: float | None = None) -> None:
        """Closes the channel; calls under way have `grace` seconds."""
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


def _carrying(call: Callable[..., Any]) -> Callable[..., Any]:
    def start(
        request: Any = None,
        *,
        timeout: float | None = None,
        metadata: Iterable[tuple[str, str | bytes]] | None = None,
        **options: Any,
    ) -> Any:
        carried = Metadata(*(metadata or ()))
        traceparent = trace.current_traceparent()
        if traceparent is not None:
            carried.add(trace.HEADER, traceparent)
        return call(request, timeout=deadline.allowance_s(timeout), metadata=carried, **options)

    return start
