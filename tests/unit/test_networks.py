"""Addresses, networks, and whom a trusted proxy speaks for."""

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastgate.gateway.peers import MOST_HOPS, forwarded_address, parse_address
from fastgate.wire.networks import Networks, address_number, address_text, network_bounds

PROXIES = Networks(["10.0.0.0/8", "2001:db8:f::/48"])


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1:65535", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:DB8::1]:443", "2001:db8::1"),
        ("[fe80::1%3]:443", "fe80::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("[::ffff:192.0.2.1]:1", "192.0.2.1"),
        ("", None), ("unknown", None), ("_hidden", None), ("192.0.2.256", None), ("192.0.2.01", None),
        ("192.0.2.1:", None), ("192.0.2.1:x", None), ("192.0.2.1:123456", None), ("[192.0.2.1", None),
        ("[2001:db8::1]x", None),
        ("2001:db8::1]", None), ("[2001:db8::1%a]%b]:1", None), ("192.0.2.1 192.0.2.2", None), ('"192.0.2.1"', None),
        ("192.0.2.1/32", None), ("1" * 5000, None), ("\u0661.0.0.1", None),
    ],
)  # fmt: skip
def test_how_an_address_may_be_written(text: str, address: str | None) -> None:
    number = parse_address(text)
    assert (None if number is None else address_text(number)) == address


@pytest.mark.parametrize(
    ("values", "address"),
    [
        (["192.0.2.1"], "192.0.2.1"),
        (["198.51.100.9, 192.0.2.1"], "192.0.2.1"),
        (["192.0.2.1, 10.1.1.1, 10.2.2.2"], "192.0.2.1"),
        (["192.0.2.1", "10.1.1.1"], "192.0.2.1"),
        (["192.0.2.1", "198.51.100.9"], "198.51.100.9"),
        (["192.0.2.1,2001:db8:f::1"], "192.0.2.1"),
        (["10.3.3.3, ::ffff:10.2.2.2"], "10.3.3.3"),
        (["10.3.3.3"], "10.3.3.3"),
        (["nonsense, 192.0.2.1"], "192.0.2.1"),
        (["192.0.2.1, nonsense"], None),
        (["192.0.2.1, nonsense, 10.1.1.1"], None),
        (["192.0.2.1,"], None),
        ([""], None),
        ([], None),
        ([", ".join(["192.0.2.1"] + ["10.1.1.1"] * MOST_HOPS)], "192.0.2.1"),
        ([", ".join(["192.0.2.1"] + ["10.1.1.1"] * (MOST_HOPS + 1))], None),
    ],
)
def test_whom_proxies_speak_for(values: list[str], address: str | None) -> None:
    number = forwarded_address(values, PROXIES)
    assert (None if number is None else address_text(number)) == address


@given(st.lists(st.text(max_size=40), max_size=4), st.integers(0, 2**32 - 1))
def test_what_a_client_claims_changes_nothing(claims: list[str], client: int) -> None:
    address = str(IPv4Address(client))
    believed = forwarded_address([*claims, address], PROXIES)
    if address_number(address) not in PROXIES:
        assert believed == address_number(address)


@given(st.integers(0, 2**32 - 1), st.integers(0, 32))
def test_both_spellings_of_ipv4_are_one(number: int, length: int) -> None:
    address = IPv4Address(number)
    assert address_number(str(address)) == address_number(f"::ffff:{address}")
    assert address_text(address_number(str(address))) == str(address)
    first = IPv4Address(number >> (32 - length) << (32 - length))
    assert network_bounds(f"{first}/{length}") == network_bounds(f"::ffff:{first}/{96 + length}")
    assert address_number(str(address)) in Networks([f"{first}/{length}"])


@given(st.integers(0, 2**128 - 1))
def test_addresses_come_back_as_they_went(number: int) -> None:
    assert address_number(address_text(number)) == number == address_number(str(IPv6Address(number)))
