"""Domain errors on the wire: google.rpc.Status with exactly one ErrorInfo, and a RetryInfo where known.

In a failed call the status travels in the trailing metadata `grpc-status-details-bin`; in a batch reply each
item carries its own:

    for slot, outcome in zip(reply.results, outcomes):          # outcomes: list[Order | DomainError]
        if isinstance(outcome, DomainError):
            slot.error.CopyFrom(status_of(outcome))
    ...
    error = error_of(slot.error)                                # on the other side
"""

from google.protobuf.duration_pb2 import Duration
from google.rpc import code_pb2
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc.aio import AioRpcError, Metadata

from services.chassis.errors import DomainError, Internal, Unavailable, classes_by_code

DETAILS_KEY = "grpc-status-details-bin"
MESSAGE_CHARS_MAX = 1_000
METADATA_VALUE_CHARS_MAX = 500
METADATA_ENTRIES_MAX = 16

_CLASSES = classes_by_code() | {"CANCELLED": Unavailable}
_own_domain = "sampan"


def set_own_domain(service: str) -> None:
    """Names the service of this process in errors that do not name one: "orders" -> sampan.orders."""
    global _own_domain
    _own_domain = f"sampan.{service}"


def status_of(error: DomainError) -> Status:
    """The wire form of a domain error; long texts are cut, since metadata is bounded."""
    status = Status(code=code_pb2.Code.Value(error.code), message=error.message[:MESSAGE_CHARS_MAX])
    metadata = list(error.metadata.items())[:METADATA_ENTRIES_MAX]
    info = ErrorInfo(
        reason=error.reason,
        domain=error.domain or _own_domain,
        metadata={key: value[:METADATA_VALUE_CHARS_MAX] for key, value in metadata},
    )
    status.details.add().Pack(info)
    if error.retry_after_s is not None:
        delay = Duration()
        delay.FromNanoseconds(int(error.retry_after_s * 1e9))
        status.details.add().Pack(RetryInfo(retry_delay=delay))
    return status


def error_of(failure: AioRpcError | Status) -> DomainError:
    """The domain error that a failed call or an item of a batch reply stands for.

    A failure without details was made by gRPC itself (no connection, deadline, overload): its reason is the
    code's name and its domain "grpc". INTERNAL from gRPC is a connection that broke: `Unavailable`.
    """
    status = _status_in(failure) if isinstance(failure, AioRpcError) else failure
    info, retry = ErrorInfo(), RetryInfo()
    for detail in status.details:
        if not detail.Unpack(info):
            detail.Unpack(retry)
    code = code_pb2.Code.Name(status.code) if status.code in code_pb2.Code.values() else "UNKNOWN"
    if code == "INTERNAL" and not info.reason:
        code = "UNAVAILABLE"
    return _CLASSES.get(code, Internal)(
        info.reason or code,
        status.message or code,
        metadata=dict(info.metadata),
        retry_after_s=retry.retry_delay.ToNanoseconds() / 1e9 if retry.HasField("retry_delay") else None,
        domain=info.domain or "grpc",
    )


def trailing_metadata(status: Status) -> Metadata:
    """The metadata to abort a call with."""
    return Metadata((DETAILS_KEY, status.SerializeToString()))


def _status_in(call_error: AioRpcError) -> Status:
    details = call_error.trailing_metadata().get(DETAILS_KEY)
    if isinstance(details, bytes):
        return Status.FromString(details)
    return Status(code=call_error.code().value[0], message=call_error.details() or "")
