"""`changed`, `changed_from` and `changed_to`: tests of what a value was before (semantics 4.2, C4).

Laws: `scope.was` holds the old value of each name that changed; what is not in it did not change. Old and
new value are compared as `is` compares, so a type, case and sets mean the same everywhere; null stands for
empty, from which and to which a value can change. Clients are compared and shown by key, else by name: what
else they hold is nobody's business in a journal.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

from stagewheel.protocol.messages import Client
from stagewheel.server.core.plan_actions import Condition
from stagewheel.server.core.scope import Scope
from stagewheel.server.rules.compare import CHANGES, EMPTY_VALUES, SINGLE_TYPES, Check, check
from stagewheel.server.rules.names import CLIENTS, TEXT, Kind, identity

FROM: Final = "from"
TO: Final = "to"
SAME: Final = "unchanged"


def change_of(name: str, read: Callable[[Scope], Any]) -> Callable[[Scope], dict[str, Any]]:
    """What a test sees and the journal keeps: {from, to}, or {unchanged: value}."""

    def seen(scope: Scope) -> dict[str, Any]:
        was, value = scope.was, read(scope)
        if name not in was:
            return {SAME: value}
        old = was[name]
        if name in CLIENTS and old is not None:
            old = identity(msgspec.convert(old, Client))  # since the entry it may be kept as plain data
        return {FROM: old, TO: value}

    return seen


def check_change(kind: Kind, operator: str, expected: Any, case: bool) -> Check:
    """The test of what `change_of` gives. ValueError says what is wrong with `expected`."""
    if operator == "changed":
        if not isinstance(expected, bool):
            raise ValueError("'changed' is true or false")
        return lambda seen, scope: (FROM in seen) is expected
    side = FROM if operator == "changed_from" else TO
    if expected is None:
        return lambda seen, scope: FROM in seen and seen[side] in EMPTY_VALUES
    if kind.type == "record" and not kind.multiple:
        kind = TEXT  # a client, by its key
    if kind.type in SINGLE_TYPES:
        raise ValueError(f"it has parts and no value of its own; '{operator}' takes null here, for empty")
    same = check(kind, "is", expected, case)
    return lambda seen, scope: FROM in seen and same(seen[side], scope)


def asked_of(conditions: Iterable[Condition | None]) -> tuple[str, ...]:
    """The names whose change some of these conditions ask for, each once, in order."""
    found = (
        test.path
        for condition in conditions
        if condition is not None
        for test in condition.tests
        if test.operator in CHANGES
    )
    return tuple(dict.fromkeys(found))
