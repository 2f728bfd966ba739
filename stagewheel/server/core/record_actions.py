"""Actions that leave a record: notifications and entries of the history (E1, E2, E4)."""

from stagewheel.protocol.journal import HistoryAdded, Notified
from stagewheel.server.core.acting import ACTED_DONE, FAILED, Acted, Asked
from stagewheel.server.core.deciding import Deciding
from stagewheel.server.core.plan_actions import HistoryPlan, NotifyPlan, People


def _people(d: Deciding, who: People) -> list[int]:
    """The recipients; nobody left means the fallback user, if known (7.9)."""
    ids = who(d.scope)
    if not ids:
        version = d.facts.versions.get(d.item.version)
        if version is not None and version.fallback_user in d.facts.employees:
            return [version.fallback_user]
    return ids


def notify(d: Deciding, action: NotifyPlan, asked: Asked) -> Acted:
    ids = _people(d, action.to)
    if not ids:
        return Acted(FAILED, "nobody left")
    d.did.append(Notified(asked.rule, ids, action.text(d.scope)))
    return ACTED_DONE


def add_history(d: Deciding, action: HistoryPlan, asked: Asked) -> Acted:
    d.did.append(HistoryAdded(asked.rule, action.text(d.scope), action.created_by))
    return ACTED_DONE
