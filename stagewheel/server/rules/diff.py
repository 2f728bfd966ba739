"""What differs between two rulesets, for people who publish: pipelines, stages, rules, triggers, workflows,
fields and templates that were added, removed, changed or moved, by id.

Laws: what is compared is what was written, not what it compiles to, so a reader finds each line of the answer
in a file; which file a part stands in makes no difference, and neither do comments, quotes and the order of
keys. A part is known by its id alone: a rule that stands in another stage was *moved*, and one whose place
among those that stayed is another was, too, because order has a meaning (2.7, 5.2). Lists without ids (steps,
recipients) are laid beside each other by their longest common part.
"""

import difflib
import json
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal

from msgspec import UNSET, Struct, UnsetType, field

from stagewheel.server.rules.merge import ENDINGS, documents
from stagewheel.server.rules.mistakes import Log

How = Literal["added", "removed", "changed", "moved"]
PARTS: Final = ("setting", "entity", "field", "pipeline", "stage", "rule", "trigger", "workflow", "template")
HELD_BY_ID: Final = frozenset({"entities", "pipelines", "workflows"})


class Key(Struct, frozen=True):
    """A value that differs, by its path within the part; UNSET is a value that is not there."""

    path: str
    old: Any | UnsetType = UNSET
    new: Any | UnsetType = UNSET


class Change(Struct, frozen=True):
    """One part that differs. `where` is where it stands now (or stood, if it was removed), `was` where it
    stood before it was moved.
    """

    part: str
    id: str
    how: How
    where: str = ""
    was: str = ""
    keys: list[Key] = []


class _Part(Struct, frozen=True):
    """A part as it was written: its place (and which in order there), and its values without parts inside."""

    where: str
    value: Any


class _Outline(Struct):
    """A ruleset as parts by kind and id. `orders` holds the ids as they stand, by kind and place."""

    parts: dict[str, dict[str, _Part]] = field(default_factory=lambda: {kind: {} for kind in PARTS})
    orders: dict[tuple[str, str], list[str]] = {}

    def put(self, kind: str, id_: str, where: str, value: Any, key: str = "") -> None:
        """Note a part; `key` tells it from others of its kind where the id alone does not."""
        self.parts[kind][key or id_] = _Part(where, value)
        self.orders.setdefault((kind, where), []).append(key or id_)


def differences(old: Mapping[str, str], new: Mapping[str, str]) -> list[Change]:
    """What became of `old` (paths and texts of a ruleset) in `new`, in the order of `PARTS`.

    Both are rulesets without mistakes; of one with mistakes only what can be read is compared.
    """
    before, after = _outline(old), _outline(new)
    found: list[Change] = []
    for kind in PARTS:
        there, here = before.parts[kind], after.parts[kind]
        shifted = _shifted(kind, before, after)
        for key, part in here.items():
            id_ = key.rpartition("\0")[2]
            if key not in there:
                found.append(Change(kind, id_, "added", part.where))
                continue
            was = there[key]
            keys = _text_keys(was.value, part.value) if kind == "template" else keys_of(was.value, part.value)
            if was.where != part.where or key in shifted:
                found.append(Change(kind, id_, "moved", part.where, was.where, keys))
            elif keys:
                found.append(Change(kind, id_, "changed", part.where, "", keys))
        for key, part in there.items():
            if key not in here:
                found.append(Change(kind, key.rpartition("\0")[2], "removed", part.where))
    return found


def keys_of(old: Any, new: Any, path: str = "") -> list[Key]:
    """The values that differ between two values of a document, each with its path."""
    if _canonical(old) == _canonical(new):
        return []
    if isinstance(old, dict) and isinstance(new, dict):
        return [
            key
            for name in dict.fromkeys([*old, *new])
            for key in _under(old.get(name, UNSET), new.get(name, UNSET), f"{path}.{name}" if path else name)
        ]
    if isinstance(old, list) and isinstance(new, list):
        return _lists(old, new, path)
    return [Key(path, old, new)]


def _under(old: Any, new: Any, path: str) -> list[Key]:
    return [Key(path, old, new)] if old is UNSET or new is UNSET else keys_of(old, new, path)


def _lists(old: list[Any], new: list[Any], path: str) -> list[Key]:
    """Elements that came, went or changed; an element is named by its index in the new list, one that went
    by that in the old.
    """
    found: list[Key] = []
    a, b = [_canonical(one) for one in old], [_canonical(one) for one in new]
    for what, a1, a2, b1, b2 in difflib.SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        if what == "equal":
            continue
        both = min(a2 - a1, b2 - b1)
        for step in range(both):
            found += keys_of(old[a1 + step], new[b1 + step], f"{path}[{b1 + step}]")
        found += [Key(f"{path}[{at}]", old=old[at]) for at in range(a1 + both, a2)]
        found += [Key(f"{path}[{at}]", new=new[at]) for at in range(b1 + both, b2)]
    return found


def _text_keys(old: str, new: str) -> list[Key]:
    """The lines of a template that differ, as a unified diff without its head."""
    if old == new:
        return []
    lines = list(difflib.unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=1))[2:]
    return [Key("text", new="\n".join(lines))]


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


# ---------------------------------------------------------------- order


def _shifted(kind: str, before: _Outline, after: _Outline) -> set[str]:
    """Those that stand at the same place, but in another order: the fewest that explain it."""
    shifted: set[str] = set()
    if kind not in ("stage", "rule", "trigger"):
        return shifted  # the order of the others says nothing
    for (of, where), now in after.orders.items():
        if of != kind:
            continue
        ranks = {key: rank for rank, key in enumerate(before.orders.get((kind, where), []))}
        stayed = [key for key in now if key in ranks]
        kept = _longest_rising([ranks[key] for key in stayed])
        shifted |= {key for key in stayed if ranks[key] not in kept}
    return shifted


def _longest_rising(numbers: Sequence[int]) -> set[int]:
    """A longest rising subsequence of different numbers (patience sorting)."""
    tops: list[int] = []  # the smallest last number of a run of each length
    before: dict[int, int | None] = {}
    for number in numbers:
        at = bisect_left(tops, number)
        before[number] = tops[at - 1] if at else None
        tops[at : at + 1] = [number]
    kept: set[int] = set()
    number_or_end = tops[-1] if tops else None
    while number_or_end is not None:
        kept.add(number_or_end)
        number_or_end = before[number_or_end]
    return kept


# ---------------------------------------------------------------- reading


def _outline(files: Mapping[str, str]) -> _Outline:
    outline = _Outline(orders={})
    for _, value in documents(files, Log()):
        if isinstance(value, dict):
            _document(outline, value)
    for name in sorted(files):
        if not name.endswith(ENDINGS):
            outline.put("template", name, "", files[name])
    return outline


def _document(outline: _Outline, value: dict[str, Any]) -> None:
    for name, setting in value.items():
        if name not in HELD_BY_ID:
            outline.put("setting", name, "", setting)
    for id_, entity in _entries(value, "entities"):
        fields = entity.get("fields")
        outline.put("entity", id_, "", _without(entity, "fields"))
        for name, one in fields.items() if isinstance(fields, dict) else ():
            long = one if isinstance(one, dict) else {"type": one}
            outline.put("field", name, id_, long, f"{id_}\0{name}")
    for id_, pipeline in _entries(value, "pipelines"):
        outline.put("pipeline", id_, "", _without(pipeline, "stages"))
        for stage in _listed(pipeline, "stages"):
            name = str(stage["id"])
            outline.put("stage", name, id_, _without(stage, "rules", "triggers", "id"), f"{id_}\0{name}")
            for kind in ("rule", "trigger"):
                for part in _listed(stage, f"{kind}s"):
                    outline.put(kind, str(part["id"]), f"{id_}/{name}", _without(part, "id"))
    for id_, workflow in _entries(value, "workflows"):
        outline.put("workflow", id_, str(workflow.get("pipeline", "")), _without(workflow, "pipeline"))


def _entries(value: dict[str, Any], name: str) -> Iterable[tuple[str, dict[str, Any]]]:
    held = value.get(name)
    return [
        (id_, one if isinstance(one, dict) else {})
        for id_, one in (held.items() if isinstance(held, dict) else ())
    ]


def _listed(value: dict[str, Any], name: str) -> list[dict[str, Any]]:
    held = value.get(name)
    return [one for one in (held if isinstance(held, list) else []) if isinstance(one, dict) and "id" in one]


def _without(value: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: one for name, one in value.items() if name not in names}
