"""The e-mail channel's settings, and which of its two ways they choose: an SMTP server, or a Maildir
without one.

Laws: a password never stands in a log, a journal or an error: it is read when the channel is opened, and
settings that hold one do not print it. A password never crosses a network in clear: without TLS only a
server on this machine gets it.
"""

import os
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta

from stagewheel.errors import OperatorError
from stagewheel.server.channels.base import Channel, PoolSettings
from stagewheel.server.inbound.config import ReturnSettings
from stagewheel.server.links import Links

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_PORTS = {"none": 25, "starttls": 587, "tls": 465}


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
    returns: ReturnSettings = ReturnSettings()  # where answers and bounces go; else as [inbound] says

    @property
    def pool(self) -> PoolSettings:
        """Its own: they stand in the same section."""
        return self

    def check(self) -> None:
        """Raises `OperatorError` for settings that can't work."""
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
        if not self.host:
            from stagewheel.server.channels.spool import SpoolChannel

            return SpoolChannel(
                Path(self.spool), self.default_from, self.message_id_domain, self.returns.open()
            )
        from stagewheel.server.channels.smtp import SmtpChannel

        return SmtpChannel(self, self.port or _PORTS[self.tls], self.secret())

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
