"""Where a request comes from: the peer's address, or what proxies that are trusted say that they saw.

What a client writes into such a header stands left of what the proxies add. So the entries are read from the right, and
the first that is no proxy of ours is the client.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Literal

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
ProxyHeader = Literal["x-forwarded-for", "forwarded"]

HOPS_MAX = 16
"""Entries that are looked at; a client may write as many as fit into a request's head."""
NETWORKS_MAX = 100
_SITE_BITS = 64


def networks_of(text: str) -> tuple[Network, ...]:
    """The networks and addresses of a list with commas; raises ValueError for anything else."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if len(parts) > NETWORKS_MAX:
        raise ValueError(f"at most {NETWORKS_MAX} networks")
    return tuple(ip_network(part) for part in parts)


class ClientAddresses:
    """Finds the address that a request is counted under: of IPv6 the /64, which is what one client has at least."""

    def __init__(self, trusted: Sequence[Network] = (), header: ProxyHeader = "x-forwarded-for") -> None:
        self._trusted = tuple(trusted)
        self._header = header.encode()
        self._entry = _forwarded_for if header == "forwarded" else _address_in
        self._cached = lru_cache(maxsize=4096)(_address_in)

    def of(self, peer: str, headers: Mapping[bytes, bytes]) -> str:
        """The address by its text; empty where not even the peer has one."""
        address = self._cached(peer)
        if self._trusted and self._trusts(address) and (value := headers.get(self._header)) is not None:
            for entry in reversed(value.decode("latin-1").rsplit(",", HOPS_MAX)):
                seen = self._entry(entry)
                if seen is None:
                    # What a proxy does not tell is counted as its own.
                    break
                address = seen
                if not self._trusts(seen):
                    break
        return "" if address is None else _site(address)

    def _trusts(self, address: Address | None) -> bool:
        return address is not None and any(address in network for network in self._trusted)


def _address_in(text: str) -> Address | None:
    """The address of `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[2001:db8::1]:4711`; None of anything else."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        # A socket that takes both kinds tells IPv4 so.
        return address.ipv4_mapped
    return address


def _forwarded_for(element: str) -> Address | None:
    """The address of `for=` in an element of RFC 7239's header; None where it is unknown or hidden."""
    for pair in element.split(";"):
        name, _, value = pair.partition("=")
        if name.strip().lower() == "for":
            return _address_in(value.strip().strip('"'))
    return None


def _site(address: Address) -> str:
    if isinstance(address, IPv4Address):
        return str(address)
    return f"{IPv6Address(int(address) >> _SITE_BITS << _SITE_BITS)}/{_SITE_BITS}"
