"""Country names of the Online Retail data as ISO 3166-1 alpha-2 codes, and which warehouse serves them."""

from collections.abc import Mapping
from dataclasses import dataclass

COUNTRIES: Mapping[str, str] = {
    "Australia": "AU",
    "Austria": "AT",
    "Bahrain": "BH",
    "Belgium": "BE",
    "Brazil": "BR",
    "Canada": "CA",
    "Channel Islands": "JE",
    "Cyprus": "CY",
    "Czech Republic": "CZ",
    "Denmark": "DK",
    "EIRE": "IE",
    "European Community": "BE",
    "Finland": "FI",
    "France": "FR",
    "Germany": "DE",
    "Greece": "GR",
    "Hong Kong": "HK",
    "Iceland": "IS",
    "Israel": "IL",
    "Italy": "IT",
    "Japan": "JP",
    "Lebanon": "LB",
    "Lithuania": "LT",
    "Malta": "MT",
    "Netherlands": "NL",
    "Norway": "NO",
    "Poland": "PL",
    "Portugal": "PT",
    "RSA": "ZA",
    "Saudi Arabia": "SA",
    "Singapore": "SG",
    "Spain": "ES",
    "Sweden": "SE",
    "Switzerland": "CH",
    "USA": "US",
    "United Arab Emirates": "AE",
    "United Kingdom": "GB",
    "Unspecified": "GB",
}

ASSUMED: Mapping[str, str] = {
    "Channel Islands": "Jersey stands for both bailiwicks",
    "European Community": "the seat of its institutions",
    "Unspecified": "the wholesaler's own country",
}
"""The names that are no country, and why they are sent where they are; the report counts them."""


@dataclass(frozen=True, slots=True)
class Site:
    """A warehouse that every replay opens for itself."""

    suffix: str
    display_name: str
    region_code: str
    cell: str
    kind: str
    serves: tuple[str, ...]
    transit_days: tuple[int, int]
    parcel_cost: str


_BRITAIN = ("GB", "IE", "JE")
_EUROPE = (
    *("AT", "BE", "CH", "CY", "CZ", "DE", "DK", "ES", "FI", "FR", "GR"),
    *("IS", "IT", "LT", "MT", "NL", "NO", "PL", "PT", "SE"),
)
_OVERSEAS = ("AE", "AU", "BH", "BR", "CA", "HK", "IL", "JP", "LB", "SA", "SG", "US", "ZA")

SITES: tuple[Site, ...] = (
    Site("gb", "Replay, Daventry", "GB", "UK", "overseas", _BRITAIN, (1, 3), "3.20"),
    Site("nl", "Replay, Venlo", "NL", "EU", "overseas", _EUROPE, (2, 5), "6.40"),
    Site("es", "Replay, Madrid", "ES", "EU", "overseas", _EUROPE, (3, 6), "6.90"),
    Site("cn", "Replay, Guangzhou", "CN", "CN", "origin", _OVERSEAS, (8, 30), "14.50"),
)


def region_of(country: str) -> str | None:
    """The ISO code of a country name of the data; None for a name that it does not hold."""
    return COUNTRIES.get(country)


def site_for(region_code: str, stock_code: str) -> str:
    """Which site holds a stock code for a destination.

    Every (code, destination) has exactly one site, so what was received for it cannot be taken by another
    destination and every order can be served to the last unit. Continental Europe is served by two sites
    that share the range out by code: its orders have to be split, which a replay should see as well.
    """
    if region_code in _BRITAIN:
        return "gb"
    if region_code in _OVERSEAS:
        return "cn"
    return "nl" if sum(stock_code.encode()) % 4 else "es"
