"""Documents and QR codes, compiled (A10, A11).

Laws: a document is made of an HTML template of the ruleset; triggers know it by the template's name without
its folder and endings (`templates/offer.html.j2` is `offer`). A number is a text with `{{ n }}`, and
`{{ year }}` or `{{ month }}` if wanted: nothing of the item, so that the number of series stays small and
each is without gaps but for what was given up.
"""

import re
from typing import Final

from msgspec import structs

from stagewheel.server.core.documents import MONTH, YEAR, N
from stagewheel.server.core.plan_actions import ActionPlan, Text
from stagewheel.server.core.plan_documents import DOCUMENT, QR, FilePlan, NumberPlan
from stagewheel.server.core.scope import NO_LINKS, Scope
from stagewheel.server.rules.channel_plan import channel_plan
from stagewheel.server.rules.document_files import CreateDocumentDoc, CreateQrDoc, NumberDoc
from stagewheel.server.rules.files_doc import DocumentDocument, QrDocument
from stagewheel.server.rules.mistakes import nearest
from stagewheel.server.rules.templates import Made
from stagewheel.server.rules.where import Where

HTML: Final = (".html.j2",)
MARK: Final = re.compile(r"\{\{-?\s*(\w+)\s*-?\}\}")
MARKS: Final = {"n": N, "year": YEAR, "month": MONTH}
NUMBER_CHARS_MAX: Final = 100
CORRECTIONS: Final = {"low": "l", "medium": "m", "quartile": "q", "high": "h"}


def create_document(doc: CreateDocumentDoc, where: Where) -> ActionPlan:
    """A10."""
    names = structs.replace(where.names, documents=True)
    roots: set[str] = set()
    body: Text = _nothing
    if not doc.template.endswith(HTML):
        where.mistake(
            "template", "a document is made of an HTML template, a file NAME.html.j2 of the ruleset"
        )
    else:
        made = where.work.templates.sent_body(doc.template, where.place / "template", names)
        roots.update(made.roots)
        body = made.text
    title: Made | None = None
    if doc.title is not None:
        title = where.work.templates.sent(doc.title, where.place / "title", names)
        roots.update(title.roots)
    if doc.link and not where.work.templates.has_links:
        where.mistake("link", NO_LINKS)
    document = DocumentDocument(
        template=template_name(doc.template),
        format=doc.format,
        page=doc.page,
        body=body,
        title=title.text if title is not None else None,
        link=doc.link,
    )
    plan = channel_plan(
        DOCUMENT,
        document,
        roots,
        where,
        expires=doc.expires,
        on_unknown="retry",
        to_client=False,
        hours=doc.hours,
    )
    return FilePlan(
        **structs.asdict(plan),
        field=_field(doc.field, where),
        number=_number(doc.number, where),
        ending=f".{doc.format}",
    )


def create_qr(doc: CreateQrDoc, where: Where) -> ActionPlan:
    """A11."""
    if (doc.url is None) == (doc.text is None):
        where.mistake("", "a QR code leads to a 'url', or shows a 'text': one of them")
    if not where.work.templates.has_links:
        where.mistake("", NO_LINKS)
    roots: set[str] = set()

    def sent(source: str | None, key: str) -> Text | None:
        if source is None:
            return None
        made = where.work.templates.sent(source, where.place / key, where.names)
        roots.update(made.roots)
        return made.text

    document = QrDocument(
        url=sent(doc.url, "url"),
        title=sent(doc.title, "title"),
        text=sent(doc.text, "text"),
        scale=doc.scale,
        border=doc.border,
        correction=CORRECTIONS[doc.correction],
    )
    plan = channel_plan(
        QR, document, roots, where, expires=doc.expires, on_unknown="retry", to_client=False, hours=doc.hours
    )
    return FilePlan(**structs.asdict(plan), field=_field(doc.field, where), ending=".png")


def template_name(path: str) -> str:
    """`templates/offer.html.j2` -> `offer`."""
    return path.rpartition("/")[2].partition(".")[0]


def _nothing(scope: Scope) -> str:
    """Stands for a template that is refused."""
    return ""


def _field(name: str | None, where: Where) -> str:
    """The field that gets the file."""
    if name is None:
        return ""
    fields = where.names.entity.fields
    declared = fields.get(name)
    if declared is None:
        where.mistake("field", f"unknown field '{name}' of {where.names.entity.id}{nearest(name, fields)}")
    elif declared.type != "file":
        where.mistake("field", f"'{name}' is {declared.type}, not a file")
    return name


def _number(doc: NumberDoc | str | None, where: Where) -> NumberPlan | None:
    if doc is None:
        return None
    text, digits = (doc, 1) if isinstance(doc, str) else (doc.text, doc.digits)
    key = "number"
    found = MARK.findall(text)
    rest = MARK.sub("", text)
    if found.count("n") != 1:
        where.mistake(key, "a number has {{ n }} in it, once: that is what is counted")
    for name in found:
        if name not in MARKS:
            where.mistake(key, f"'{name}' can't stand in a number; known are {', '.join(MARKS)}")
    if "{" in rest or "}" in rest:
        where.mistake(key, "a number is a text with {{ n }}, {{ year }} and {{ month }} and no other braces")
    if len(text) > NUMBER_CHARS_MAX or not text.isprintable():
        where.mistake(key, f"a number is one line of at most {NUMBER_CHARS_MAX} characters")
    return NumberPlan(MARK.sub(lambda match: MARKS.get(match[1], ""), text), digits)
