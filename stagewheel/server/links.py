"""Addresses of the edge that leave in messages and come back by a browser: signed, so that nobody makes one
up.

    https://edge.shop.example/c/SIGNED      a click, which leads on to the address that was signed
    https://edge.shop.example/o/SIGNED.gif  a picture: the mail was opened
    https://edge.shop.example/u/SIGNED      the page on which an address ends its subscription
    https://edge.shop.example/d/SIGNED      a document, to be looked at
    https://edge.shop.example/q/SIGNED      what a QR code holds: it leads on, or shows a text
    https://edge.shop.example/s/SIGNED      where a provider tells what became of a text message or a call

Laws: they are made in a sender process, out of `[edge] public_url` and `[edge] signing_key…`; a decision
never sees the key, and no link is stored anywhere. The same action makes the same links at every attempt, so
a link has no end of its own: a mail is clicked after years. What was signed for one route is not taken by
another. Without `public_url` there are no links, and what needs one fails with that reason.

Another kind of link is one line more in `Links`, with a letter for its route.
"""

from typing import Any, Final, Protocol, TypeVar

import msgspec
from msgspec import Struct

from stagewheel.errors import CallerError
from stagewheel.server import invitations
from stagewheel.server.core.scope import LinkMaker
from stagewheel.server.edge.config import EdgeConfig, read_signing_key
from stagewheel.server.edge.signing import BadSignature, read_signed, sign

CLICK: Final = "c"
OPEN: Final = "o"
UNSUBSCRIBE: Final = "u"
STATUS: Final = "s"
DOCUMENT: Final = "d"
QR: Final = "q"

T = TypeVar("T")
_encode = msgspec.json.Encoder().encode


class Origin(Struct, frozen=True, array_like=True):
    """Which action a link stands in: of which item and rule, and under which step it was decided first."""

    item: str
    rule: str
    step: int


class Clicked(Struct, frozen=True, array_like=True):
    """What a click's link holds."""

    origin: Origin
    url: str


class Unsubscribing(Struct, frozen=True, array_like=True):
    """What the link holds by which an address ends its subscription of a channel."""

    origin: Origin
    channel: str
    address: str


class Delivering(Struct, frozen=True, array_like=True):
    """What the link holds by which a provider tells what became of a delivery: through which lane it went,
    of which item and rule, the number of its dispatch, and to whom.
    """

    lane: str
    item: str
    rule: str
    number: int
    address: str


class Showing(Struct, frozen=True, array_like=True):
    """What the link of a document holds: the template that it was made of, and the stored file."""

    origin: Origin
    template: str
    file: str


class Scanned(Struct, frozen=True, array_like=True):
    """What a QR code's link holds: the address it leads to, or a page's title and text."""

    origin: Origin
    url: str
    title: str = ""
    text: str = ""


class Links:
    """Makes signed addresses of the edge."""

    def __init__(self, public_url: str, key: bytes) -> None:
        self.public_url = public_url.rstrip("/")
        self._key = key

    def __repr__(self) -> str:
        return f"Links({self.public_url!r}, …)"

    @property
    def secure(self) -> bool:
        """Whether they are https, which one-click unsubscribing needs (RFC 8058)."""
        return self.public_url.startswith("https://")

    def click(self, origin: Origin, url: str) -> str:
        """The address that tells of a click and leads to `url`. Raises CallerError for one that is too
        long.
        """
        return self.link(CLICK, Clicked(origin, url))

    def open(self, origin: Origin) -> str:
        """The address of the picture that tells that a mail was opened."""
        return self.link(OPEN, origin) + ".gif"

    def unsubscribe(self, origin: Origin, channel: str, address: str) -> str:
        """The address of the page on which this address ends its subscription of the channel."""
        return self.link(UNSUBSCRIBE, Unsubscribing(origin, channel, address))

    def document(self, origin: Origin, template: str, file: str) -> str:
        """The address at which a document is looked at."""
        return self.link(DOCUMENT, Showing(origin, template, file))

    def qr(self, origin: Origin, url: str, title: str, text: str) -> str:
        """The address that a QR code holds. Raises CallerError for one that is too long."""
        return self.link(QR, Scanned(origin, url, title, text))

    def status(self, delivering: Delivering) -> str:
        """The address at which a provider tells what became of a delivery."""
        return self.link(STATUS, delivering)

    def invitation(self, bot: str, number: int) -> str:
        """The link by which a client comes into a chat with a bot."""
        return invitations.link(self._key, bot, number)

    def link(self, route: str, content: Any) -> str:
        """The address `/ROUTE/SIGNED` whose value is `content`: what can be written as JSON. Raises
        CallerError for one that is too long.
        """
        return f"{self.public_url}/{route}/{self.signed(purpose_of(route), content)}"

    def of(self, origin: Origin) -> "ActionLinks":
        """The links of one action."""
        return ActionLinks(self, origin)

    def signed(self, purpose: str, content: Any) -> str:
        """A signed value alone, without an end."""
        return sign(self._key, purpose, _encode(content).decode(), 0)


class LinksOf(Protocol):
    """What rendering needs of `Links`; scenarios have one without an edge."""

    def of(self, origin: Origin) -> LinkMaker:
        """The links of one action."""


class ActionLinks:
    """The links of one action, as its texts ask for them (`core.scope.LinkMaker`)."""

    def __init__(self, links: Links, origin: Origin) -> None:
        self._links, self._origin = links, origin

    def click(self, url: str) -> str:
        """The address that tells of a click and leads on. One of the edge itself, and one that is too long to
        be signed, stay as they are.
        """
        if url.startswith(f"{self._links.public_url}/"):
            return url
        try:
            return self._links.click(self._origin, url)
        except CallerError:
            return url

    def open(self) -> str:
        """The address of the picture that tells that a mail was opened."""
        return self._links.open(self._origin)

    def unsubscribe(self, channel: str, address: str) -> str:
        """The address of the page on which this address ends its subscription."""
        return self._links.unsubscribe(self._origin, channel, address)

    def document(self, template: str, file: str) -> str:
        """The address at which a document is looked at."""
        return self._links.document(self._origin, template, file)

    def qr(self, url: str, title: str, text: str) -> str:
        """The address that a QR code holds. Raises CallerError for one that is too long."""
        return self._links.qr(self._origin, url, title, text)


def served_links(config: EdgeConfig | None) -> list[str]:
    """For rules that need links: under which address this server has them; none: it has not."""
    return [config.public_url] if config is not None and config.public_url else []


def purpose_of(route: str) -> str:
    """What the value of a link is signed for."""
    return f"link:{route}"


def read_link(kind: type[T], key: bytes, route: str, signed: str, now_s: float) -> T:
    """The content of a link, at the edge. Raises `BadSignature`, `SignatureEnded`."""
    value = read_signed(key, purpose_of(route), signed, now_s)
    try:
        return msgspec.json.decode(value, type=kind)
    except msgspec.DecodeError:
        raise BadSignature("the signed value is of another version") from None


def open_links(config: EdgeConfig | None) -> Links | None:
    """The links of a configuration; None where it has no `public_url`. Raises OperatorError for a key that
    can't be read.
    """
    if config is None or not config.public_url:
        return None
    return Links(config.public_url, read_signing_key(config))
