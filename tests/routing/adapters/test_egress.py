"""The one guard of outgoing connections: what is never reached, whatever form its address has."""

from __future__ import annotations

import socket

import pytest

from routing.adapters.egress import AddressNotAllowed, Guard

METADATA = [
    "169.254.169.254",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
    "100.100.100.200",
    "fd00:ec2::254",
    "fe80::1",
    "0.0.0.0",  # noqa: S104
    "::",
    "224.0.0.1",
    "255.255.255.255",
]
PRIVATE = [
    "127.0.0.1",
    "::1",
    "10.0.0.8",
    "172.16.4.4",
    "192.168.1.1",
    "fc00::1",
    "::ffff:10.0.0.8",
]


@pytest.mark.parametrize("address", METADATA)
def test_metadata_and_link_local_are_never_allowed_even_when_listed(address: str) -> None:
    guard = Guard(["0.0.0.0/0:*", "[::]/0:*"])

    assert guard.verdict(address, 80) is not None


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_are_refused_unless_listed(address: str) -> None:
    assert Guard([]).verdict(address, 8080) is not None


def test_a_listed_host_is_allowed_on_its_port_only() -> None:
    guard = Guard(["127.0.0.1:8080"])

    assert guard.verdict("127.0.0.1", 8080) is None
    assert guard.verdict("127.0.0.1", 8081) is not None


def test_a_listed_network_is_allowed() -> None:
    assert Guard(["10.1.0.0/16:443"]).verdict("10.1.2.3", 443) is None


def test_public_addresses_are_allowed() -> None:
    assert Guard([]).verdict("1.1.1.1", 443) is None


def test_the_socket_is_not_made_for_a_forbidden_address() -> None:
    info = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("169.254.169.254", 80))

    with pytest.raises(AddressNotAllowed):
        Guard([]).socket(info)
