"""The text alternative of an HTML mail: what a reader without HTML is shown, with the addresses of its links.

Laws: pure, linear in what it is given, and never fails. Scripts, styles and heads say nothing; a link is its
words and then its address, unless the words are the address; a picture is its `alt`.
"""

import re
from html.parser import HTMLParser
from typing import Final

HIDDEN: Final = frozenset({"script", "style", "head", "title", "template"})
_BREAKS: Final = frozenset(
    {
        "address",
        "article",
        "blockquote",
        "br",
        "dd",
        "div",
        "dl",
        "dt",
        "footer",
        "form",
        "h1",
        "h2",
        "h3",
        "h4",
    }
    | {"h5", "h6", "header", "hr", "li", "main", "ol", "p", "pre", "section", "table", "tr", "ul"}
)
_APART: Final = frozenset({"blockquote", "h1", "h2", "h3", "h4", "h5", "h6", "ol", "p", "pre", "table", "ul"})
_WEB: Final = ("http://", "https://", "mailto:", "tel:")
_SPACES: Final = re.compile(r"[ \t\r\f\v\xa0\u200b]+")
_GAPS: Final = re.compile(r"\n{3,}")


def plain_text(html: str) -> str:
    """The text of an HTML mail; "" if it shows none."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return tidied("".join(reader.parts))


def tidied(text: str) -> str:
    """One space between words, no spaces around a line, one empty line at the most."""
    lines = [_SPACES.sub(" ", line).strip() for line in text.split("\n")]
    return _GAPS.sub("\n\n", "\n".join(lines)).strip()


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._hidden = ""  # the element whose end is waited for
        self._link = ""
        self._words_from = 0  # where the words of the link begin

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._hidden:
            return
        if tag in HIDDEN:
            self._hidden = tag
            return
        held = dict(attrs)
        self._break(tag)
        if tag == "li":
            self.parts.append("- ")
        elif tag in ("td", "th"):
            self.parts.append(" ")
        elif tag == "img":
            self.parts.append(held.get("alt") or "")
        elif tag == "a":
            self._end_link()
            self._link, self._words_from = (held.get("href") or "").strip(), len(self.parts)

    def handle_endtag(self, tag: str) -> None:
        if tag == self._hidden:
            self._hidden = ""
        elif not self._hidden:
            if tag == "a":
                self._end_link()
            self._break(tag)

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.parts.append(data.replace("\n", " "))

    def close(self) -> None:
        super().close()
        self._end_link()

    def _break(self, tag: str) -> None:
        if tag in _BREAKS:
            self.parts.append("\n\n" if tag in _APART else "\n")

    def _end_link(self) -> None:
        link, self._link = self._link, ""
        words = "".join(self.parts[self._words_from :]).strip()
        if link.startswith(_WEB) and link.removeprefix("mailto:").removeprefix("tel:") != words:
            self.parts.append(f" ({link})" if words else link)
