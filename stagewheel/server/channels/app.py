"""The settings of application actions that are done by an HTTP handler (H8): `[channels.app]`. How a job is
posted stands in `app_http.py`, which is loaded only where one is.
"""

from stagewheel.server.channels.addresses import networks_of
from stagewheel.server.channels.base import Channel
from stagewheel.server.channels.webhook import HttpSettings
from stagewheel.server.edge.secrets import read_secret
from stagewheel.server.links import Links


class AppSettings(HttpSettings, frozen=True, kw_only=True):
    """As a webhook's; `secret_env` or `secret_file` name what requests are signed with. The time-out is the
    registered action's.
    """

    secret_env: str = ""
    secret_file: str = ""
    deadline_s: float = 86_400.0

    def check(self) -> None:
        """Raises OperatorError for a secret that can't be read, or what is no network."""
        networks_of("channels.app", self.private_networks)
        self.read()

    def read(self) -> bytes:
        """The secret; empty where there is none."""
        if not self.secret_env and not self.secret_file:
            return b""
        return read_secret("channels.app", "secret", self.secret_env, self.secret_file)

    def open(self, store_id: str, links: Links | None = None) -> Channel:
        """A channel over HTTP."""
        from stagewheel.server.channels.app_http import AppHttpChannel

        return AppHttpChannel(self, links)
