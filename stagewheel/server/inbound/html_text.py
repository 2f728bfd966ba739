"""The text of an HTML mail, for conditions and templates: what a reader would see, line by line.

Laws: pure, and linear in what it is given; nothing of scripts, styles and heads is kept. It never fails: what
is no HTML is text.

The parser of the standard library looks for the end of each comment and tag up to the end of the text, as
often as one begins. So it is given none without an end: comments are taken out before, and what stands
behind the last `>` is text.
"""

import re
from html import unescape
from html.parser import HTMLParser
from typing import Final

from stagewheel.server.channels.plain_text import HIDDEN, tidied
from stagewheel.server.limits import INBOUND_HTML_CHARS_MAX

_LINES: Final = frozenset(
    {"address", "blockquote", "br", "div", "dl", "dt", "dd", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li"}
    | {"ol", "p", "pre", "section", "article", "table", "tr", "ul"}
)
_UNREAD: Final = re.compile(r"<!--.*?(?:-->|\Z)|<[!?][^>]*(?:>|\Z)", re.DOTALL)  # comments, declarations


def text_of(html: str) -> str:
    """The text."""
    html = _UNREAD.sub("", html[:INBOUND_HTML_CHARS_MAX])
    end = html.rfind(">") + 1
    reader = _Reader()
    reader.feed(html[:end])
    reader.close()
    reader.handle_data(unescape(html[end:]))
    return tidied("".join(reader.parts))


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._hidden = ""  # the element whose end is waited for

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if not self._hidden and tag in HIDDEN:
            self._hidden = tag
        self._line(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._line(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag == self._hidden or (self._hidden in ("head", "title") and tag in ("head", "html")):
            self._hidden = ""
        self._line(tag)

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.parts.append(data.replace("\n", " "))

    def _line(self, tag: str) -> None:
        if tag == "body":
            self._hidden = ""
        if not self._hidden and tag in _LINES:
            self.parts.append("\n")
