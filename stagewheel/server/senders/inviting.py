"""An invitation gets its link: here, where the key and the names of the bots are (H5).

Laws: the number stands in the row since the decision, so every attempt has the same link; without a bot or
without links into the edge, which hears of whoever comes, it is refused for good, and can be retried from the
dead letters once there are both.
"""

from collections.abc import Callable
from typing import Final

from msgspec import structs

from stagewheel.server.channels.base import RefusedForGood
from stagewheel.server.core.effects import OutboxRow
from stagewheel.server.links import Links
from stagewheel.server.rules.chat_doc import InviteContent
from stagewheel.server.senders.pool import Task

NO_EDGE: Final = "who opens an invitation comes by the edge: set [edge] public_url in the configuration"


def invited(
    task: Task, content: InviteContent, row: OutboxRow, bots: Callable[[str], str], links: Links | None
) -> Task | RefusedForGood:
    """The text message with its link."""
    bot = bots(content.chat)
    if not bot:
        named = f"provider {content.chat!r} of channel chat" if content.chat else "the channel chat"
        return RefusedForGood(f"{named} has no bot to invite to: give it a username in the configuration")
    if links is None:
        return RefusedForGood(NO_EDGE)
    return structs.replace(task, content=content.filled(links.invitation(bot, row.roots["invitation"])))
