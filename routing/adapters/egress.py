"""The one network backend: every outgoing connection is checked at the address it really uses.

The check sits in the socket factory, after name resolution and for address literals alike, so no
caller can miss it and no second resolution can differ. It decides addresses, never data classes.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from typing import Any

import aiohttp

_ALWAYS_BLOCKED = tuple(
    ipaddress.ip_network(text)
    for text in (
        "169.254.0.0/16",
        "fe80::/10",
        "fd00:ec2::/32",
        "100.100.100.200/32",
        "0.0.0.0/8",
        "::/128",
        "224.0.0.0/4",
        "ff00::/8",
        "240.0.0.0/4",
    )
)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_SIX_TO_FOUR = ipaddress.ip_network("2002::/16")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class AddressNotAllowed(OSError):
    """The connection was refused by us before a packet left."""


def _inner(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 form carries: mapped, NAT64 or 6to4."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            return address.ipv4_mapped
        if address in _NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if address in _SIX_TO_FOUR:
            return ipaddress.IPv4Address((int(address) >> 80) & 0xFFFFFFFF)
    return address


class Guard:
    """Allows public addresses, and the private ``host:port`` or ``network:port`` it is given."""

    def __init__(self, private_allowed: Iterable[str]) -> None:
        self._allowed: list[tuple[Any, int | None]] = []
        for pair in private_allowed:
            host, _, port = pair.rpartition(":")
            network = ipaddress.ip_network(host.replace("[", "").replace("]", ""), strict=False)
            self._allowed.append((network, None if port == "*" else int(port)))

    def verdict(self, host: str, port: int) -> str | None:
        """Return why this address may not be reached, or None. ``host`` is an address literal."""
        address = _inner(ipaddress.ip_address(host.partition("%")[0]))
        if any(
            address in network for network in _ALWAYS_BLOCKED if network.version == address.version
        ):
            return f"{address} is never allowed (metadata, link-local or not a host)"
        if address.is_global:
            return None
        for network, allowed_port in self._allowed:
            if (
                network.version == address.version
                and address in network
                and allowed_port in (None, port)
            ):
                return None
        return f"{address}:{port} is private and not on the list of allowed private backends"

    def socket(self, info: tuple[Any, ...]) -> socket.socket:
        """Make the socket for one resolved address, or refuse it; given to the connector."""
        family, kind, protocol, _, target = info
        if why := self.verdict(str(target[0]), int(target[1])):
            raise AddressNotAllowed(why)
        made = socket.socket(family=family, type=kind, proto=protocol)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made


def connector(guard: Guard, *, limit: int = 0) -> aiohttp.TCPConnector:
    """A connector whose every socket passes the guard. ``limit`` 0 means no limit."""
    return aiohttp.TCPConnector(
        limit=limit,
        ttl_dns_cache=60,
        keepalive_timeout=30,
        socket_factory=guard.socket,
    )
