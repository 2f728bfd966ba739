"""The message of a rule that is tried: everything as it would be, but whom it goes to (N11).

Laws: what the message says comes of the rule's own templates; `[test]` stands before it. Nobody follows it:
its links are plain, it is not counted as opened, and a template's link to unsubscribe is for the address that
it goes to, not for the client.
"""

from typing import Any, Final

import msgspec

from stagewheel.server.core.plan_actions import Text
from stagewheel.server.core.scope import LinkMaker, Scope
from stagewheel.server.rules.channels_doc import EmailDocument, Recipient, WebhookDocument
from stagewheel.server.rules.chat_doc import ChatContent, ChatDocument
from stagewheel.server.rules.phone_doc import CallDocument, ClientPhone, SmsDocument
from stagewheel.server.rules.tracking import Track

MARK: Final = "[test] "
SPOKEN: Final = "Test. "
HEADER: Final = "X-Stagewheel-Test"


class OwnPhone(ClientPhone, frozen=True):
    """A number that was given."""

    given: str = ""

    def number(self, scope: Scope) -> str:
        """It."""
        return self.given


class OwnChat(ChatDocument, frozen=True):
    """A chat that was given: its id, or provider and id."""

    given: str = ""

    def render(self, scope: Scope) -> ChatContent:
        """The message. Raises TemplateFailed."""
        provider, _, chat = self.given.rpartition(":")
        bound = scope.item.more.chats if scope.item.more is not None else ()
        provider = provider or self.provider or (bound[0].channel if bound else "")
        return ChatContent(provider, chat, self.text(scope).strip(), self.html, self.attachments.of(scope))


class PlainLinks:
    """Links that tell of nothing, for templates that ask for them."""

    def __init__(self, links: LinkMaker) -> None:
        self._links = links

    def click(self, url: str) -> str:
        """The address itself."""
        return url

    def open(self) -> str:
        """No picture."""
        return ""

    def unsubscribe(self, channel: str, address: str) -> str:
        """A real one: it is that of whom the test goes to."""
        return self._links.unsubscribe(channel, address)

    def document(self, template: str, file: str) -> str:
        """None: a rule that makes files can't be tried."""
        return ""

    def qr(self, url: str, title: str, text: str) -> str:
        """As `document`."""
        return ""


def trial_of(document: Any, to: str) -> Any:
    """The document of a channel's action, for this address; None: it can't be tried."""
    replace = msgspec.structs.replace
    match document:
        case EmailDocument():
            own = Recipient(client=False, literal=(_always(to),))
            subject = _marked(document.subject, MARK)
            return replace(document, to=own, subject=subject, track=Track(), unsubscribes=False)
        case SmsDocument():
            return replace(document, to=OwnPhone(given=to), text=_marked(document.text, MARK))
        case CallDocument():
            text = _marked(document.text, SPOKEN) if document.text is not None else None
            return replace(document, to=OwnPhone(given=to), text=text)
        case ChatDocument():
            text = _marked(document.text, MARK)
            return OwnChat(text, document.html, document.provider, document.attachments, to)
        case WebhookDocument():
            headers = {**document.headers, HEADER: _always("true")}
            return replace(document, url=_always(to), headers=headers, auth="")  # that is for the real host
        case _:
            return None


def _always(text: str) -> Text:
    return lambda scope: text


def _marked(text: Text, mark: str) -> Text:
    return lambda scope: mark + text(scope)
