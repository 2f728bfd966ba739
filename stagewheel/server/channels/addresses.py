"""Where a request may go: the addresses of a host, each of them checked.

Laws: a name is resolved once, every address it has is checked, and the connection is made to a checked one,
so that a name that resolves to something else a moment later (DNS rebinding) gains nothing. One address that
is not allowed forbids the host. What is of this machine, its network or nobody's is not public, in every
disguise that IPv6 has for an IPv4 address.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Final

from stagewheel.errors import OperatorError

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_NAT64: Final = (ip_network("64:ff9b::/96"), ip_network("64:ff9b:1::/48"))
_COMPATIBLE: Final = ip_network("::/96")  # an IPv4 address with zeros in front (RFC 4291, deprecated)


class Forbidden(Exception):
    """The URL leads where requests must not go, or is none."""


def networks_of(where: str, texts: tuple[str, ...]) -> tuple[Network, ...]:
    """The networks of a setting. Raises `OperatorError`."""
    found = []
    for text in texts:
        try:
            found.append(ip_network(text))
        except ValueError as error:
            raise OperatorError(f"{where}: private_networks: {error}") from None
    return tuple(found)


def is_allowed(address: Address, private: tuple[Network, ...] = ()) -> bool:
    """Public, or of a network that the operator named."""
    meant = embedded(address)
    return is_public(meant) or any(meant.version == one.version and meant in one for one in private)


def is_public(address: Address) -> bool:
    """Whether it can't be of this machine or its network, also in an IPv6 disguise."""
    meant = embedded(address)
    return meant.is_global and not meant.is_multicast


def embedded(address: Address) -> Address:
    """The IPv4 address that an IPv6 address stands for, if it does; else itself."""
    if not isinstance(address, IPv6Address):
        return address
    low = IPv4Address(int(address) & 0xFFFFFFFF)
    if any(address in one for one in _NAT64):
        return low
    if address in _COMPATIBLE and int(address) > 1:
        return low
    return address.ipv4_mapped or address.sixtofour or address
