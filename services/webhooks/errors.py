"""Why webhooks refuses: one class per cause, each with the reason of `sampan.webhooks.v1.ErrorReason`.

DomainError
├── InvalidArgument      UrlRefused, EventTypeUnknown
├── NotFound             EndpointNotFound, DeliveryNotFound
└── FailedPrecondition   EndpointsAtMax, EndpointDisabled

Those that are the same everywhere come from `services.chassis.errors`.
"""

from services.chassis.errors import FailedPrecondition, InvalidArgument, NotFound


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
