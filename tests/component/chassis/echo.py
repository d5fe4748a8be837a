"""A service of one method per kind of failure, without generated stubs: text in, text out."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeAlias

import grpc
from google.protobuf.wrappers_pb2 import StringValue

from services.chassis import trace
from services.chassis.errors import NotFound
from services.chassis.rpc import deadline

SERVICE = "sampan.demo.v1.EchoService"
SECRET = "the text of a stranger's exception"

Context: TypeAlias = "grpc.aio.ServicerContext[StringValue, StringValue]"


async def echo(request: StringValue, context: Context) -> StringValue:
    return request


async def refuse(request: StringValue, context: Context) -> StringValue:
    raise NotFound("WORD_NOT_FOUND", "no such word: 三板", metadata={"word": request.value}, field="value")


async def fail(request: StringValue, context: Context) -> StringValue:
    raise RuntimeError(SECRET)


async def abort(request: StringValue, context: Context) -> StringValue:
    await context.abort(grpc.StatusCode.OUT_OF_RANGE, "by hand")


async def sleep(request: StringValue, context: Context) -> StringValue:
    await asyncio.sleep(float(request.value))
    return StringValue(value="slept")


async def tell(request: StringValue, context: Context) -> StringValue:
    left_s = deadline.remaining_s()
    assert left_s is not None
    return StringValue(value=f"{trace.current_traceparent()} {left_s:.2f}")


async def count(request: StringValue, context: Context) -> AsyncIterator[StringValue]:
    for number in range(int(request.value)):
        yield StringValue(value=str(number))
    raise NotFound("NO_MORE", "that was all")


async def join(requests: AsyncIterator[StringValue], context: Context) -> StringValue:
    return StringValue(value="".join([request.value async for request in requests]))


def add_to(server: grpc.aio.Server) -> None:
    """Registers the service, as generated code would."""
    codecs: dict[str, Any] = {
        "request_deserializer": StringValue.FromString,
        "response_serializer": StringValue.SerializeToString,
    }
    unary = {"Echo": echo, "Refuse": refuse, "Fail": fail, "Abort": abort, "Sleep": sleep, "Tell": tell}
    handlers: dict[str, Any] = {
        name: grpc.unary_unary_rpc_method_handler(method, **codecs) for name, method in unary.items()
    }
    handlers["Count"] = grpc.unary_stream_rpc_method_handler(count, **codecs)
    handlers["Join"] = grpc.stream_unary_rpc_method_handler(join, **codecs)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))


def stub(channel: grpc.aio.Channel, method: str, kind: str = "unary_unary") -> Callable[..., Any]:
    """The callable of one method, as generated code would make it."""
    make: Callable[..., Any] = getattr(channel, kind)
    call: Callable[..., Any] = make(
        f"/{SERVICE}/{method}",
        request_serializer=StringValue.SerializeToString,
        response_deserializer=StringValue.FromString,
    )
    return call
