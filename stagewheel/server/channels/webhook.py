"""The webhook channel's settings, and the secrets that rules may name. How a request is made stands in
`http.py`, which is loaded only where one is made.

Laws: a rule names a secret and never holds one. A secret that is itself sent (`auth`) goes only to the hosts
that its section names, since whoever writes a rule chooses the URL; one that only signs never leaves.
"""

from typing import Annotated

from msgspec import Meta, Struct, field

from stagewheel.errors import OperatorError
from stagewheel.server.channels.addresses import networks_of
from stagewheel.server.channels.base import Channel, PoolSettings, Seconds
from stagewheel.server.edge.secrets import TOKEN_BYTES_MIN, read_secret
from stagewheel.server.limits import (
    POOL_SIZE_MAX,
    WEBHOOK_BYTES_MAX,
    WEBHOOK_REDIRECTS_MAX,
    WEBHOOK_REQUEST_BYTES,
    WEBHOOK_RESPONSE_BYTES_MAX,
)
from stagewheel.server.links import Links
from stagewheel.server.rules.channels_doc import PROVIDER_NAME

Bytes = Annotated[int, Meta(ge=1, le=WEBHOOK_BYTES_MAX)]


class Secret(Struct, frozen=True):
    """A secret that was read. With a `username` it is the password of basic authentication, else a bearer
    token.
    """

    key: bytes
    username: str = ""
    hosts: tuple[str, ...] = ()

    @property
    def signs(self) -> bool:
        """Is it long enough to sign with?"""
        return len(self.key) >= TOKEN_BYTES_MIN

    def __repr__(self) -> str:
        return f"Secret(hosts={self.hosts!r})"


class SecretSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[channels.webhook.secrets.NAME]."""

    key_env: str = ""
    key_file: str = ""
    username: str = ""
    hosts: tuple[str, ...] = ()  # where `auth` may send it; without any it only signs

    def read(self, where: str) -> Secret:
        """Raises `OperatorError`."""
        for host in self.hosts:
            if not host or any(char in host for char in "/:@*? "):
                raise OperatorError(f"{where}: hosts: {host!r} is no name of a host, such as api.example.com")
        if self.username and (not self.hosts or ":" in self.username or not self.username.isprintable()):
            raise OperatorError(f"{where}: username goes with hosts, and has no colon")
        key = read_secret(where, "key", self.key_env, self.key_file, 1 if self.hosts else TOKEN_BYTES_MIN)
        if self.hosts and not self.username and not all(0x20 < byte < 0x7F for byte in key):
            raise OperatorError(f"{where}: a bearer token is one word of ASCII characters")
        return Secret(key, self.username, tuple(host.lower() for host in self.hosts))


class HttpSettings(PoolSettings, frozen=True, kw_only=True):
    """What every channel that makes requests to any host can be told."""

    # A rule author chooses the URL, so by default it can't reach into the network that the server stands in.
    allow_private: bool = False
    private_networks: tuple[str, ...] = ()  # or just these: "10.20.0.0/16"
    redirects: Annotated[int, Meta(ge=0, le=WEBHOOK_REDIRECTS_MAX)] = 0  # that are followed, each checked
    request_bytes_max: Bytes = WEBHOOK_REQUEST_BYTES
    response_bytes_max: Bytes = WEBHOOK_RESPONSE_BYTES_MAX  # read of an answer
    timeout_s: Seconds = 10.0
    deadline_s: Seconds = 60.0
    per_group_max: Annotated[int, Meta(ge=0, le=POOL_SIZE_MAX)] = 8  # a slow host leaves room
    breaker_failures: Annotated[int, Meta(ge=0, le=1_000)] = 0  # hosts fail one by one, see http.py

    @property
    def pool(self) -> PoolSettings:
        """Its own: they stand in the same section."""
        return self


class WebhookSettings(HttpSettings, frozen=True, kw_only=True):
    """[channels.webhook]."""

    secrets: dict[str, SecretSettings] = field(default_factory=dict)

    def check(self) -> None:
        """Raises `OperatorError`."""
        networks_of("channels.webhook", self.private_networks)
        self.read_secrets()

    def read_secrets(self) -> dict[str, Secret]:
        """The secrets by name. Raises `OperatorError`."""
        found: dict[str, Secret] = {}
        for name, one in self.secrets.items():
            where = f"channels.webhook.secrets.{name}"
            if not PROVIDER_NAME.fullmatch(name):
                raise OperatorError(f"{where}: a name has letters, digits, '-' and '_', at most 64")
            found[name] = one.read(where)
        return found

    def open(self, store_id: str, links: Links | None = None) -> Channel:
        """A channel over HTTP."""
        from stagewheel.server.channels.http import HttpChannel

        return HttpChannel(self, self.read_secrets())
