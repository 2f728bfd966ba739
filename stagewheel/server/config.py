"""What a server is told: a TOML file, overridden by flags; checked once, then passed on and never read again.

Unknown settings are refused, so that a slip of the pen does not pass as a default.
"""

import hashlib
import ipaddress
import os
import tempfile
import tomllib
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from stagewheel.errors import OperatorError
from stagewheel.server.edge.config import EdgeConfig, check as check_edge
from stagewheel.server.inbound.config import (
    InboundConfig,
    ReturnSettings,
    check as check_inbound,
    return_settings,
)
from stagewheel.server.limits import FREE_BYTES_MIN
from stagewheel.server.senders.config import ChannelsConfig, check as check_channels
from stagewheel.server.senders.shares import share_of
from stagewheel.server.store.layout import SHARDS_MAX, folder_of

SOCKET_PATH_BYTES_MAX = 100  # the kernel takes 107
PORT_MAX = 65_535
CLOCKS = ("system", "replay")


class ServerConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """The settings of one server."""

    data: str = "./stagewheel-data"
    listen: tuple[str, ...] = ("tcp://127.0.0.1:7411",)
    clock: str = "system"  # system | replay
    clock_rate: float = 1.0
    clock_start_ms: int = 0  # a scaled or replay clock begins here; 0: now
    shards: int = 1  # processes that decide, each with a store of its own; fixed by the data folder
    senders: int = 1  # sender processes of each shard; 0: nothing is delivered, the outbox fills
    free_bytes_min: int = FREE_BYTES_MIN
    channels: ChannelsConfig = ChannelsConfig()
    edge: EdgeConfig | None = None  # HTTP, in a process of its own; none: no HTTP
    inbound: InboundConfig | None = None  # mail in, in a process of its own; none: no SMTP


def load(path: str | None, flags: dict[str, Any]) -> ServerConfig:
    """Read the file (if one is given), lay the flags that are not None over it, and check the whole.

    Raises OperatorError, which names the setting.
    """
    values: dict[str, Any] = {}
    if path is not None:
        try:
            values = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise OperatorError(f"can't read the configuration {path}: {error.strerror}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise OperatorError(f"{path}: {error}") from None
    values.update({name: value for name, value in flags.items() if value is not None})
    try:
        config = msgspec.convert(values, ServerConfig)
    except msgspec.ValidationError as error:
        raise OperatorError(f"{path or 'flags'}: {error}") from None
    try:
        _check(config)
    except OperatorError as error:
        raise OperatorError(f"{path}: {error}" if path is not None else str(error)) from None
    return _in_data_folder(config)


def _in_data_folder(config: ServerConfig) -> ServerConfig:
    """A relative spool stands in the data folder, wherever the server was started."""
    email = config.channels.email
    spool = str(Path(config.data).absolute() / email.spool)
    channels = msgspec.structs.replace(config.channels, email=msgspec.structs.replace(email, spool=spool))
    return msgspec.structs.replace(config, channels=channels)


def _check(config: ServerConfig) -> None:
    if config.clock not in CLOCKS:
        raise OperatorError(f"clock {config.clock!r}: use one of {', '.join(CLOCKS)}")
    if config.clock_rate <= 0:
        raise OperatorError("clock-rate must be above 0")
    if config.clock == "replay" and config.clock_rate != 1.0:
        raise OperatorError("the replay clock follows the commands; it has no rate")
    if not 0 <= config.senders <= 16:
        raise OperatorError("senders: from 0 to 16 processes")
    if not 1 <= config.shards <= SHARDS_MAX:
        raise OperatorError(f"shards: from 1 to {SHARDS_MAX}")
    if config.clock == "replay" and config.shards > 1:
        raise OperatorError("the replay clock has one order of all that happens: use it with one shard")
    if not config.listen:
        raise OperatorError("listen: at least one address")
    for address in config.listen:
        check_address(address)
        _check_ports(address, config.shards)
    check_channels(config.channels)
    if config.edge is not None:
        check_edge(config.edge)
    if config.inbound is not None:
        check_inbound(config.inbound)


def channels_of(config: ServerConfig) -> ChannelsConfig:
    """The channels as a sender process opens them: its share of what the whole server may, and mails go out
    with the addresses of `[inbound]`.
    """
    channels = share_of(config.channels, config.shards * config.senders)
    email = channels.email
    if config.inbound is None or email.returns != ReturnSettings():
        return channels
    email = msgspec.structs.replace(email, returns=return_settings(config.inbound))
    return msgspec.structs.replace(channels, email=email)


def check_address(address: str) -> None:
    """Only ipc and loopback until authentication exists. Raises OperatorError."""
    if address.startswith("ipc://"):
        return
    if not address.startswith("tcp://"):
        raise OperatorError(f"{address}: listen on tcp://127.0.0.1:PORT or ipc://PATH")
    host = address.removeprefix("tcp://").rpartition(":")[0].strip("[]")
    try:
        is_loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback:
        raise OperatorError(
            f"{address} is reachable from other machines, and this server has no authentication yet: "
            "listen on 127.0.0.1, [::1] or ipc, and put an authenticating tunnel in front"
        )


def _check_ports(address: str, shards: int) -> None:
    """Each shard has a port of its own, one behind the other."""
    port = address.rpartition(":")[2]
    if address.startswith("tcp://") and port.isdigit() and int(port) + shards - 1 > PORT_MAX:
        raise OperatorError(f"{address}: with {shards} shards it takes the ports from {port} on, too high")


def listen_of(config: ServerConfig, shard: int) -> tuple[str, ...]:
    """Where a shard listens: `tcp://HOST:PORT` with its number added to the port (a free port stays one),
    `ipc://PATH` as it is, and `PATH.1` for the shard behind it.
    """
    found = []
    for address in config.listen:
        start, _, port = address.rpartition(":")
        if address.startswith("tcp://"):
            is_free = not port.isdigit() or int(port) == 0
            found.append(address if is_free else f"{start}:{int(port) + shard}")
        else:
            found.append(f"{address}.{shard}" if shard else address)
    return tuple(found)


def shard_folder(config: ServerConfig, shard: int = 0) -> Path:
    """Where a shard keeps its store."""
    return folder_of(Path(config.data).absolute(), shard)


def shard_address(config: ServerConfig, shard: int = 0) -> str:
    """The ipc address of a shard, for senders and clients on this machine."""
    path = str(Path(config.data).absolute() / f"shard-{shard}.sock")
    if len(path.encode()) > SOCKET_PATH_BYTES_MAX:
        digest = hashlib.blake2b(path.encode(), digest_size=8).hexdigest()
        folder = Path(tempfile.gettempdir()) / f"stagewheel-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        path = str(folder / f"{digest}.sock")
    return f"ipc://{path}"
