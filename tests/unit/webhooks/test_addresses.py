"""Where nothing is ever sent: by the address that a connection would be opened to, and by the form of a URL."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.errors import FieldRequired
from services.webhooks.domain.addresses import checked_url, is_public
from services.webhooks.errors import UrlRefused

OURS = {
    "this host": "0.0.0.0/8",
    "private A": "10.0.0.0/8",
    "shared, also Alibaba's metadata": "100.64.0.0/10",
    "loopback": "127.0.0.0/8",
    "link-local, also metadata": "169.254.0.0/16",
    "private B": "172.16.0.0/12",
    "protocol assignments, also Oracle's metadata": "192.0.0.0/24",
    "documentation": "192.0.2.0/24",
    "private C": "192.168.0.0/16",
    "benchmarks": "198.18.0.0/15",
    "multicast": "224.0.0.0/4",
    "reserved and broadcast": "240.0.0.0/4",
    "unique local": "fc00::/7",
    "link-local of IPv6": "fe80::/10",
    "site-local of IPv6": "fec0::/10",
    "multicast of IPv6": "ff00::/8",
    "documentation of IPv6": "2001:db8::/32",
    "Teredo and other protocols of IPv6": "2001::/23",
    "newer documentation of IPv6": "3fff::/20",
    "discard only": "100::/64",
}
PUBLIC = ["1.1.1.1", "8.8.8.8", "93.184.215.14", "2606:4700:4700::1111", "2a00:1450:4003:80f::200e"]


@pytest.mark.parametrize("network", OURS.values(), ids=OURS)
@given(data=st.data())
def test_no_address_of_such_a_network_is_public(network: str, data: st.DataObject) -> None:
    address = data.draw(st.ip_addresses(network=ip_network(network)))
    assert not is_public(address)


@given(address=st.ip_addresses(v=4))
def test_an_ipv4_address_in_the_disguise_of_ipv6_is_judged_as_itself(address: IPv4Address) -> None:
    number = int(address)
    for disguised in (
        IPv6Address(0xFFFF << 32 | number),
        IPv6Address(int(IPv6Address("64:ff9b::")) | number),
        IPv6Address(0x2002 << 112 | number << 80 | 1),
    ):
        assert is_public(disguised) == is_public(address)


@given(address=st.ip_addresses(v=6))
def test_of_ipv6_only_global_unicast_is_public(address: IPv6Address) -> None:
    if address.ipv4_mapped is not None or address.sixtofour is not None:
        return
    if is_public(address) and not any(address in ip_network(one) for one in ("64:ff9b::/96", "::/96")):
        assert address in ip_network("2000::/3")
        assert address.is_global
        assert not address.is_multicast


@pytest.mark.parametrize("address", PUBLIC)
def test_addresses_of_others_are_public(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize("address", ["168.63.129.16", "::", "::1", "::ffff:127.0.0.1", "fd00:ec2::254"])
def test_what_clouds_and_loopback_hide_behind_is_not(address: str) -> None:
    assert not is_public(ip_address(address))


REFUSED = [
    "http://hooks.example.com/",
    "ftp://hooks.example.com/",
    "hooks.example.com",
    "https://",
    "https:///path",
    "https://user:password@hooks.example.com/",
    "https://hooks.example.com/#part",
    "https://hooks.example.com/#",
    "https://hooks.example.com:99999/",
    "https://hooks.exämple.com/",
    "https://hooks example.com/",
    "https://hooks.example.com/\r\nX-Injected: 1",
    "https://127.0.0.1/",
    "https://[::1]/",
    "https://[::ffff:10.0.0.1]/",
    "https://[fe80::1%25eth0]/",
    "https://169.254.169.254/latest/meta-data",
    "https://hooks.example.com/" + "x" * 2_048,
]


@pytest.mark.parametrize("url", REFUSED)
def test_a_url_that_nothing_may_be_sent_to_is_refused_when_it_is_stated(url: str) -> None:
    with pytest.raises(UrlRefused):
        checked_url(url, insecure=False)


@pytest.mark.parametrize(
    "url", ["https://hooks.example.com/a?b=c", "https://hooks.example.com:8443", "https://8.8.8.8/x"]
)
def test_a_public_https_url_is_taken_as_it_is(url: str) -> None:
    assert checked_url(url, insecure=False) == url


def test_development_may_use_http_and_loopback_and_nothing_stranger() -> None:
    assert checked_url("http://127.0.0.1:8000/hook", insecure=True) == "http://127.0.0.1:8000/hook"
    for url in ("file:///etc/passwd", "http://user@127.0.0.1/", "gopher://127.0.0.1/"):
        with pytest.raises(UrlRefused):
            checked_url(url, insecure=True)
    with pytest.raises(FieldRequired):
        checked_url("", insecure=True)


@given(url=st.text(max_size=60))
def test_any_text_is_a_url_that_is_taken_or_a_refusal(url: str) -> None:
    try:
        assert checked_url(url, insecure=False) == url
    except (UrlRefused, FieldRequired):
        return
    assert url.lower().startswith("https://")
