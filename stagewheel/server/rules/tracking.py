"""Links of a message on their way out (H1): those that tell of a click, the picture that tells that a mail
was opened, and the one by which an address unsubscribes.

Laws: done by the sender, when the message is rendered, since only a sender can sign (`server/links.py`); a
text keeps every other byte. Only addresses that begin with http:// or https:// are led over the edge. In HTML
those are the `href` of `a` and `area`, outside of comments and scripts; in a plain text, what reads as an
address. What a template has signed itself (`| tracked`, `unsubscribe_url`) is left alone. Where there are no
links (no `[edge] public_url`) a message that asks for them is not sent, with that reason.
"""

import re
from html import escape, unescape
from html.parser import HTMLParser
from typing import Final

from msgspec import Struct

from stagewheel.server.core.scope import LinkMaker, LinksMissing, Scope

LINKS: Final = "links"  # in `served`: under which address a server has them
_HREF: Final = re.compile(r"""(\shref\s*=\s*)("[^"]*"|'[^']*'|[^\s"'>]+)""", re.IGNORECASE)
_ADDRESS: Final = re.compile(r"""https?://[^\s<>"']+""", re.IGNORECASE)
_BODY_END: Final = re.compile(r"</body\s*>", re.IGNORECASE)
_WEB: Final = ("http://", "https://")
_TAGS: Final = ("a", "area")
_BEHIND: Final = ".,;:!?"
_PAIRS: Final = {")": "(", "]": "[", "}": "{"}


class Track(Struct, frozen=True):
    """What of an e-mail is to be noticed."""

    clicks: bool = False
    opens: bool = False


def links_of(scope: Scope) -> LinkMaker:
    """The links of this action. Raises `LinksMissing`."""
    if scope.links is None:
        raise LinksMissing
    return scope.links


def unsubscribe_url(scope: Scope) -> str:
    """The address of the page on which whom this message goes to unsubscribes. Raises `LinksMissing`."""
    channel, address = scope.to
    return links_of(scope).unsubscribe(channel, address) if address else ""


def tracked_html(html: str, track: Track, links: LinkMaker) -> str:
    """An HTML body with its links led over the edge, and the picture at its end."""
    if track.clicks:
        html = _rewritten(html, links)
    if track.opens:
        html = _with_picture(html, links.open())
    return html


def tracked_text(text: str, track: Track, links: LinkMaker) -> str:
    """A plain text with its addresses led over the edge."""

    def signed(match: re.Match[str]) -> str:
        url, rest = _without_end(match[0])
        return f"{links.click(url)}{rest}"

    return _ADDRESS.sub(signed, text) if track.clicks else text


def _without_end(written: str) -> tuple[str, str]:
    """What belongs to an address, and the punctuation of the sentence around it."""
    end = len(written)
    while end:
        last = written[end - 1]
        opened = _PAIRS.get(last)
        if last not in _BEHIND and (opened is None or opened in written[:end]):
            break
        end -= 1
    return written[:end], written[end:]


def _with_picture(html: str, url: str) -> str:
    picture = f'<img src="{escape(url)}" width="1" height="1" alt="" style="border:0">' if url else ""
    ends = list(_BODY_END.finditer(html))
    at = ends[-1].start() if ends else len(html)
    return html[:at] + picture + html[at:]


def _rewritten(html: str, links: LinkMaker) -> str:
    finder = _Finder()
    finder.feed(html)
    finder.close()
    lines = [0]
    for written in html.split("\n"):
        lines.append(lines[-1] + len(written) + 1)
    parts, done = [], 0
    for line, column, tag in finder.tags:
        at = lines[line - 1] + column
        if html[at : at + len(tag)] != tag:
            continue
        parts += [html[done:at], _HREF.sub(lambda match: _href(match, links), tag, count=1)]
        done = at + len(tag)
    return "".join([*parts, html[done:]])


def _href(match: re.Match[str], links: LinkMaker) -> str:
    written = match[2]
    url = unescape(written.strip("\"'")).strip()
    if not url.lower().startswith(_WEB):
        return match[0]
    return f'{match[1]}"{escape(links.click(url))}"'


class _Finder(HTMLParser):
    """Finds where tags with an address begin, and how they are written."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.tags: list[tuple[int, int, str]] = []  # line from 1, column from 0, the tag

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        written = self.get_starttag_text()
        if tag in _TAGS and written:
            self.tags.append((*self.getpos(), written))
