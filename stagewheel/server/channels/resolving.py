"""From the name of a host to addresses that a request may go to; the laws stand in `addresses.py`."""

from ipaddress import ip_address

import trio

from stagewheel.server.channels.addresses import Forbidden, Network, is_allowed


async def checked(host: str, port: int, allow_private: bool, private: tuple[Network, ...]) -> list[str]:
    """The addresses of a host, all of them allowed. Raises `Forbidden`, OSError."""
    found = await trio.socket.getaddrinfo(host, port, type=trio.socket.SOCK_STREAM)
    addresses = [str(entry[4][0]).partition("%")[0] for entry in found]
    if not allow_private:
        for address in addresses:
            if not is_allowed(ip_address(address), private):
                raise Forbidden(
                    f"webhooks to {host} are not allowed: {address} is not a public address "
                    "(channels.webhook allow_private or private_networks allow it)"
                )
    return list(dict.fromkeys(addresses))
