"""Text messages and calls: what they say is checked with its place; there is no channel for them yet."""

from stagewheel.server.core.plan_actions import ActionPlan, HistoryPlan
from stagewheel.server.rules.document_actions import CallDoc, SendSmsDoc
from stagewheel.server.rules.reader import NOT_YET
from stagewheel.server.rules.where import Where


def check_sms(doc: SendSmsDoc, where: Where) -> ActionPlan:
    """H2: text, address type and provider."""
    before = where.work.log.count()
    where.work.templates.sent(doc.text, where.place / "text", where.names)
    where.work.check_provider("sms", doc.provider, where.place / "provider")
    return _refused("send_sms", before, where)


def check_call(doc: CallDoc, where: Where) -> ActionPlan:
    """H3: a text to say or a file to play, one of them."""
    before = where.work.log.count()
    if (doc.say is None) == (doc.play is None):
        both = "'say' and 'play' exclude each other" if doc.say is not None else "it says neither"
        where.mistake("play" if doc.play is not None else "", f"a call says a text or plays a file; {both}")
    if doc.say is not None:
        where.work.templates.sent(doc.say.text, where.place / "say" / "text", where.names)
    where.work.check_provider("call", doc.provider, where.place / "provider")
    return _refused("call", before, where)


def _refused(kind: str, before: int, where: Where) -> ActionPlan:
    """One mistake is enough: what is wrong in itself is told first."""
    if where.work.log.count() == before:
        where.mistake("do", f"the action '{kind}' {NOT_YET}")
    return HistoryPlan(index=0, text=lambda scope: "")
