"""Lanes: where an action stands in line. A channel has one, and one for each provider that rules name.

Laws: a lane is "email", or "sms/backup" for a provider that is named; "sms" is for actions that name none,
whoever the configuration says takes them. So a provider that is down, slow or out of rate holds up what is
meant for it, and nothing else.
"""

from typing import Final

BETWEEN: Final = "/"


def lane_of(channel: str, provider: str) -> str:
    """The lane of an action."""
    return f"{channel}{BETWEEN}{provider}" if provider else channel


def channel_of(lane: str) -> str:
    """Whose lane it is."""
    return lane.partition(BETWEEN)[0]


def provider_of(lane: str) -> str:
    """For whom it is; "" if nobody is named."""
    return lane.partition(BETWEEN)[2]


PLAIN_LANES: Final = frozenset(("email", "webhook", "sms", "call", "ads"))
"""Lanes of whose delivery nothing is to be said but that it was: a report's detail is only for a chain."""
