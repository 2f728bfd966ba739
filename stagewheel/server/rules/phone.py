"""Text messages and calls to the client, compiled (H2, H3).

Laws: they leave at most once by default (`on_unknown: fail`, 8.2), since most providers take no idempotency
key, and expire after a day (8.7). Speech has the bounds that the markup of providers has.
"""

from typing import Final

from stagewheel.server.core.plan_actions import ActionPlan
from stagewheel.server.rules.channel_plan import channel_plan
from stagewheel.server.rules.document_actions import CallDoc, PhoneDoc, SayDoc, SendSmsDoc
from stagewheel.server.rules.phone_doc import CallDocument, ClientPhone, SmsDocument, Speech
from stagewheel.server.rules.templates import Made
from stagewheel.server.rules.where import Where

SPEEDS: Final = (0.2, 2.0)
VOLUMES: Final = (0.1, 2.0)


def send_sms(doc: SendSmsDoc, where: Where) -> ActionPlan:
    """H2: a template, the first number of a type or of any, a provider."""
    text = where.work.templates.sent_body(doc.text, where.place / "text", where.names)
    if doc.to is not None and doc.to.use == "last":
        where.work.log.mistake(
            where.place / "to" / "use", "a text message goes to the first number; narrow them by 'type'"
        )
    return _plan("sms", SmsDocument(_phone(doc.to), text.text, doc.provider), set(text.roots), doc, where)


def call(doc: CallDoc, where: Where) -> ActionPlan:
    """H3: a text to say or a file to play, one of them."""
    roots: set[str] = set()

    def sent(source: str, *keys: str) -> Made:
        place = where.place
        for key in keys:
            place = place / key
        made = where.work.templates.sent(source, place, where.names)
        roots.update(made.roots)
        return made

    if (doc.say is None) == (doc.play is None):
        both = "'say' and 'play' exclude each other" if doc.say is not None else "it says neither"
        where.mistake("play" if doc.play is not None else "", f"a call says a text or plays a file; {both}")
    if doc.play is not None and not doc.play.startswith(("http://", "https://", "{{")):
        where.mistake("play", "expected the address of an audio file, which begins with https://")
    say = doc.say
    if say is not None:
        _between(say, "speed", SPEEDS, where)
        _between(say, "volume", VOLUMES, where)
    document = CallDocument(
        to=_phone(doc.to),
        from_number=sent(doc.from_number, "from_number").text if doc.from_number else None,
        text=sent(say.text, "say", "text").text if say is not None else None,
        manner=Speech("", say.speed, say.volume, say.language, say.voice) if say is not None else Speech(""),
        play=sent(doc.play, "play").text if doc.play is not None else None,
        provider=doc.provider,
    )
    return _plan("call", document, roots, doc, where)


def _phone(doc: PhoneDoc | None) -> ClientPhone:
    return ClientPhone() if doc is None else ClientPhone(doc.type, doc.use == "last")


def _between(say: SayDoc, name: str, bounds: tuple[float, float], where: Where) -> None:
    low, high = bounds
    if not low <= getattr(say, name) <= high:
        where.work.log.mistake(
            where.place / "say" / name, f"{name} is from {low:g} to {high:g}; 1 is as the voice has it"
        )


def _plan(
    channel: str,
    document: SmsDocument | CallDocument,
    roots: set[str],
    doc: SendSmsDoc | CallDoc,
    where: Where,
) -> ActionPlan:
    return channel_plan(
        channel,
        document,
        roots,
        where,
        expires=doc.expires,
        on_unknown=doc.on_unknown,
        to_client=True,
        transactional=doc.transactional,
        hours=doc.hours,
        provider=doc.provider,
    )
