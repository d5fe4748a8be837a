"""The error tree. A service's own errors derive from these; only the outermost layer turns them into a reply.
The causes that are the same everywhere are here too.

DomainError
├── InvalidArgument      the request is wrong whatever the state: do not repeat it
│   ├── FieldRequired, FieldInvalid, TooManyItems, RegionUnknown
│   └── EventMalformed   never answered: it marks an event as poison
├── Unauthenticated      no credential, or one that is not known
├── PermissionDenied     a known caller without the right to do this
├── NotFound             no such thing, or one of another tenant
├── AlreadyExists        the identity is taken
├── FailedPrecondition   the state forbids it: do not repeat it before the state has changed
│   └── RequestIdReused
├── Aborted              lost a race or held a stale etag: read again, then repeat
├── OutOfRange           past the end of what exists
├── ResourceExhausted    a bound is reached: repeat later            (may carry retry_after_s)
├── Unavailable          a dependency is down: repeat later          (may carry retry_after_s)
├── DeadlineExceeded     the time was up: the outcome is unknown
├── Unimplemented        the server does not know the call
└── Internal             a fault of ours; its cause is in the log, never in the reply
"""

from collections.abc import Mapping
from typing import ClassVar


class DomainError(Exception):
    """An expected refusal: a stable `reason` for machines, a `message` for people, `metadata` for details.

    `code` is the name of a gRPC status. `field` is the path of the faulty value in the request, such as
    "lines[3].quantity"; it travels as metadata["field"]. `domain` names the service that refused, such as
    "sampan.warehouse"; empty means the service at hand.
    """

    code: ClassVar[str] = "INTERNAL"
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        reason: str,
        message: str,
        *,
        metadata: Mapping[str, str] | None = None,
        field: str | None = None,
        retry_after_s: float | None = None,
        domain: str = "",
    ) -> None:
        super().__init__(reason, message)
        self.reason = reason
        self.message = message
        self.metadata: dict[str, str] = dict(metadata or {})
        if field is not None:
            self.metadata["field"] = field
        self.retry_after_s = retry_after_s
        self.domain = domain

    @property
    def field(self) -> str | None:
        """The path of the faulty value in the request, if the fault has a place."""
        return self.metadata.get("field")

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}"


class InvalidArgument(DomainError):
    """The request is wrong whatever the state."""

    code = "INVALID_ARGUMENT"


class Unauthenticated(DomainError):
    """The caller gave no credential, or one that is not known."""

    code = "UNAUTHENTICATED"


class PermissionDenied(DomainError):
    """The caller is known and may not do this."""

    code = "PERMISSION_DENIED"


class NotFound(DomainError):
    """There is no such thing for this tenant."""

    code = "NOT_FOUND"


class AlreadyExists(DomainError):
    """The identity is taken by something else."""

    code = "ALREADY_EXISTS"


class FailedPrecondition(DomainError):
    """The state of the thing forbids it."""

    code = "FAILED_PRECONDITION"


class Aborted(DomainError):
    """Somebody else was first; the caller should read again and decide anew."""

    code = "ABORTED"


class OutOfRange(DomainError):
    """The request goes past the end of what exists."""

    code = "OUT_OF_RANGE"


class ResourceExhausted(DomainError):
    """A bound of ours or a quota of the caller's is reached."""

    code = "RESOURCE_EXHAUSTED"
    retryable = True


class Unavailable(DomainError):
    """Something that we depend on does not answer."""

    code = "UNAVAILABLE"
    retryable = True


class DeadlineExceeded(DomainError):
    """The time was up before the outcome was known."""

    code = "DEADLINE_EXCEEDED"


class Unimplemented(DomainError):
    """The server does not know the call."""

    code = "UNIMPLEMENTED"


class Internal(DomainError):
    """A fault of ours."""

    code = "INTERNAL"


class FieldRequired(InvalidArgument):
    """A required field is missing or empty."""

    def __init__(self, field: str) -> None:
        super().__init__("FIELD_REQUIRED", f"{field} is required", field=field)


class FieldInvalid(InvalidArgument):
    """A field has the wrong form, range or length; `rule` says what it must be."""

    def __init__(self, field: str, rule: str) -> None:
        super().__init__("FIELD_INVALID", f"{field} must be {rule}", field=field)


class TooManyItems(InvalidArgument):
    """More items than the request may hold."""

    def __init__(self, field: str, items_max: int) -> None:
        super().__init__(
            "TOO_MANY_ITEMS",
            f"{field} holds at most {items_max:,} items",
            field=field,
            metadata={"items_max": str(items_max)},
        )


class RegionUnknown(InvalidArgument):
    """Not an ISO 3166-1 country."""

    def __init__(self, field: str) -> None:
        super().__init__(
            "REGION_UNKNOWN", f"{field} must be the code of an ISO 3166-1 alpha-2 country", field=field
        )


class EventMalformed(InvalidArgument):
    """An event whose content cannot be read: it is parked."""

    def __init__(self, event_type: str, fault: str) -> None:
        super().__init__("EVENT_MALFORMED", f"{event_type}: {fault}")


class RequestIdReused(FailedPrecondition):
    """The request id was used with other content."""

    def __init__(self) -> None:
        super().__init__(
            "REQUEST_ID_REUSED", "the request id was used with other content", field="request_id"
        )


def classes_by_code() -> dict[str, type[DomainError]]:
    """The class of this module for each status name."""
    return {kind.code: kind for kind in DomainError.__subclasses__() if kind.__module__ == __name__}
