"""E-mails of the document, as plans (H1)."""

from stagewheel.server.core.plan_actions import ActionPlan
from stagewheel.server.core.scope import NO_LINKS
from stagewheel.server.rules.attachments import compile_attachments
from stagewheel.server.rules.channel_plan import channel_plan
from stagewheel.server.rules.channels_doc import EmailDocument, Recipient
from stagewheel.server.rules.document_actions import RecipientDoc, SendEmailDoc, TrackDoc
from stagewheel.server.rules.people import RESPONSIBLE, SUPERVISOR, compile_people
from stagewheel.server.rules.reader import shown
from stagewheel.server.rules.templates import Made
from stagewheel.server.rules.tracking import Track
from stagewheel.server.rules.where import Where

CLIENT = "client"
AUTO = "auto"


def send_email(doc: SendEmailDoc, where: Where) -> ActionPlan:
    roots: set[str] = set()
    to = _recipient(doc.to, where, roots)
    sender: Made | None = None
    if doc.sender == AUTO:
        roots.add(RESPONSIBLE)
    else:
        sender = sent(doc.sender, "from", where, roots)
        if "{{" not in doc.sender and "@" not in doc.sender:
            where.mistake("from", f"expected 'auto' or an e-mail address, got {shown(doc.sender)}")
    subject = sent(doc.subject, "subject", where, roots)
    body = where.work.templates.sent_body(doc.body, where.place / "body", where.names)
    roots.update(body.roots)
    html = doc.body.endswith((".html.j2", ".html"))
    document = EmailDocument(
        to=to,
        sender=sender.text if sender is not None else None,
        subject=subject.text,
        text=None if html else body.text,
        html=body.text if html else None,
        track=_track(doc.track, html, where),
        attachments=compile_attachments(doc.attachments, where),
        unsubscribes=to.outside and not doc.transactional,
    )
    return channel_plan(
        "email",
        document,
        roots,
        where,
        expires=doc.expires,
        on_unknown=doc.on_unknown,
        to_client=to.client,
        people=to.carries if to.people is not None else None,
        transactional=doc.transactional,
        hours=doc.hours,
        provider=doc.provider,
    )


def _track(doc: TrackDoc | None, html: bool, where: Where) -> Track:
    if doc is None:
        return Track()
    if (doc.clicks or doc.opens) and not where.work.templates.has_links:
        where.mistake("track", NO_LINKS)
    if doc.opens and not html:
        where.work.log.mistake(
            where.place / "track" / "opens",
            "opening is noticed by a picture, which only an HTML body has (a template NAME.html.j2)",
        )
    return Track(doc.clicks, doc.opens)


def sent(source: str, key: str, where: Where, roots: set[str]) -> Made:
    made = where.work.templates.sent(source, where.place / key, where.names)
    roots.update(made.roots)
    return made


def _recipient(
    raw: RecipientDoc | int | str | list[int | str] | None, where: Where, roots: set[str]
) -> Recipient:
    doc = raw if isinstance(raw, RecipientDoc) else RecipientDoc(who=CLIENT if raw is None else raw)
    place = where.place / "to" / "who" if isinstance(raw, RecipientDoc) else where.place / "to"
    client = False
    literal: list[Made] = []
    people: list[int | str] = []
    who = doc.who if isinstance(doc.who, list) else [doc.who]
    if not who:
        where.work.log.mistake(place, "the list of recipients is empty")
    for one in who:
        if one == CLIENT:
            client = True
        elif isinstance(one, str) and ("@" in one or "{{" in one):
            literal.append(where.work.templates.sent(one, place, where.names))
            roots.update(literal[-1].roots)
        else:
            people.append(one)
    if RESPONSIBLE in people or SUPERVISOR in people:
        roots.add(RESPONSIBLE)
    compiled = None
    if people:
        where.work.check_employees(people, place)
        compiled = compile_people(people, place, where.names, where.work.templates, where.work.log)
    return Recipient(
        client=client,
        people=compiled,
        literal=tuple(made.text for made in literal),
        type=doc.type,
        last=doc.use == "last",
        upwards=SUPERVISOR in people,
    )
