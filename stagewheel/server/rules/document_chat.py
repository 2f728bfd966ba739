"""The documents of chat messages and invitations (H4, H5). `chat.py` gives them their meaning.

Laws: those of `document.py`.
"""

from typing import ClassVar, Literal

from stagewheel.server.rules.attachments import AttachmentDoc
from stagewheel.server.rules.document import Doc, Hours
from stagewheel.server.rules.document_actions import PhoneDoc


class SendChatDoc(Doc):
    """H4."""

    what: ClassVar[str] = "send_chat"
    do: str
    text: str = ""
    hidden: bool = False
    attachments: list[AttachmentDoc] = []
    transactional: bool = False
    provider: str = ""
    expires: str | None = None
    hours: Hours | None = None
    on_unknown: Literal["retry", "fail"] = "retry"


class InviteDoc(Doc):
    """H5: `provider` sends the text message, `chat` is the bot that the link leads to."""

    what: ClassVar[str] = "invite"
    do: str
    text: str
    to: PhoneDoc | None = None
    provider: str = ""
    chat: str = ""
    transactional: bool = False
    expires: str | None = None
    hours: Hours | None = None
    on_unknown: Literal["retry", "fail"] = "fail"
