"""A PDF of the HTML of a document, with fpdf2 (docs/decisions/0020): headings, paragraphs, lists, tables,
emphasis, links, pictures; style sheets and scripts are left out.

Laws: it reads nothing but its job and the fonts that the configuration names: a picture is one of the job's,
whatever else an address says is refused. The same job gives the same bytes. It runs in a process of its own
(`press.py`), which may be killed at any moment. With the built-in fonts a text has the letters of
Windows-1252 (western Europe, with €); others need a font.
"""

import re
import warnings
from collections.abc import Mapping
from datetime import UTC, datetime
from io import BytesIO
from typing import Any, Final

from fpdf import FPDF, FPDFException
from fpdf.errors import FPDFUnicodeEncodingException
from msgspec import Struct
from PIL import Image

from stagewheel.server.limits import MADE_BYTES_MAX, MADE_PAGES_MAX, MADE_PIXELS_MAX

BUILT_IN: Final = "helvetica"
ENCODING: Final = "windows-1252"
FAMILY: Final = "own"
UNSEEN: Final = re.compile(r"<(style|script|title)\b.*?(</\1\s*>|\Z)", re.IGNORECASE | re.DOTALL)
COMMENT: Final = re.compile(r"<!--.*?(-->|\Z)", re.DOTALL)


class PdfJob(Struct):
    """What a PDF is made of. `fonts` are files by style: "", B, I, BI."""

    html: str
    title: str
    page: str
    at_ms: int
    pictures: dict[str, bytes] = {}  # as their `src` names them
    fonts: dict[str, str] = {}


class NotMade(Exception):
    """Why there is no PDF: the author's mistake."""


class _Paper(FPDF):
    def add_page(self, *args: Any, **named: Any) -> None:
        """Another page, within the bound."""
        if self.page_no() >= MADE_PAGES_MAX:
            raise NotMade(f"the document has more than {MADE_PAGES_MAX} pages")
        super().add_page(*args, **named)


def make_pdf(job: PdfJob) -> bytes:
    """The PDF. Raises NotMade."""
    Image.MAX_IMAGE_PIXELS = MADE_PIXELS_MAX
    paper = _Paper(format=job.page)
    paper.core_fonts_encoding = ENCODING
    paper.set_title(job.title)
    paper.set_creation_date(datetime.fromtimestamp(job.at_ms / 1000, UTC))
    paper.set_auto_page_break(True, margin=20)
    try:
        family = _font(paper, job.fonts)
        paper.set_font(family, size=11)
        paper.add_page()
        html = COMMENT.sub("", UNSEEN.sub("", job.html))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            paper.write_html(html, image_map=_pictures(job.pictures), font_family=family, ul_bullet_char="•")
        made = bytes(paper.output())
    except FPDFUnicodeEncodingException as error:
        why = f"the letter {error.character!r} is in no built-in font; name one, [channels.document] font"
        raise NotMade(why) from None
    except Image.DecompressionBombWarning:
        raise NotMade(f"a picture has more than {MADE_PIXELS_MAX} pixels") from None
    except (FPDFException, ValueError, KeyError, TypeError, OSError) as error:
        raise NotMade(f"no PDF can be made of the template: {error}") from None
    if len(made) > MADE_BYTES_MAX:
        raise NotMade(f"the document has more than {MADE_BYTES_MAX} bytes")
    return made


def _font(paper: FPDF, fonts: Mapping[str, str]) -> str:
    """The family in which the document is set; a style without a file of its own is the upright one."""
    if "" not in fonts:
        return BUILT_IN
    for style in ("", "B", "I", "BI"):
        paper.add_font(FAMILY, style=style, fname=fonts.get(style) or fonts[""])
    return FAMILY


def _pictures(pictures: Mapping[str, bytes]) -> Any:
    def found(source: str) -> BytesIO:
        data = pictures.get(source)
        if data is None:
            raise NotMade(f'{source[:100]!r} is no stored file; a picture is <img src="stored:ID">')
        return BytesIO(data)

    return found
