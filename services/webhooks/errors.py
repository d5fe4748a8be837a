"""Why webhooks refuses: one class per cause, each with the reason of `sampan.webhooks.v1.ErrorReason`.

DomainError
├── InvalidArgument      FieldRequired, FieldInvalid, TooManyItems, UrlRefused, EventTypeUnknown
│   └── EventMalformed   never answered: it marks an event as poison
├── NotFound             EndpointNotFound, DeliveryNotFound
└── FailedPrecondition   EndpointsAtMax, EndpointDisabled, RequestIdReused
"""

from services.chassis.errors import FailedPrecondition, InvalidArgument, NotFound


class FieldRequired(InvalidArgument):
    """A required field is missing or empty."""

    def __init__(self, field: str) -> None:
        super().__init__("FIELD_REQUIRED", f"{field} must not be empty", field=field)


class FieldInvalid(InvalidArgument):
    """A field has the wrong form, range or length; `rule` says what it must be."""

    def __init__(self, field: str, rule: str) -> None:
        super().__init__("FIELD_INVALID", f"{field} must be {rule}", field=field)


class TooManyItems(InvalidArgument):
    """More items than the request may hold."""

    def __init__(self, field: str, items_max: int) -> None:
        super().__init__(
            "TOO_MANY_ITEMS",
            f"{field} must hold at most {items_max} items",
            field=field,
            metadata={"items_max": str(items_max)},
        )


class UrlRefused(InvalidArgument):
    """Nothing is ever sent to such an address; `rule` says what it must be."""

    def __init__(self, rule: str) -> None:
        super().__init__("URL_REFUSED", f"url must be {rule}", field="url")


class EventTypeUnknown(InvalidArgument):
    """There is no such type of event."""

    def __init__(self, index: int, event_type: str) -> None:
        super().__init__(
            "EVENT_TYPE_UNKNOWN",
            "there is no such type of event",
            field=f"event_types[{index}]",
            metadata={"event_type": event_type[:100]},
        )


class EventMalformed(InvalidArgument):
    """An event whose content cannot be read: it is parked."""

    def __init__(self, event_type: str, fault: str) -> None:
        super().__init__("EVENT_MALFORMED", f"{event_type}: {fault}")


class EndpointNotFound(NotFound):
    """The tenant has no such endpoint."""

    def __init__(self, endpoint_id: str) -> None:
        super().__init__(
            "WEBHOOK_ENDPOINT_NOT_FOUND",
            "there is no such endpoint",
            metadata={"webhook_endpoint_id": endpoint_id},
        )


class DeliveryNotFound(NotFound):
    """The endpoint has no such delivery, or not any more."""

    def __init__(self, delivery_id: str) -> None:
        super().__init__(
            "DELIVERY_NOT_FOUND", "there is no such delivery", metadata={"delivery_id": delivery_id}
        )


class EndpointsAtMax(FailedPrecondition):
    """The tenant has as many endpoints as it may have."""

    def __init__(self, endpoints_max: int) -> None:
        super().__init__(
            "ENDPOINTS_AT_MAX",
            f"the tenant has {endpoints_max} endpoints: delete one first",
            metadata={"endpoints_max": str(endpoints_max)},
        )


class EndpointDisabled(FailedPrecondition):
    """Nothing is sent to the endpoint."""

    def __init__(self) -> None:
        super().__init__("ENDPOINT_DISABLED", "the endpoint is disabled: enable it first")


class RequestIdReused(FailedPrecondition):
    """The request id was used with other content."""

    def __init__(self) -> None:
        super().__init__(
            "REQUEST_ID_REUSED", "the request id was used with other content", field="request_id"
        )
