"""What a channel action says, compiled: the `document` of a ChannelPlan. The turn asks it only what it
lacks; a sender renders it with the scope of the decision.

Laws: `render(scope)` reads the scope and nothing else, so that every attempt renders the same bytes; it
raises TemplateFailed when a template can't be rendered, which no retry will change. Addresses keep the
order in which they were added; a type narrows the list, `auto` takes all of it; the first or the last of
what is left is taken (7.8).
"""

import re
from collections.abc import Callable
from typing import Final

import msgspec
from msgspec import Struct

from stagewheel.protocol.messages import Address
from stagewheel.server.core.plan_actions import People, Text, Value
from stagewheel.server.core.scope import Scope
from stagewheel.server.rules.attachments import NOTHING_ATTACHED, Attached, Attachments
from stagewheel.server.rules.tracking import Track, links_of, tracked_html, tracked_text, unsubscribe_url

AUTO = "auto"
SECRETS = "webhook.secrets"  # in what a server has: the names of the secrets that webhooks may use
PROVIDER_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


class EmailContent(Struct, frozen=True):
    """An e-mail, rendered.

    `from_` is "" when the channel's default sender is meant, `from_name` that of a person who sends it
    automatically; one of `text` and `html` is set.
    """

    from_: str
    to: tuple[str, ...]
    subject: str
    text: str
    html: str
    unsubscribe: str = ""  # the address by which a mail program unsubscribes the recipient
    calendar: str = ""  # an iCalendar request, beside the text
    attachments: tuple[Attached, ...] = ()
    from_name: str = ""


class WebhookContent(Struct, frozen=True):
    """An HTTP request, rendered. `headers` hold a content type if there is a body; `sign` and `auth` are
    names of secrets.
    """

    method: str
    url: str
    headers: dict[str, str]
    body: bytes
    sign: str = ""
    auth: str = ""


class Recipient(Struct, frozen=True):
    """Who gets an e-mail: the client, employees, or literal addresses (a template for each)."""

    client: bool = True
    people: People | None = None
    literal: tuple[Text, ...] = ()
    type: str = AUTO
    last: bool = False
    upwards: bool = (
        False  # the supervisor is among the people, so a sender needs the line above the responsible
    )

    @property
    def outside(self) -> bool:
        """Does it go to anybody but employees?"""
        return self.client or bool(self.literal)

    def addresses(self, scope: Scope) -> list[str]:
        """The addresses, in order, each once."""
        found: list[str] = []
        if self.client and scope.client is not None:
            found += self._chosen(scope.client.emails)
        if self.people is not None:
            for number in self.people(scope):
                found += self._chosen(scope.employees[number].emails)
        for literal in self.literal:
            found += [part.strip() for part in literal(scope).split(",") if part.strip()]
        return [one for one in dict.fromkeys(found) if one not in scope.left_out]

    def reached(self, scope: Scope) -> tuple[list[str], bool]:
        """The client's and literal addresses, which can be suppressed (8.8), and whether employees get it as
        well.
        """
        outside: list[str] = []
        if self.client and scope.client is not None:
            outside += self._chosen(scope.client.emails)
        for literal in self.literal:
            outside += [part.strip() for part in literal(scope).split(",") if part.strip()]
        of_employees = self.people is not None and any(
            self._chosen(scope.employees[number].emails) for number in self.people(scope)
        )
        return list(dict.fromkeys(outside)), of_employees

    def carries(self, scope: Scope) -> list[int]:
        """Employees besides the responsible whose rows a sender needs to find the same addresses."""
        if self.people is None:
            return []
        found = self.people(scope)
        above = scope.responsible if self.upwards else None
        while above is not None and above.supervisor and above.supervisor not in found:
            found = [*found, above.supervisor]
            above = scope.employees.get(above.supervisor)
        return [number for number in found if number in scope.employees]

    def lacks(self, scope: Scope) -> str:
        """Why there is nobody to write to, or ""."""
        client = scope.item.client
        if self.client and client is not None:
            wanted = self.type
            for address in client.emails:  # the common case, without building a list
                if address.address and (wanted == AUTO or wanted == address.type):
                    return ""
        if self.addresses(scope):
            return ""
        kind = "e-mail address" if self.type == AUTO else f"e-mail address of type {self.type}"
        if self.client and self.people is None and not self.literal:
            return "the item has no client" if scope.client is None else f"the client has no {kind}"
        if self.people is not None and not self.people(scope):
            return "nobody left"
        return f"no recipient has an {kind}"

    def _chosen(self, addresses: list[Address]) -> list[str]:
        fitting = [a.address for a in addresses if a.address and self.type in (AUTO, a.type)]
        if not fitting:
            return []
        return [fitting[-1] if self.last else fitting[0]]


class EmailDocument(Struct, frozen=True):
    """H1.

    `sender` None: automatic, the first address of the responsible, else the channel's default sender.
    """

    to: Recipient
    sender: Text | None
    subject: Text
    text: Text | None
    html: Text | None
    track: Track = Track()
    attachments: Attachments = NOTHING_ATTACHED
    unsubscribes: bool = False  # it has the headers by which mail programs unsubscribe (RFC 8058)

    def lacks(self, scope: Scope) -> str:
        """Why it can't be sent, or "". The channel's default sender is known to the sender process alone."""
        return self.to.lacks(scope) or self.attachments.lacks(scope)

    def lacking(self) -> Callable[[Scope], str]:
        """`lacks`, without a look at attachments that there are not."""
        return self.lacks if self.attachments.parts else self.to.lacks

    def needs_any(self) -> bool:
        """Does it lack nothing when the client has any address?"""
        return self.to.client and self.to.type == AUTO and not self.attachments.parts

    def reached(self, scope: Scope) -> tuple[list[str], bool]:
        """Whom it reaches that can be suppressed (8.8)."""
        return self.to.reached(scope)

    def render(self, scope: Scope) -> EmailContent:
        """The e-mail. Raises TemplateFailed."""
        to = tuple(self.to.addresses(scope))
        outside = self.to.reached(scope)[0] if scope.links is not None else []
        scope.to = ("email", next((one for one in outside if one in to), ""))
        subject = " ".join(self.subject(scope).split())  # a header is one line, whatever a field holds
        return EmailContent(
            from_=self._from(scope),
            to=to,
            subject=subject,
            text=self._text(scope),
            html=self._html(scope),
            unsubscribe=self._unsubscribe(scope, to),
            attachments=self.attachments.of(scope),
            from_name=name_of(scope) if self.sender is None else "",
        )

    def _text(self, scope: Scope) -> str:
        text = self.text(scope) if self.text is not None else ""
        return tracked_text(text, self.track, links_of(scope)) if self.track.clicks else text

    def _html(self, scope: Scope) -> str:
        html = self.html(scope) if self.html is not None else ""
        return tracked_html(html, self.track, links_of(scope)) if html and self.track != Track() else html

    def _unsubscribe(self, scope: Scope, to: tuple[str, ...]) -> str:
        """The address behind the button of mail programs; "" if the mail goes to others as well, who would
        unsubscribe somebody else.
        """
        wanted = self.unsubscribes and scope.links is not None and to == (scope.to[1],)
        return unsubscribe_url(scope) if wanted else ""

    def _from(self, scope: Scope) -> str:
        if self.sender is not None:
            return " ".join(self.sender(scope).split())
        responsible = scope.responsible
        return responsible.emails[0].address if responsible is not None and responsible.emails else ""


def name_of(scope: Scope) -> str:
    """Beside the address of a responsible person who sends automatically (7.8)."""
    responsible = scope.responsible
    return " ".join(responsible.name.split()) if responsible is not None and responsible.emails else ""


class WebhookDocument(Struct, frozen=True):
    """H6. `body` is a template, or `json` a value whose texts are templates; neither: no body."""

    method: str
    url: Text
    headers: dict[str, Text]
    body: Text | None = None
    json: Value | None = None
    sign: str = ""
    auth: str = ""

    def lacks(self, scope: Scope) -> str:
        """A webhook needs nothing of the item."""
        return ""

    def render(self, scope: Scope) -> WebhookContent:
        """The request. Raises TemplateFailed."""
        headers = {name: " ".join(text(scope).split()) for name, text in self.headers.items()}
        body = b""
        if self.json is not None:
            body = msgspec.json.encode(self.json(scope))
            _default(headers, "Content-Type", "application/json")
        elif self.body is not None:
            body = self.body(scope).encode()
            _default(headers, "Content-Type", "text/plain; charset=utf-8")
        return WebhookContent(self.method, self.url(scope).strip(), headers, body, self.sign, self.auth)


def _default(headers: dict[str, str], name: str, value: str) -> None:
    if not any(known.lower() == name.lower() for known in headers):
        headers[name] = value


ChannelDocument = EmailDocument | WebhookDocument
