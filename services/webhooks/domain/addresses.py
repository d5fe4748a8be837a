"""Where webhooks may send to: the guard against requests that are forged to reach our own side of the network (SSRF).

A name says little: it may lead anywhere, and elsewhere a moment later. So the form of a URL is checked when it is
stated, and each address that a name leads to when a connection to it is about to be opened (`clients`).
"""

import re
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

from services.chassis.errors import FieldRequired
from services.webhooks.errors import UrlRefused

URL_CHARS_MAX = 2_048
IPAddress = IPv4Address | IPv6Address

_GLOBAL_UNICAST = ip_network("2000::/3")
_NAT64 = ip_network("64:ff9b::/96")
_COMPATIBLE = ip_network("::/96")
_ASSIGNED = tuple(map(ip_network, ("192.0.0.0/24", "2001::/23", "3fff::/20")))
"""Protocols' own, Teredo and a cloud's metadata among them, and documentation: which of these are global, Pythons of
different age tell differently."""
_SPECIAL = frozenset({IPv4Address("168.63.129.16")})
"""Public by their number, and yet a cloud's own inside: Azure's wire server."""
_printable = re.compile(r"[!-~]+").fullmatch
_host = re.compile(r"[A-Za-z0-9._-]{1,253}").fullmatch


def is_public(address: IPAddress) -> bool:
    """Whether an address is somebody's out on the internet, and not ours, a neighbour's, or everybody's.

    False for loopback, private, link-local (where clouds keep metadata), shared, multicast, reserved and documentation
    addresses, and for IPv6 addresses that lead to such an IPv4 address in some disguise.
    """
    if isinstance(address, IPv4Address):
        return address.is_global and not address.is_multicast and not _is_special(address)
    embedded = _embedded(address)
    if embedded is not None:
        return is_public(embedded)
    return address in _GLOBAL_UNICAST and address.is_global and not _is_special(address)


def _is_special(address: IPAddress) -> bool:
    return address in _SPECIAL or any(address in network for network in _ASSIGNED)


def _embedded(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 one stands for: mapped, compatible, 6to4 or NAT64."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    for network in (_NAT64, _COMPATIBLE):
        assert isinstance(network, IPv6Network)
        if address in network:
            return IPv4Address(int(address) & 0xFFFF_FFFF)
    return None


def literal(host: str) -> IPAddress | None:
    """The address that a host states itself; None for a name."""
    try:
        return ip_address(host.partition("%")[0])
    except ValueError:
        return None


def checked_url(url: str, *, insecure: bool) -> str:
    """The URL, where its form allows a delivery; raises FieldRequired or UrlRefused.

    `insecure` allows http and addresses that are not public, for development.
    """
    if not url:
        raise FieldRequired("url")
    if len(url) > URL_CHARS_MAX or _printable(url) is None:
        raise UrlRefused(f"at most {URL_CHARS_MAX} printable ASCII characters without spaces")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise UrlRefused("an absolute URL") from None
    if parts.scheme not in (("https", "http") if insecure else ("https",)):
        raise UrlRefused("an https URL")
    if not host or "@" in parts.netloc or "#" in url:
        raise UrlRefused("a URL with a host, without a user and without a fragment")
    address = literal(host)
    if address is None and _host(host) is None:
        raise UrlRefused("a URL whose host is a name or an address")
    if address is not None and not insecure and not is_public(address):
        raise UrlRefused("at a public address")
    return url
