"""What mail in is told: `[inbound]` of the server's configuration, checked once at start.

Laws: an unknown setting is refused; an error names section and setting; no secret stands in it. Without
`[inbound]` nothing listens. What listens beyond this machine has TLS, and takes mail only from hosts that are
named or from who logs in.
"""

import ipaddress
import os
import re
from typing import Annotated, Final

from msgspec import Meta, Struct

from stagewheel.errors import OperatorError
from stagewheel.server.edge.config import listen_address as edge_listen_address
from stagewheel.server.edge.secrets import KEY_BYTES_MIN, read_secret
from stagewheel.server.inbound.returning import LOCAL_CHARS_MAX, Returns, split_address
from stagewheel.server.limits import (
    INBOUND_ADDRESSES_MAX,
    INBOUND_BYTES_MAX,
    INBOUND_CONNECTIONS_MAX,
    INBOUND_MAIL_BYTES_MAX,
    INBOUND_RATE_PER_MINUTE_MAX,
    INBOUND_RECIPIENTS_MAX,
    INBOUND_TEXT_CHARS_MAX,
    KIB,
    MIB,
)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Rate = Annotated[int, Meta(ge=1, le=INBOUND_RATE_PER_MINUTE_MAX)]
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.@-]{1,100}$")]
PARTS: Final = ("subject", "text", "from", "from_name", "mailbox", "to", "message_id", "files")
_ADDRESS: Final = re.compile(r"[^@\s,;:<>\"+()]{1,64}@[A-Za-z0-9.-]{1,253}")


class MailboxConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """[inbound.mailboxes.NAME]: what comes for these addresses is `incoming_email` of mailbox NAME."""

    addresses: tuple[str, ...]
    fields: dict[str, str] = {}  # of an item that the mail makes: field -> part of the mail


class InboundConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """[inbound]."""

    mailboxes: dict[Name, MailboxConfig]
    listen: str = "127.0.0.1:7425"
    allow_from: tuple[str, ...] = ()  # networks of hosts that may send; empty: this machine
    login: str = ""
    password_env: str = ""
    password_file: str = ""
    tls_cert_file: str = ""  # with its chain; then STARTTLS is offered, and required
    tls_key_file: str = ""
    host_name: str = ""  # in the greeting; empty: this machine's name
    signing_key_env: str = ""
    signing_key_file: str = ""
    reply_address: str = ""  # of a mailbox: what clients answer to
    bounce_address: str = ""  # of no mailbox: where undeliverable mail of ours goes back to
    message_bytes_max: Annotated[int, Meta(ge=16 * KIB, le=INBOUND_MAIL_BYTES_MAX)] = 10 * MIB
    text_chars_max: Annotated[int, Meta(ge=100, le=INBOUND_TEXT_CHARS_MAX)] = 4_000
    attachment_bytes_max: Annotated[int, Meta(ge=0, le=INBOUND_MAIL_BYTES_MAX)] = 0  # 0: none is stored
    recipients_max: Annotated[int, Meta(ge=1, le=INBOUND_RECIPIENTS_MAX)] = 50  # of one mail
    connections_max: Annotated[int, Meta(ge=1, le=INBOUND_CONNECTIONS_MAX)] = 32
    rate_per_minute: Rate = 600  # mails of one host
    burst: Rate = 200
    timeout_s: Annotated[float, Meta(ge=1, le=600)] = 60.0  # between two lines of a conversation
    answer_timeout_s: Annotated[float, Meta(ge=0.1, le=120)] = 30.0  # of the shard


class ReturnSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """[channels.email.returns]: where what comes back to our mails goes. Only needed where mail in is
    another server's; else `[inbound]` says it.
    """

    reply_address: str = ""
    bounce_address: str = ""
    signing_key_env: str = ""
    signing_key_file: str = ""

    def open(self) -> Returns | None:
        """What makes the addresses; None where nothing is set. Raises OperatorError for a key that can't be
        read.
        """
        if not self.reply_address and not self.bounce_address:
            return None
        env, file = self.signing_key_env, self.signing_key_file
        key = read_secret("inbound", "signing_key", env, file, KEY_BYTES_MIN)
        return Returns(key, self.reply_address, self.bounce_address)


def return_settings(config: InboundConfig) -> ReturnSettings:
    """What the e-mail channel is to know of mail in."""
    return ReturnSettings(
        config.reply_address, config.bounce_address, config.signing_key_env, config.signing_key_file
    )


class Secrets(Struct, frozen=True):
    """What the settings lead to. It lives in the processes that need it."""

    signing_key: bytes
    password: bytes

    def __repr__(self) -> str:
        return "Secrets(…)"


def check(config: InboundConfig) -> Secrets:
    """The secrets of a configuration that can work. Raises OperatorError."""
    host, _ = listen_address(config.listen)
    networks(config)
    _check_tls(config)
    if not ipaddress.ip_address(host).is_loopback:
        if not config.tls_cert_file:
            raise OperatorError(f"inbound.listen: {config.listen} is reached by others: set tls_cert_file")
        if not config.allow_from and not config.login:
            raise OperatorError(
                f"inbound.listen: {config.listen} is reached by others: name the hosts that may send in "
                "allow_from, or set login"
            )
    if config.connections_max * config.message_bytes_max > INBOUND_BYTES_MAX:
        raise OperatorError(
            f"inbound: connections_max times message_bytes_max is above {INBOUND_BYTES_MAX // MIB} MiB"
        )
    _check_addresses(config)
    return Secrets(_signing_key(config), _password(config))


def listen_address(listen: str) -> tuple[str, int]:
    """Host and port. Raises OperatorError."""
    try:
        return edge_listen_address(listen)
    except OperatorError:
        raise OperatorError(
            f"inbound.listen: {listen!r}: write ADDRESS:PORT, such as 127.0.0.1:7425"
        ) from None


def networks(config: InboundConfig) -> tuple[Network, ...]:
    """The hosts that may send; none: whoever logs in. Raises OperatorError."""
    given = config.allow_from
    if not given:
        return () if config.login else (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))
    found = []
    for text in given:
        try:
            network = ipaddress.ip_network(text)
        except ValueError:
            raise OperatorError(f"inbound.allow_from: {text!r} is no network such as 10.1.0.0/16") from None
        if network.prefixlen == 0 and not config.login:
            raise OperatorError(f"inbound.allow_from: {text} is everybody; name your mail servers")
        found.append(network)
    return tuple(found)


def _check_tls(config: InboundConfig) -> None:
    if config.tls_key_file and not config.tls_cert_file:
        raise OperatorError("inbound.tls_key_file: there is no tls_cert_file")
    for name in ("tls_cert_file", "tls_key_file"):
        path = getattr(config, name)
        if path and not os.path.isfile(path):
            raise OperatorError(f"inbound.{name}: {path} is no file")


def _check_addresses(config: InboundConfig) -> None:
    if not config.mailboxes:
        raise OperatorError("inbound.mailboxes: name at least one, with its addresses")
    taken: dict[str, str] = {}
    for name, mailbox in config.mailboxes.items():
        where = f"inbound.mailboxes.{name}"
        if not mailbox.addresses:
            raise OperatorError(f"{where}.addresses: name at least one")
        for address in mailbox.addresses:
            _check_address(f"{where}.addresses", address)
            if taken.setdefault(address.casefold(), name) != name:
                raise OperatorError(f"{where}.addresses: {address} is {taken[address.casefold()]}'s already")
        for field, part in mailbox.fields.items():
            if part not in PARTS:
                raise OperatorError(f"{where}.fields.{field}: {part!r} is none of {', '.join(PARTS)}")
    if len(taken) > INBOUND_ADDRESSES_MAX:
        raise OperatorError(f"inbound.mailboxes: at most {INBOUND_ADDRESSES_MAX} addresses")
    for setting, of_mailbox in (("reply_address", True), ("bounce_address", False)):
        address = getattr(config, setting)
        if not address:
            continue
        _check_address(f"inbound.{setting}", address)
        if len(address.partition("@")[0]) > LOCAL_CHARS_MAX // 3:
            raise OperatorError(
                f"inbound.{setting}: {address} leaves no room for what tells mails apart; take a shorter one"
            )
        if (split_address(address)[0] in taken) != of_mailbox:
            must = "is no address of a mailbox" if of_mailbox else "is a mailbox's; take one of its own"
            raise OperatorError(f"inbound.{setting}: {address} {must}")


def _check_address(where: str, address: str) -> None:
    if not _ADDRESS.fullmatch(address):
        raise OperatorError(f"{where}: {address!r} is no address such as info@shop.example, without a plus")


def _signing_key(config: InboundConfig) -> bytes:
    wanted = config.reply_address or config.bounce_address
    if not wanted and not config.signing_key_env and not config.signing_key_file:
        return b""
    env, file = config.signing_key_env, config.signing_key_file
    return read_secret("inbound", "signing_key", env, file, KEY_BYTES_MIN)


def _password(config: InboundConfig) -> bytes:
    if not config.login:
        return b""
    return read_secret("inbound", "password", config.password_env, config.password_file)
