"""Warehouses, the countries they serve, and a tenant's ways to a destination in the order of preference."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class WarehouseKind(StrEnum):
    """What kind of place it is."""

    OVERSEAS = "OVERSEAS"
    ORIGIN = "ORIGIN"


@dataclass(frozen=True, slots=True)
class ServedCountry:
    """A country that a warehouse ships to; the cost of one parcel in minor units."""

    region_code: str
    transit_days_min: int
    transit_days_max: int
    cost_minor: int
    currency_code: str


@dataclass(frozen=True, slots=True)
class WarehouseContent:
    """What an operator states about a warehouse."""

    warehouse_id: str
    display_name: str
    region_code: str
    cell: str
    kind: WarehouseKind
    served_countries: tuple[ServedCountry, ...]
    priority: int
    ships_hazards: bool
    disabled: bool


@dataclass(frozen=True, slots=True)
class Warehouse:
    """A stored warehouse. `version` counts its changes from 1."""

    tenant_id: str
    content: WarehouseContent
    version: int
    create_time: datetime
    update_time: datetime

    @property
    def etag(self) -> str:
        """To be sent back with an update."""
        return f"v{self.version}"


@dataclass(frozen=True, slots=True)
class Route:
    """The way from a warehouse to one destination."""

    warehouse_id: str
    in_country: bool
    transit_days_min: int
    transit_days_max: int
    cost_minor: int
    priority: int
    ships_hazards: bool

    def rank(self) -> tuple[bool, int, int, int, int, str]:
        """The lower the better: in-country, transit days, cost, priority; the id makes it a total order."""
        return (
            not self.in_country,
            self.transit_days_max,
            self.transit_days_min,
            self.cost_minor,
            self.priority,
            self.warehouse_id,
        )


class Network:
    """All warehouses of a tenant, seen from a destination."""

    def __init__(self, warehouses: Iterable[WarehouseContent]) -> None:
        self._warehouses = tuple(warehouses)
        self._routes: dict[str, Sequence[Route]] = {}

    def routes_to(self, region_code: str) -> Sequence[Route]:
        """The ways from enabled warehouses that serve the country, best first."""
        routes = self._routes.get(region_code)
        if routes is None:
            routes = self._routes[region_code] = sorted(self._find(region_code), key=Route.rank)
        return routes

    def enabled_ids(self) -> list[str]:
        """The warehouses that can be sourced from at all."""
        return [warehouse.warehouse_id for warehouse in self._warehouses if not warehouse.disabled]

    def _find(self, region_code: str) -> list[Route]:
        return [
            Route(
                warehouse.warehouse_id,
                warehouse.region_code == region_code,
                served.transit_days_min,
                served.transit_days_max,
                served.cost_minor,
                warehouse.priority,
                warehouse.ships_hazards,
            )
            for warehouse in self._warehouses
            if not warehouse.disabled
            for served in warehouse.served_countries
            if served.region_code == region_code
        ]
