"""The webhook channel's settings. How a request is made stands in `http.py`, which is loaded only where one
is made.
"""

from typing import Annotated

from msgspec import Meta

from stagewheel.server.channels.base import Channel, PoolSettings, Seconds
from stagewheel.server.limits import POOL_SIZE_MAX
from stagewheel.server.links import Links


class WebhookSettings(PoolSettings, frozen=True, kw_only=True):
    """[channels.webhook]."""

    # A rule author chooses the URL, so by default it can't reach into the network that the server stands in.
    allow_private: bool = False
    timeout_s: Seconds = 10.0
    deadline_s: Seconds = 60.0
    per_group_max: Annotated[int, Meta(ge=0, le=POOL_SIZE_MAX)] = 8  # a slow host leaves room
    breaker_failures: Annotated[int, Meta(ge=0, le=1_000)] = 0  # hosts fail one by one, see http.py

    @property
    def pool(self) -> PoolSettings:
        """Its own: they stand in the same section."""
        return self

    def check(self) -> None:
        """There is nothing that can't work."""

    def open(self, store_id: str, links: Links | None = None) -> Channel:
        """A channel over HTTP."""
        from stagewheel.server.channels.http import HttpChannel

        return HttpChannel(self)
