"""Several files, one ruleset: each is read on its own, then they are laid together.

Laws: an id stands once, whichever file it is in, and a second one names the place of the first; what a
ruleset says once (its name, its time zone) may be repeated if it is the same. A document of another kind
in the folder (a scenario) is left alone.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from msgspec import Struct

from stagewheel.server.core.lineage import Guards
from stagewheel.server.limits import RULESET_CHARS_MAX, RULESET_FILES_MAX
from stagewheel.server.rules.document import RulesetDoc
from stagewheel.server.rules.mistakes import Log, Place
from stagewheel.server.rules.reader import read
from stagewheel.server.rules.yaml import load

GENERATED: Final = ".holidays.json"  # stored with a version and no document of it: `holiday_dates.py`
ENDINGS: Final = (".yaml", ".yml", ".json", ".toml")
# Documents of other kinds by the keys that only they have: a scenario, the mapping of an event log, settings
# of a server.
OTHER_KINDS: Final = (frozenset({"scenario"}), frozenset({"pipeline", "item"}), frozenset({"channels"}))


class Placed(Struct, frozen=True):
    """A part of a document and where it stands."""

    doc: Any
    place: Place


class Merged(Struct):
    """The whole ruleset as documents, every part with its place."""

    ruleset: str = ""
    timezone: str = ""
    fallback_user: int = 0
    guards: Guards = Guards()
    link: Placed | None = None  # template of an item's address
    templates: str = "templates"
    place: Place = Place("")
    entities: dict[str, Placed] = {}
    pipelines: dict[str, Placed] = {}
    workflows: dict[str, Placed] = {}
    sources: dict[str, Placed] = {}
    actions: dict[str, Placed] = {}
    caps: Placed | None = None
    timezone_place: Place = Place("")
    calendar: Placed | None = None
    quiet_hours: Placed | None = None
    employees: list[int] | None = None  # whom the rules may name
    providers: dict[str, list[str]] | None = None


def merge(files: Mapping[str, str], log: Log) -> Merged:
    """All documents among the files, in the order of their names, as one."""
    merged = Merged(entities={}, pipelines={}, workflows={}, sources={}, actions={})
    written = [text for file, text in files.items() if file != GENERATED]
    if len(written) > RULESET_FILES_MAX or sum(map(len, written)) > RULESET_CHARS_MAX:
        log.mistake_at(
            "", 0, 0, f"a ruleset has at most {RULESET_FILES_MAX} files and {RULESET_CHARS_MAX} characters"
        )
        return merged
    found = False
    said: dict[str, tuple[Any, Place]] = {}
    for file, value in documents(files, log):
        found = True
        _add(merged, value, Place(file), said, log)
    if not found and not log.mistakes:
        log.mistake_at("", 0, 0, f"there is no ruleset file; its name ends with {', '.join(ENDINGS)}")
    merged.ruleset = _once(said, "ruleset", "")
    merged.timezone = _once(said, "timezone", "")
    merged.templates = _once(said, "templates", merged.templates).strip("/")
    merged.fallback_user = _once(said, "fallback_user", 0)
    merged.guards = _once(said, "guards", merged.guards)
    if "link" in said:
        merged.link = Placed(*said["link"])
    if "timezone" in said:
        merged.timezone_place = said["timezone"][1]
    if found and not merged.ruleset and "ruleset" not in said and not log.mistakes:
        first = next(file for file in sorted(files) if file.endswith(ENDINGS))
        log.mistake(Place(first), "no file says 'ruleset:', the name of the ruleset")
    return merged


def documents(files: Mapping[str, str], log: Log) -> Iterator[tuple[str, Any]]:
    """(file, value) of each document of a ruleset as it was written, in the order of the names."""
    for file in sorted(files):
        if not file.endswith(ENDINGS) or file == GENERATED:
            continue
        value = load(file, files[file], log)
        if value is None or (isinstance(value, dict) and any(kind <= value.keys() for kind in OTHER_KINDS)):
            continue
        yield file, value


def _add(merged: Merged, value: Any, place: Place, said: dict[str, tuple[Any, Place]], log: Log) -> None:
    merged.place = merged.place if merged.place.file else place
    doc = read(RulesetDoc, value, place, log)
    if doc is None:
        return
    if doc.employees is not None:
        merged.employees = [*(merged.employees or ()), *doc.employees]
    if doc.providers is not None:
        merged.providers = {**(merged.providers or {}), **doc.providers}
    settings = doc.settings
    if settings is not None and settings.fallback_user is not None:
        _say(said, "fallback_user", settings.fallback_user, place / "settings" / "fallback_user", log)
    if settings is not None and settings.link is not None:
        _say(said, "link", settings.link, place / "settings" / "link", log)
    if settings is not None and settings.guards is not None:
        own = settings.guards
        guards = Guards(own.chain_entries, own.item_entries, own.chain_messages)
        _say(said, "guards", guards, place / "settings" / "guards", log)
    for key in ("ruleset", "timezone", "templates", "fallback_user"):
        one = getattr(doc, key)
        if one is not None:
            _say(said, key, one, place / key, log)
    for key in ("calendar", "quiet_hours", "caps"):
        part, before = getattr(doc, key), getattr(merged, key)
        if part is not None and before is not None:
            log.mistake(place / key, f"'{key}' stands twice; it is first in {_where(before.place, log)}")
        elif part is not None:
            setattr(merged, key, Placed(part, place / key))
    parts: tuple[tuple[str, dict[str, Any], dict[str, Placed]], ...] = (
        ("entities", doc.entities, merged.entities),
        ("pipelines", doc.pipelines, merged.pipelines),
        ("workflows", doc.workflows, merged.workflows),
        ("sources", doc.sources, merged.sources),
        ("actions", doc.actions, merged.actions),
    )
    for kind, docs, into in parts:
        for id_, part in docs.items():
            at = place / kind / id_
            if id_ in into:
                log.mistake(at, f"'{id_}' stands twice; it is first in {_where(into[id_].place, log)}")
            else:
                into[id_] = Placed(part, at)


def _say(said: dict[str, tuple[Any, Place]], key: str, value: Any, place: Place, log: Log) -> None:
    before = said.setdefault(key, (value, place))
    if before[0] != value:
        log.mistake(place, f"'{key}' is {before[0]!r} in {_where(before[1], log)} and {value!r} here")


def _once(said: dict[str, tuple[Any, Place]], key: str, default: Any) -> Any:
    return said[key][0] if key in said else default


def _where(place: Place, log: Log) -> str:
    return f"{place.file}:{log.line_of(place)}"
