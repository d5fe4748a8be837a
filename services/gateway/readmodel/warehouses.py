"""Which warehouse serves which country, from the compacted topic; small enough to be held whole."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sampan.warehouse.v1 import events_pb2

from services.chassis.envelope import Event
from services.gateway.readmodel.snapshots import snapshot_of


@dataclass(frozen=True, slots=True)
class Place:
    """What availability needs to know of a warehouse. `transit` has (least, most) days by country."""

    version: int
    disabled: bool
    transit: Mapping[str, tuple[int, int]]


class Warehouses:
    """Numbers every warehouse it hears of, so that availability can name it by one small integer."""

    def __init__(self) -> None:
        self._number_of: dict[tuple[str, str], int] = {}
        self.ids: list[str] = []
        self.places: list[Place | None] = []

    def number(self, tenant_id: str, warehouse_id: str) -> int:
        """The warehouse's number, the same as long as the process lives."""
        key = (tenant_id, warehouse_id)
        found = self._number_of.get(key)
        if found is None:
            found = self._number_of[key] = len(self.ids)
            self.ids.append(warehouse_id)
            self.places.append(None)
        return found

    def apply(self, events: Sequence[Event]) -> None:
        """Takes snapshots from the topic."""
        for event in events:
            tenant_id, _, warehouse_id = event.key.partition("/")
            number = self.number(tenant_id, warehouse_id)
            if not event.payload:
                self.places[number] = None
                continue
            snapshot = snapshot_of(event, events_pb2.WarehouseSnapshot, _key_of)
            if snapshot is None:
                continue
            warehouse = snapshot.warehouse
            held = self.places[number]
            if held is None or held.version <= warehouse.version:
                self.places[number] = Place(
                    warehouse.version,
                    warehouse.disabled,
                    {
                        country.region_code: (country.transit_days_min, country.transit_days_max)
                        for country in warehouse.served_countries
                    },
                )


def _key_of(snapshot: events_pb2.WarehouseSnapshot) -> str:
    return f"{snapshot.tenant_id}/{snapshot.warehouse.warehouse_id}"
