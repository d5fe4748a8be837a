"""The server's one interceptor: deadline, overload, trace context, errors and metrics of every call.

It is one and not five because each layer of grpc.aio interceptors costs every call again. It wraps a
method's handler when the method is first called and keeps the wrapped one.
"""

import asyncio
import inspect
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable
from types import TracebackType
from typing import Any, TypeAlias

import grpc
from grpc.aio import AbortError, ServicerContext
from prometheus_client import Counter, Gauge, Histogram

from services.chassis import log, metrics, trace
from services.chassis.errors import (
    DeadlineExceeded,
    DomainError,
    Internal,
    PermissionDenied,
    ResourceExhausted,
)
from services.chassis.rpc import deadline
from services.chassis.rpc.status import status_of, trailing_metadata

STREAM_DEADLINE_S_MAX = 3600.0
OVERLOAD_RETRY_AFTER_S = 1.0

_EXEMPT = ("/grpc.health.", "/grpc.reflection.")
_CODES = {code.name: code for code in grpc.StatusCode}

_HANDLED = metrics.Kept(
    Counter("sampan_rpc_server_handled_total", "Calls answered, by method and status.", ["method", "code"]),
    children_max=500,
)
_SECONDS = metrics.Kept(
    Histogram(
        "sampan_rpc_server_seconds",
        "Time from a call's arrival to its answer.",
        ["method"],
        buckets=metrics.LATENCY_BUCKETS_S,
    ),
    children_max=100,
)
_IN_FLIGHT = Gauge("sampan_rpc_server_in_flight", "Calls being worked on.")

_logger = log.get(__name__)

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any] | None"
Context: TypeAlias = "ServicerContext[Any, Any]"


class CallGuard(grpc.aio.ServerInterceptor):
    """Guards every method but health and reflection, which have to answer even under overload.

    Where `clients` are given, only those may call whose certificate has one of these names.
    """

    def __init__(self, *, max_concurrent: int, deadline_s_max: float, clients: Collection[str] = ()) -> None:
        self.max_concurrent = max_concurrent
        self.deadline_s_max = deadline_s_max
        self.clients = frozenset(name.encode() for name in clients)
        self.in_flight = 0
        self._guarded: dict[str, Handler] = {}
        _IN_FLIGHT.set_function(lambda: self.in_flight)

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        """The guarded handler. It runs in this same task, so it sees the trace context that is set here."""
        method = handler_call_details.method
        handler = self._guarded.get(method)
        if handler is None:
            found = await continuation(handler_call_details)
            if found is None or method.startswith(_EXEMPT):
                return found
            handler = self._guarded[method] = self._guard(method.lstrip("/"), found)
        header = None
        for key, value in handler_call_details.invocation_metadata or ():
            if key == trace.HEADER and isinstance(value, str):
                header = value
        trace.set_current(trace.incoming(header))
        return handler

    def _guard(self, method: str, handler: Any) -> Handler:
        codecs = handler.request_deserializer, handler.response_serializer
        if handler.unary_unary:
            return grpc.unary_unary_rpc_method_handler(self._answering(method, handler.unary_unary), *codecs)
        if handler.stream_unary:
            return grpc.stream_unary_rpc_method_handler(
                self._answering(method, handler.stream_unary, STREAM_DEADLINE_S_MAX), *codecs
            )
        if handler.unary_stream:
            return grpc.unary_stream_rpc_method_handler(
                self._streaming(method, handler.unary_stream), *codecs
            )
        return grpc.stream_stream_rpc_method_handler(self._streaming(method, handler.stream_stream), *codecs)

    def _answering(self, method: str, handle: Any, deadline_s_max: float = 0.0) -> Any:
        allowed_s = deadline_s_max or self.deadline_s_max

        async def answer(request: Any, context: Context) -> Any:
            async with _Call(self, method, context, allowed_s):
                return await handle(request, context)

        return answer

    def _streaming(self, method: str, handle: Any) -> Any:
        if not inspect.isasyncgenfunction(handle):
            return self._answering(method, handle, STREAM_DEADLINE_S_MAX)

        async def stream(request: Any, context: Context) -> AsyncIterator[Any]:
            async with _Call(self, method, context, STREAM_DEADLINE_S_MAX):
                async for reply in handle(request, context):
                    yield reply

        return stream


class _Call:
    """One call: admitted on entry; on exit its failure is mapped to a status, once, and its cost is noted."""

    __slots__ = ("_allowed_s", "_arrival", "_context", "_guard", "_method", "_span", "_timeout")

    def __init__(self, guard: CallGuard, method: str, context: Context, allowed_s: float) -> None:
        self._guard = guard
        self._method = method
        self._context = context
        self._allowed_s = allowed_s
        self._arrival = time.perf_counter()
        self._timeout: asyncio.Timeout | None = None
        self._span: trace.span | None = None

    async def __aenter__(self) -> None:
        guard = self._guard
        if guard.in_flight >= guard.max_concurrent:
            await self._finish(
                ResourceExhausted(
                    "OVERLOADED",
                    f"the server works on {guard.max_concurrent} calls already",
                    metadata={"cause": "SERVER_OVERLOADED"},
                    retry_after_s=OVERLOAD_RETRY_AFTER_S,
                )
            )
        if guard.clients and guard.clients.isdisjoint(_names_of(self._context)):
            await self._finish(
                PermissionDenied(
                    "CLIENT_NOT_ALLOWED", "the names in your certificate are none of those that may call"
                )
            )
        guard.in_flight += 1
        left_s: float | None = self._context.time_remaining()
        if left_s is None or left_s > self._allowed_s:
            # gRPC cancels a handler at its caller's deadline; only what goes beyond ours is left to do.
            left_s = self._allowed_s
            self._timeout = asyncio.timeout(left_s)
            await self._timeout.__aenter__()
        deadline.begin(left_s)
        if trace.is_sampled(trace.current_traceparent()):
            self._span = trace.span(
                self._method, "server", attributes={"rpc.system.name": "grpc", "rpc.method": self._method}
            )
            self._span.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._guard.in_flight -= 1
        if self._span is not None:
            self._span.__exit__(kind, error, traceback)
        if self._timeout is not None:
            try:
                await self._timeout.__aexit__(kind, error, traceback)
            except TimeoutError:
                error = DeadlineExceeded(
                    "DEADLINE_EXCEEDED", f"the server allows this call {self._allowed_s:g} s"
                )
        await self._finish(error)

    async def _finish(self, error: BaseException | None) -> None:
        if error is None:
            self._note("OK")
        elif isinstance(error, DomainError):
            await self._abort(error)
        elif isinstance(error, AbortError):
            self._note(self._context.code().name)
        elif isinstance(error, Exception):
            _logger.error("call failed", method=self._method, exc_info=error)
            await self._abort(Internal("INTERNAL", "the server failed to answer; its log says why"))
        else:
            self._note("CANCELLED" if self._context.time_remaining() else "DEADLINE_EXCEEDED")

    async def _abort(self, error: DomainError) -> None:
        self._note(error.code)
        status = status_of(error)
        await self._context.abort(_CODES[error.code], status.message, tuple(trailing_metadata(status)))

    def _note(self, code: str) -> None:
        _HANDLED[self._method, code].inc()
        _SECONDS[self._method].observe(time.perf_counter() - self._arrival)


def _names_of(context: Context) -> Iterable[bytes]:
    """The subject alternative names of the caller's certificate, which gRPC has accepted."""
    names: Iterable[bytes] = context.auth_context().get("x509_subject_alternative_name", ())
    return names
