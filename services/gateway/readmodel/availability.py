"""What can be promised of every SKU, from the compacted topic: one small tuple per SKU."""

from collections.abc import Sequence

from prometheus_client import Gauge
from sampan.warehouse.v1 import events_pb2

from services.chassis.envelope import Event
from services.gateway.readmodel.snapshots import snapshot_of
from services.gateway.readmodel.warehouses import Warehouses
from services.gateway.schemas.warehouse import Availability, WarehouseAvailability

_SKUS = Gauge("sampan_gateway_availability_skus", "SKUs whose availability is in memory.")
_SOLD_OUT = Gauge("sampan_gateway_availability_skus_sold_out", "Those of them of which no warehouse has any.")

Levels = tuple[int, ...]
"""The version, then pairs of (warehouse number, available units), only of warehouses with something."""


class AvailabilityModel:
    """By tenant and SKU."""

    def __init__(self, warehouses: Warehouses) -> None:
        self._warehouses = warehouses
        self._by_tenant: dict[str, dict[str, Levels]] = {}
        self._sold_out = 0
        _SKUS.set_function(lambda: sum(map(len, list(self._by_tenant.values()))))
        _SOLD_OUT.set_function(lambda: self._sold_out)

    def apply(self, events: Sequence[Event]) -> None:
        """Takes snapshots from the topic."""
        for event in events:
            tenant_id, _, sku = event.key.partition("/")
            of_tenant = self._by_tenant.setdefault(tenant_id, {})
            if not event.payload:
                self._sold_out -= _is_sold_out(of_tenant.pop(sku, None))
                continue
            snapshot = snapshot_of(event, events_pb2.AvailabilitySnapshot, _key_of)
            if snapshot is None:
                continue
            held = of_tenant.get(sku)
            if held is not None and held[0] > snapshot.version:
                continue
            levels = [snapshot.version]
            for level in snapshot.levels:
                if level.available > 0:
                    levels.append(self._warehouses.number(tenant_id, level.warehouse_id))
                    levels.append(level.available)
            of_tenant[sku] = tuple(levels)
            self._sold_out += _is_sold_out(of_tenant[sku]) - _is_sold_out(held)

    def looks_empty(self, tenant_id: str, sku: str, region_code: str) -> bool:
        """Whether the last snapshot of the SKU has nothing that can go to the country. False where none is known."""
        levels = self._by_tenant.get(tenant_id, {}).get(sku)
        if levels is None:
            return False
        for position in range(1, len(levels), 2):
            place = self._warehouses.places[levels[position]]
            if place is None or (not place.disabled and region_code in place.transit):
                return False
        return True

    def get(self, tenant_id: str, sku: str, region_code: str = "") -> Availability:
        """What can be promised now; with a destination only by warehouses that serve it, in the order of their ids.

        A disabled warehouse promises nothing. A SKU that nobody ever stocked has 0, as one that is sold out.
        """
        levels = self._by_tenant.get(tenant_id, {}).get(sku, (0,))
        found = []
        total = 0
        for position in range(1, len(levels), 2):
            number, available = levels[position], levels[position + 1]
            place = self._warehouses.places[number]
            days: tuple[int, int] | tuple[None, None] = (None, None)
            if place is not None and place.disabled:
                continue
            if region_code:
                served = place.transit.get(region_code) if place is not None else None
                if served is None:
                    continue
                days = served
            total += available
            found.append(WarehouseAvailability(self._warehouses.ids[number], available, *days))
        found.sort(key=lambda one: one.warehouse_id)
        return Availability(sku, total, found)


def _is_sold_out(levels: Levels | None) -> bool:
    return levels is not None and len(levels) == 1


def _key_of(snapshot: events_pb2.AvailabilitySnapshot) -> str:
    return f"{snapshot.tenant_id}/{snapshot.sku}"
