"""Protobuf <-> domain, for the RPCs. No rules."""

from datetime import timedelta

from sampan.webhooks.v1 import delivery_service_pb2 as delivery_pb
from sampan.webhooks.v1 import endpoint_service_pb2 as endpoint_pb

from services.chassis.errors import FieldInvalid
from services.chassis.rpc import times
from services.webhooks.domain.deliveries import Delivery
from services.webhooks.domain.endpoints import GRACE_MAX, Endpoint


def endpoint_message(endpoint: Endpoint) -> endpoint_pb.Endpoint:
    """An endpoint as it is told to those who keep it."""
    content = endpoint.content
    message = endpoint_pb.Endpoint(
        endpoint_id=endpoint.endpoint_id,
        url=content.url,
        description=content.description,
        event_types=content.event_types,
        state=endpoint_pb.EndpointState.ValueType(endpoint.state),
        disable_reason=endpoint_pb.DisableReason.ValueType(endpoint.disable_reason),
        version=endpoint.version,
        create_time=times.to_proto(endpoint.create_time),
        update_time=times.to_proto(endpoint.update_time),
    )
    times.write(message.failing_since_time, endpoint.failing_since)
    times.write(message.paused_until_time, endpoint.paused_until)
    for secret in endpoint.secrets:
        told = message.secrets.add(secret_id=secret.secret_id, create_time=times.to_proto(secret.create_time))
        times.write(told.expire_time, secret.expire_time)
    return message


def delivery_message(delivery: Delivery) -> delivery_pb.Delivery:
    """A delivery as it is told."""
    message = delivery_pb.Delivery(
        delivery_id=delivery.delivery_id,
        endpoint_id=delivery.endpoint_id,
        message_id=delivery.message_id,
        event_type=delivery.event_type,
        event_time=times.to_proto(delivery.event_time),
        state=delivery_pb.DeliveryState.ValueType(delivery.state),
        attempts=delivery.attempts,
        last_status=delivery.last_status,
        last_failure=delivery.last_failure,
        create_time=times.to_proto(delivery.create_time),
        body=delivery.body,
    )
    times.write(message.last_attempt_time, delivery.last_attempt_time)
    times.write(message.next_attempt_time, delivery.next_attempt_time)
    return message


def grace_period(request: endpoint_pb.RotateSecretRequest) -> timedelta | None:
    """The stated grace period; None where there is none."""
    if not request.HasField("grace_period"):
        return None
    try:
        return timedelta(
            seconds=request.grace_period.seconds, microseconds=request.grace_period.nanos // 1_000
        )
    except OverflowError:
        raise FieldInvalid("grace_period", f"0 to {GRACE_MAX.days} days") from None
