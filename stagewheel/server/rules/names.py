"""Which names a condition or a template may use at its place, of what type they are, and how a condition
reads them (semantics 4.5).

Laws: a name that is not declared is refused with the nearest one that is; roots that a later build brings
are refused by name. `any` is the type of what nobody declares: event payloads, results of actions, values
of templates.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from msgspec import Struct

from stagewheel.server.core.plan import EntityPlan
from stagewheel.server.core.scope import BUILT_IN, Scope, client_view, employee_view
from stagewheel.server.rules.mistakes import listed, nearest


class Kind(Struct, frozen=True):
    """The type of a value, and whether there may be several."""

    type: str
    multiple: bool = False


ANY: Final = Kind("any")
TEXT: Final = Kind("text")
NUMBER: Final = Kind("number")
MOMENT: Final = Kind("datetime")
NOW: Final = Kind("now")

ITEM_KINDS: Final[dict[str, Kind]] = {
    **dict.fromkeys(("key", "entity", "title", "pipeline", "stage", "source", "timezone"), TEXT),
    **dict.fromkeys(("entered_at", "created_at", "updated_at"), MOMENT),
    **dict.fromkeys(("entry", "responsible"), NUMBER),
    "observers": Kind("number", multiple=True),
}
ITEM_LATER: Final = frozenset({"last_contact_at", "last_inbound_at", "products"})
ITEM_ATTRIBUTES: Final = {
    **{name: name for name in ("key", "title", "pipeline", "stage", "entry", "responsible", "source")},
    "entered_at": "entered_ms",
    "created_at": "created_ms",
    "updated_at": "updated_ms",
}
CLIENT_KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        **dict.fromkeys(("key", "kind", "name", "email", "phone", "timezone"), TEXT),
        **dict.fromkeys(("emails", "phones"), Kind("text", multiple=True)),
    }
)
EMPLOYEE_KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        **dict.fromkeys(("name", "email", "phone"), TEXT),
        **dict.fromkeys(("id", "supervisor"), NUMBER),
    }
)
ROOTS: Final = ("client", "responsible", "vars", "trigger", "previous", "now")
ROOTS_LATER: Final = ("contact", "company", "task")
WORDS: Final = ("all", "any", "not", "expr", "item")
RESERVED: Final = frozenset({*ROOTS, *ROOTS_LATER, *WORDS, *BUILT_IN, *ITEM_LATER})
CARRIED: Final = (
    "responsible",
    "vars",
    "trigger",
    "previous",
)  # roots of an outbox row that are not always there


class Unknown(ValueError):
    """The name can't be used here; the message says why and what could."""


class Names(Struct, frozen=True):
    """The names at a place: the item's entity, what clients and employees are declared to have, the
    variables.

    `variables` None: there are none here, as outside of workflows.
    """

    entity: EntityPlan
    client: Mapping[str, Kind] = CLIENT_KINDS
    client_extra: bool = False
    employee: Mapping[str, Kind] = EMPLOYEE_KINDS
    employee_extra: bool = False
    variables: Mapping[str, Kind] | None = None

    def of_path(self, path: str) -> tuple[str, Kind]:
        """`amount`, `client.name`, `trigger.form.page` -> (how a condition reads it, its type); Unknown."""
        root, _, rest = path.partition(".")
        if root == "item" and rest:
            raise Unknown(f"write '{rest}': the fields of the item are bare names in conditions")
        if root in ROOTS_LATER:
            raise Unknown(f"'{root}.…' is not supported yet by this version of stagewheel")
        if root == "now":
            if rest:
                raise Unknown('\'now\' has no parts; write {now: {between: ["20:00", "08:00"]}}')
            return "now", NOW
        if root in ROOTS and not rest and root not in ITEM_KINDS:
            raise Unknown(f"'{root}' is not one value; write '{root}.' and a name")
        if root in ROOTS and rest:
            return path, self.of_root(root, rest)
        return path, self.of_item(path)

    def of_root(self, root: str, name: str) -> Kind:
        """The type of `root.name`; Unknown."""
        first = name.partition(".")[0]
        if root in ("trigger", "previous"):
            return ANY
        if root == "vars":
            if self.variables is None:
                raise Unknown("variables exist in workflows only")
            return _known(name, self.variables, extra=False, what="variable", ask="name it under 'vars:'")
        if root == "client":
            ask = "declare it under 'entities: {contact: {fields: …}}'"
            return _known(first, self.client, extra=self.client_extra, what="field of the client", ask=ask)
        ask = "declare it under 'entities: {employee: {fields: …}}'"
        return _known(first, self.employee, extra=self.employee_extra, what="field of an employee", ask=ask)

    def of_item(self, name: str) -> Kind:
        """The type of a field of the item, declared or built-in; Unknown."""
        if name in ITEM_KINDS:
            return ITEM_KINDS[name]
        field = self.entity.fields.get(name)
        if field is not None:
            return Kind(field.type, field.multiple)
        if name in ITEM_LATER:
            raise Unknown(f"'{name}' is not supported yet by this version of stagewheel")
        if self.entity.extra and "." not in name:
            return ANY
        known = [*self.entity.fields, *ITEM_KINDS, *(f"{root}." for root in ROOTS)]
        ask = f"; declare it under 'entities: {{{self.entity.id}: {{fields: …}}}}'"
        raise Unknown(f"unknown field '{name}' of {self.entity.id}{nearest(name, known) or ask}")


def _known(name: str, known: Mapping[str, Kind], *, extra: bool, what: str, ask: str) -> Kind:
    if name in known:
        return known[name]
    if extra:
        return ANY
    hint = nearest(name, known) or f"; known are {listed(known) or 'none'}: {ask}"
    raise Unknown(f"unknown {what} '{name}'{hint}")


def reader(path: str) -> Callable[[Scope], Any]:
    """How to read what a condition names and the generated code does not read by itself."""
    root, _, rest = path.partition(".")
    if not rest:
        return BUILT_IN[root]
    parts = rest.split(".")
    if root == "client":
        return lambda scope: _walk(client_view(scope.client), parts)
    if root == "responsible":
        return lambda scope: _walk(employee_view(scope.responsible), parts)
    if root == "vars":
        return lambda scope: scope.vars.get(rest)
    if root == "trigger":
        return lambda scope: _walk(scope.trigger, parts)
    assert root == "previous", f"no reader for {path}"
    return lambda scope: _walk(scope.previous, parts)


def _walk(value: Any, parts: list[str]) -> Any:
    for part in parts:
        if not isinstance(value, dict):
            return None
        value = value.get(part)
    return value
