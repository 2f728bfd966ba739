"""The e-mail channel's settings, and which of its two ways they choose: an SMTP server, or a Maildir
without one.

Laws: a password never stands in a log, a journal or an error: it is read when the channel is opened, and
settings that hold one do not print it. A password never crosses a network in clear: without TLS only a
server on this machine gets it.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta, Struct, field, structs

from stagewheel.errors import OperatorError
from stagewheel.server.channels.base import Channel, PoolSettings
from stagewheel.server.channels.providers import check_names
from stagewheel.server.inbound.config import ReturnSettings
from stagewheel.server.limits import FILE_CACHE_BYTES_MAX
from stagewheel.server.links import Links

if TYPE_CHECKING:
    from stagewheel.server.channels.signature import Signers

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_PORTS = {"none": 25, "starttls": 587, "tls": 465}


class DkimSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[channels.email.dkim."example.com"]: the DNS has the public half at SELECTOR._domainkey.example.com."""

    selector: str
    key_file: str = ""  # a private RSA key in PEM form
    key_env: str = ""  # name of an environment variable that holds it
    identity: str = ""  # the `i=` of the signature; empty: @ and the domain


class EmailSettings(PoolSettings, frozen=True, kw_only=True):
    """[channels.email]. Without a `host` mails are written to the Maildir `spool`."""

    host: str = ""
    port: Annotated[int, Meta(ge=0, le=65_535)] = 0  # 0: 25, 587 with starttls, 465 with tls
    tls: Literal["none", "starttls", "tls"] = "none"
    tls_verify: bool = True
    ca_file: str = ""  # certificates to trust besides the system's
    username: str = ""
    password: str = ""
    password_env: str = ""  # name of an environment variable that holds it
    password_file: str = ""  # path of a file whose first line it is
    hello_name: str = ""  # what EHLO says; empty: this machine's name
    default_from: str = ""  # sender where neither the rule nor the responsible person gives one
    message_id_domain: str = ""  # empty: the sender's domain
    spool: str = "spool"
    attachments_bytes_max: Annotated[int, Meta(ge=1, le=FILE_CACHE_BYTES_MAX)] = 10 << 20  # of one mail
    dkim: dict[str, DkimSettings] = field(default_factory=dict)  # by the domain of the sender
    returns: ReturnSettings = ReturnSettings()  # where answers and bounces go; else as [inbound] says
    # Other servers, which rules name: `provider: bulk`.
    providers: dict[str, "EmailSettings"] = field(default_factory=dict)

    @property
    def pool(self) -> PoolSettings:
        """Its own: they stand in the same section."""
        return self

    @property
    def members(self) -> Mapping[str, PoolSettings]:
        """The section itself for what names nobody, and the other servers, a pool each."""
        return {"": self, **self.providers}

    def open_member(self, name: str, store_id: str, links: Links | None = None) -> Channel:
        """The channel of the section itself, or of another server."""
        return (self.other(name) if name else self).open(store_id, links)

    def other(self, name: str) -> "EmailSettings":
        """Another server; who sends, signs and takes answers is the section's where it does not say."""
        own = self.providers[name]
        usual = {
            key: getattr(self, key)
            for key in ("default_from", "message_id_domain", "hello_name", "dkim", "returns")
            if getattr(own, key) == getattr(EMPTY, key)
        }
        return structs.replace(own, **usual)

    def check(self) -> None:
        """Raises `OperatorError` for settings that can't work."""
        check_names("channels.email", "", dict.fromkeys(self.providers), several=False)
        for name, one in self.providers.items():
            if not one.host or one.providers:
                raise OperatorError(f"channels.email.providers.{name}: it needs a host, and no providers")
            try:
                self.other(name).check()
            except OperatorError as error:
                raise OperatorError(f"channels.email.providers.{name}: {error}") from None
        self.signers()
        if not self.host:
            if os.path.exists(self.spool) and not os.path.isdir(self.spool):
                raise OperatorError(f"channels.email: spool {self.spool} is a file; name a folder")
            return
        if self.username and self.tls == "none" and self.host not in _LOOPBACK:
            raise OperatorError(
                f"channels.email: a password would cross the network in clear to {self.host}; "
                'set tls = "starttls" or tls = "tls"'
            )
        if self.ca_file and not os.path.isfile(self.ca_file):
            raise OperatorError(f"channels.email: ca_file {self.ca_file} is not a file")
        self.secret()
        self.returns.open()

    def open(self, store_id: str, links: Links | None = None) -> Channel:
        """An SMTP or a Maildir channel. The modules are imported here, so that a shard that only reads
        settings loads no mail library.
        """
        self.check()
        from stagewheel.server.channels.compose import Composer

        if not self.host:
            from stagewheel.server.channels.spool import SpoolChannel

            return SpoolChannel(Path(self.spool), Composer(self))
        from stagewheel.server.channels.smtp import SmtpChannel

        return SmtpChannel(self, self.port or _PORTS[self.tls], self.secret(), Composer(self))

    def signers(self) -> "Signers | None":
        """The keys for signatures, read now. Raises `OperatorError`."""
        if not self.dkim:
            return None
        from stagewheel.server.channels.signature import Signers

        return Signers(self.dkim)

    def secret(self) -> str:
        """The password, from where the settings say. Raises `OperatorError`."""
        if self.password_env:
            if self.password_env not in os.environ:
                raise OperatorError(
                    f"channels.email: the environment variable {self.password_env} (password_env) is not set"
                )
            return os.environ[self.password_env]
        if self.password_file:
            try:
                with open(self.password_file, encoding="utf-8") as file:
                    return file.readline().rstrip("\r\n")
            except (OSError, UnicodeError) as error:
                raise OperatorError(
                    f"channels.email: cannot read password_file {self.password_file}: {error}"
                ) from None
        return self.password

    def __repr__(self) -> str:
        """Everything but the password."""
        shown = [
            f"{name}={'***' if name == 'password' and self.password else repr(getattr(self, name))}"
            for name in self.__struct_fields__
        ]
        return f"EmailSettings({', '.join(shown)})"


EMPTY = EmailSettings()
