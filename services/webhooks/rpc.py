"""The gRPC services of webhooks: protobuf in and out, the errors of the contract; no rules and no SQL."""

from typing import Any, TypeAlias

import grpc
from sampan.webhooks.v1 import delivery_service_pb2 as delivery_pb
from sampan.webhooks.v1 import delivery_service_pb2_grpc as delivery_grpc
from sampan.webhooks.v1 import endpoint_service_pb2 as endpoint_pb
from sampan.webhooks.v1 import endpoint_service_pb2_grpc as endpoint_grpc

from services.webhooks import wire
from services.webhooks.commands.deliveries import Deliveries
from services.webhooks.commands.endpoints import Endpoints, Issued

SERVICES = (
    endpoint_pb.DESCRIPTOR.services_by_name["EndpointService"].full_name,
    delivery_pb.DESCRIPTOR.services_by_name["DeliveryService"].full_name,
)

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class EndpointService(endpoint_grpc.EndpointServiceServicer):
    """See endpoint_service.proto."""

    def __init__(self, endpoints: Endpoints) -> None:
        self._endpoints = endpoints

    async def CreateEndpoint(
        self, request: endpoint_pb.CreateEndpointRequest, context: Context
    ) -> endpoint_pb.IssuedEndpoint:
        """Adds an endpoint."""
        issued = await self._endpoints.create(
            request.tenant_id, request.request_id, request.url, request.description, request.event_types
        )
        return _issued_message(issued)

    async def GetEndpoint(
        self, request: endpoint_pb.GetEndpointRequest, context: Context
    ) -> endpoint_pb.Endpoint:
        """Reads one endpoint."""
        return wire.endpoint_message(await self._endpoints.get(request.tenant_id, request.endpoint_id))

    async def ListEndpoints(
        self, request: endpoint_pb.ListEndpointsRequest, context: Context
    ) -> endpoint_pb.ListEndpointsResponse:
        """Reads a page of endpoints."""
        page = await self._endpoints.page(request.tenant_id, request.page_size, request.page_token)
        return endpoint_pb.ListEndpointsResponse(
            endpoints=map(wire.endpoint_message, page.endpoints), next_page_token=page.next_page_token
        )

    async def UpdateEndpoint(
        self, request: endpoint_pb.UpdateEndpointRequest, context: Context
    ) -> endpoint_pb.Endpoint:
        """Replaces what is stated about an endpoint."""
        updated = await self._endpoints.update(
            request.tenant_id, request.endpoint_id, request.url, request.description, request.event_types
        )
        return wire.endpoint_message(updated)

    async def DeleteEndpoint(
        self, request: endpoint_pb.DeleteEndpointRequest, context: Context
    ) -> endpoint_pb.Endpoint:
        """Removes an endpoint."""
        return wire.endpoint_message(await self._endpoints.delete(request.tenant_id, request.endpoint_id))

    async def RotateSecret(
        self, request: endpoint_pb.RotateSecretRequest, context: Context
    ) -> endpoint_pb.IssuedEndpoint:
        """Gives an endpoint another secret."""
        issued = await self._endpoints.rotate(
            request.tenant_id, request.endpoint_id, request.request_id, wire.grace_period(request)
        )
        return _issued_message(issued)

    async def EnableEndpoint(
        self, request: endpoint_pb.EnableEndpointRequest, context: Context
    ) -> endpoint_pb.Endpoint:
        """Goes on telling an endpoint."""
        return wire.endpoint_message(await self._endpoints.enable(request.tenant_id, request.endpoint_id))

    async def DisableEndpoint(
        self, request: endpoint_pb.DisableEndpointRequest, context: Context
    ) -> endpoint_pb.Endpoint:
        """Tells an endpoint nothing more."""
        return wire.endpoint_message(await self._endpoints.disable(request.tenant_id, request.endpoint_id))


class DeliveryService(delivery_grpc.DeliveryServiceServicer):
    """See delivery_service.proto."""

    def __init__(self, deliveries: Deliveries) -> None:
        self._deliveries = deliveries

    async def SendTestEvent(
        self, request: delivery_pb.SendTestEventRequest, context: Context
    ) -> delivery_pb.Delivery:
        """Makes a delivery that tells nothing."""
        return wire.delivery_message(await self._deliveries.test(request.tenant_id, request.endpoint_id))

    async def GetDelivery(
        self, request: delivery_pb.GetDeliveryRequest, context: Context
    ) -> delivery_pb.Delivery:
        """Reads one delivery."""
        found = await self._deliveries.get(request.tenant_id, request.delivery_id)
        return wire.delivery_message(found)

    async def ListDeliveries(
        self, request: delivery_pb.ListDeliveriesRequest, context: Context
    ) -> delivery_pb.ListDeliveriesResponse:
        """Reads a page of deliveries."""
        page = await self._deliveries.page(
            request.tenant_id, request.endpoint_id, request.state, request.page_size, request.page_token
        )
        return delivery_pb.ListDeliveriesResponse(
            deliveries=map(wire.delivery_message, page.deliveries), next_page_token=page.next_page_token
        )

    async def Redeliver(
        self, request: delivery_pb.RedeliverRequest, context: Context
    ) -> delivery_pb.Delivery:
        """Sends a delivery again."""
        again = await self._deliveries.redeliver(request.tenant_id, request.delivery_id)
        return wire.delivery_message(again)


def _issued_message(issued: Issued) -> endpoint_pb.IssuedEndpoint:
    return endpoint_pb.IssuedEndpoint(
        endpoint=wire.endpoint_message(issued.endpoint), secret=issued.secret, replayed=issued.replayed
    )
