"""What chat messages and invitations say, compiled: the `document` of their plans.

Laws: those of `channels_doc.py`. A message goes to the chat that was bound last when it was decided: the row
carries the item, and so its chats. The link of an invitation is made where the key is, in the sender process
(`invitations.py`); until then a mark stands in its place.
"""

from typing import Final

from msgspec import Struct

from stagewheel.server.core.chat import NO_CHAT, Chat, chosen
from stagewheel.server.core.item import NOTHING_MORE
from stagewheel.server.core.plan_actions import Text
from stagewheel.server.core.scope import Scope
from stagewheel.server.rules.attachments import NOTHING_ATTACHED, Attached, Attachments
from stagewheel.server.rules.phone_doc import ClientPhone, SmsContent

LINK: Final = "\ue000"  # of the private use area: no text has it


class ChatContent(Struct, frozen=True):
    """A message, rendered. `html`: the text is HTML, its values are escaped. `by`: an employee wrote it."""

    provider: str
    to: str
    text: str
    html: bool = False
    files: tuple[Attached, ...] = ()
    by: int = 0


class InviteContent(Struct, frozen=True):
    """A text message that invites, rendered but for its link. `chat` "" is the default bot."""

    provider: str
    to: str
    text: str
    chat: str

    def filled(self, link: str) -> SmsContent:
        """With its link; it stands at the end, where the text does not say where."""
        text = self.text.replace(LINK, link) if LINK in self.text else f"{self.text} {link}"
        return SmsContent(self.provider, self.to, text)


class ChatDocument(Struct, frozen=True):
    """H4."""

    text: Text
    html: bool
    provider: str
    attachments: Attachments = NOTHING_ATTACHED

    def lacks(self, scope: Scope) -> str:
        """Why it can't be sent, or "" (7.3)."""
        if _chat(scope, self.provider) is not None:
            return self.attachments.lacks(scope)
        return NO_CHAT + (f" with {self.provider}" if self.provider else "")

    def reached(self, scope: Scope) -> tuple[list[str], bool]:
        """Whom it reaches that can be suppressed (8.8): `PROVIDER:ID` of the chat."""
        chat = _chat(scope, self.provider)
        return ([f"{chat.channel}:{chat.id}"] if chat is not None else []), False

    def render(self, scope: Scope) -> ChatContent:
        """The message. Raises TemplateFailed."""
        chat = _chat(scope, self.provider)
        assert chat is not None, "a row is written for an item that has a chat"
        files = self.attachments.of(scope)
        return ChatContent(chat.channel, chat.id, self.text(scope).strip(), self.html, files)


class ReplyDocument(Struct, frozen=True):
    """What an employee wrote: the row brings it, as `trigger`."""

    def lacks(self, scope: Scope) -> str:
        """That there is a chat was seen to by the command."""
        return ""

    def render(self, scope: Scope) -> ChatContent:
        """The message as it was written."""
        told = scope.trigger
        chat = _chat(scope, str(told.get("provider") or ""))
        assert chat is not None, "a row is written for an item that has a chat"
        files = tuple(Attached(one) for one in told["files"])
        return ChatContent(chat.channel, chat.id, told["text"], False, files, told["by"])


class InviteDocument(Struct, frozen=True):
    """H5."""

    to: ClientPhone
    text: Text
    provider: str
    chat: str

    def lacks(self, scope: Scope) -> str:
        """Why it can't be sent, or ""."""
        return self.to.lacks(scope)

    def reached(self, scope: Scope) -> tuple[list[str], bool]:
        """Whom it reaches that can be suppressed (8.8)."""
        return self.to.reached(scope)

    def render(self, scope: Scope) -> InviteContent:
        """The message. Raises TemplateFailed."""
        return InviteContent(self.provider, self.to.number(scope), self.text(scope).strip(), self.chat)


def _chat(scope: Scope, provider: str) -> Chat | None:
    return chosen((scope.item.more or NOTHING_MORE).chats, provider)
