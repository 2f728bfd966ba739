"""Actions that leave a record for people: notifications, messages of the stream, entries of the history
(E1–E4), and replies to them.

Laws: what is said is rendered, stored and journalled within the turn (7.1), with the item's key and its link;
followers of the journal bring it to people. Who is not there any more is stood in for by the fallback user,
and the journal says so (7.9).
"""

from typing import Any

from stagewheel.protocol.journal import HistoryAdded, Notified, StreamPosted
from stagewheel.protocol.messages import Applied, Failed, ReplyStream, Result
from stagewheel.server.core.acting import DONE, FAILED, Acted, Asked
from stagewheel.server.core.choosing import NOBODY, asker, stand_in
from stagewheel.server.core.deciding import Deciding
from stagewheel.server.core.kept import HISTORY, NOTIFICATION, STREAM, keep
from stagewheel.server.core.limits import TEXT_BYTES_MAX
from stagewheel.server.core.plan_actions import HistoryPlan, NotifyPlan, Recipients, StreamPlan, Text


def notify(d: Deciding, action: NotifyPlan, asked: Asked) -> Acted:
    """Tell employees something."""
    ids = people(d, action.to, asked)
    if not ids:
        return Acted(FAILED, NOBODY)
    sender = _sender(d, action.sender, asked)
    text, link = action.text(d.scope), _link(d, action.link)
    number = keep(d, NOTIFICATION, asked.rule, text, _author(sender), to=ids, link=link)
    d.did.append(Notified(asked.rule, ids, text, number, sender, link))
    return Acted(DONE, "", {"notification": number})


def post_stream(d: Deciding, action: StreamPlan, asked: Asked) -> Acted:
    """A message in the activity stream of the item."""
    ids = people(d, action.to, asked)
    if not ids:
        return Acted(FAILED, NOBODY)
    author = _sender(d, action.sender, asked)
    text, link = action.text(d.scope), _link(d, action.link)
    held = d.item.fields
    files: dict[str, Any] = {name: held[name] for name in action.files if held.get(name) is not None}
    files |= {name: {"file": name} for name in action.stored}
    number = keep(d, STREAM, asked.rule, text, _author(author), to=ids, link=link, files=files)
    d.did.append(StreamPosted(asked.rule, number, author, ids, text, files, link=link))
    return Acted(DONE, "", {"message": number})


def add_history(d: Deciding, action: HistoryPlan, asked: Asked) -> Acted:
    """An entry of the history."""
    text = action.text(d.scope)
    number = keep(d, HISTORY, asked.rule, text, action.created_by)
    d.did.append(HistoryAdded(asked.rule, text, action.created_by, number))
    return Acted(DONE, "", {"history": number})


def replied(d: Deciding, m: ReplyStream) -> Result:
    """Somebody answers a message of the stream. That there is such a message was seen to before."""
    if not m.text or len(m.text.encode()) > TEXT_BYTES_MAX:
        return Failed("bad_value", f"a reply has a text of 1 to {TEXT_BYTES_MAX} bytes")
    number = keep(d, STREAM, "", m.text, _author(m.by), to=m.to, reply_to=m.message)
    d.did.append(StreamPosted("", number, m.by, m.to, m.text, reply_to=m.message))
    return Applied(d.item.entry)


def people(d: Deciding, who: Recipients, asked: Asked) -> list[int]:
    """The recipients; nobody left means the fallback user, if there is one (7.9)."""
    ids = who.people(d.scope)
    if ids:
        return ids
    missing: Any = who.named(d.scope) if who.named is not None else 0
    found = stand_in(d, missing, asker(asked))
    return [found] if found else []


def _sender(d: Deciding, who: Recipients | None, asked: Asked) -> int:
    """On whose behalf it is said; 0: the automation itself."""
    return next(iter(people(d, who, asked)), 0) if who is not None else 0


def _author(number: int) -> str:
    return str(number) if number else ""


def _link(d: Deciding, link: Text | None) -> str:
    return link(d.scope) if link is not None else ""
