"""Whose a request is: the peer's, or whom trusted proxies saw, whatever the client writes itself."""

from __future__ import annotations

from ipaddress import IPv4Address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.client_addresses import HOPS_MAX, ClientAddresses, ProxyHeader, networks_of

PROXIES = networks_of("10.0.0.0/8, 192.168.7.1, fd00::/8")


def client(peer: str, value: str | None = None, header: ProxyHeader = "x-forwarded-for") -> str:
    """The client behind the proxies."""
    headers = {} if value is None else {header.encode(): value.encode()}
    return ClientAddresses(PROXIES, header).of(peer, headers)


def test_without_trusted_proxies_the_peer_is_the_client_whatever_it_says() -> None:
    headers = {b"x-forwarded-for": b"1.2.3.4", b"forwarded": b"for=1.2.3.4"}
    assert ClientAddresses().of("203.0.113.9", headers) == "203.0.113.9"


@pytest.mark.parametrize(
    ("peer", "value", "expected"),
    [
        ("203.0.113.9", "1.2.3.4", "203.0.113.9"),
        ("10.0.0.1", None, "10.0.0.1"),
        ("10.0.0.1", "1.2.3.4", "1.2.3.4"),
        ("10.0.0.1", "9.9.9.9, 1.2.3.4", "1.2.3.4"),
        ("10.0.0.1", "9.9.9.9, 1.2.3.4, 192.168.7.1,10.3.2.1", "1.2.3.4"),
        ("10.0.0.1", "10.0.0.5, 10.0.0.4", "10.0.0.5"),
        ("10.0.0.1", "1.2.3.4:4711", "1.2.3.4"),
        ("10.0.0.1", "[2001:db8:1:2:3::4]:4711", "2001:db8:1:2::/64"),
        ("10.0.0.1", "2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("fd00::1", "1.2.3.4", "1.2.3.4"),
        ("::ffff:10.0.0.1", "::ffff:1.2.3.4", "1.2.3.4"),
        # What is no address hides what is left of it.
        ("10.0.0.1", "1.2.3.4, unknown", "10.0.0.1"),
        ("10.0.0.1", "1.2.3.4, unknown, 10.0.0.2", "10.0.0.2"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "1.2.3.4, ", "10.0.0.1"),
        ("", "1.2.3.4", ""),
        ("fe80::1%eth0", None, "fe80::/64"),
    ],
)
def test_the_right_most_address_that_is_no_proxys_is_the_client(
    peer: str, value: str | None, expected: str
) -> None:
    assert client(peer, value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("for=1.2.3.4", "1.2.3.4"),
        ('by=10.0.0.9;For="1.2.3.4:80";proto=https, for=10.0.0.2', "1.2.3.4"),
        ('for=9.9.9.9, for="[2001:db8:1:2::9]:80"', "2001:db8:1:2::/64"),
        ("for=1.2.3.4, for=_hidden", "10.0.0.1"),
        ("for=1.2.3.4, for=unknown", "10.0.0.1"),
        ("for=1.2.3.4, proto=https", "10.0.0.1"),
    ],
)
def test_the_header_of_rfc_7239_is_read_in_the_same_way(value: str, expected: str) -> None:
    assert client("10.0.0.1", value, "forwarded") == expected


def test_only_the_header_that_the_proxies_write_is_read() -> None:
    headers = {b"forwarded": b"for=9.9.9.9", b"x-forwarded-for": b"1.2.3.4"}
    assert ClientAddresses(PROXIES).of("10.0.0.1", headers) == "1.2.3.4"
    assert ClientAddresses(PROXIES, "forwarded").of("10.0.0.1", headers) == "9.9.9.9"


def test_of_what_a_client_writes_only_so_much_is_read() -> None:
    proxies = ", 10.0.0.2" * (HOPS_MAX - 1)
    assert client("10.0.0.1", f"8.8.8.8, 1.2.3.4{proxies}") == "1.2.3.4"
    assert client("10.0.0.1", f"8.8.8.8, 1.2.3.4, 10.0.0.3{proxies}") == "10.0.0.3"


@given(
    forged=st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"), max_size=200),
    address=st.ip_addresses(v=4).filter(lambda one: one not in ip_network("10.0.0.0/8")),
    between=st.lists(st.ip_addresses(network="10.0.0.0/8"), max_size=3),
)
def test_a_client_cannot_pass_for_another(
    forged: str, address: IPv4Address, between: list[IPv4Address]
) -> None:
    value = ", ".join((forged, str(address), *map(str, between)))
    headers = {b"x-forwarded-for": value.encode("latin-1")}
    proxied = ClientAddresses(networks_of("10.0.0.0/8"))
    assert proxied.of("10.0.0.1", headers) == str(address)


@pytest.mark.parametrize("text", ["10.0.0.0/33", "10.0.0.1/8", "proxy.example", "10.0.0.0/8 10.1.0.0/16"])
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"10\.|proxy"):
        networks_of(text)
