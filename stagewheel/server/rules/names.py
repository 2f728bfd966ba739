"""Which names a condition or a template may use at its place, of what type they are, and how a condition
reads them (semantics 4.5).

Laws: a name that is not declared is refused with the nearest one that is; so is a part of what has none.
`any` is the type of what nobody declares: event payloads, results of actions, values of templates. `record`
is the type of what has parts and no value of its own: a client, a product.
"""

from collections.abc import Callable, Mapping
from operator import attrgetter
from types import MappingProxyType
from typing import Any, Final

from msgspec import Struct

from stagewheel.protocol.messages import Client
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
RECORD: Final = Kind("record")
NOW: Final = Kind("now")

ITEM_KINDS: Final[dict[str, Kind]] = {
    **dict.fromkeys(("key", "entity", "title", "pipeline", "stage", "source", "timezone"), TEXT),
    **dict.fromkeys(("entered_at", "created_at", "updated_at", "last_contact_at", "last_inbound_at"), MOMENT),
    **dict.fromkeys(("entry", "responsible"), NUMBER),
    **dict.fromkeys(("client", "contact", "company"), RECORD),
    "observers": Kind("number", multiple=True),
    "products": Kind("record", multiple=True),
}
ITEM_ATTRIBUTES: Final = {
    **{name: name for name in ("key", "title", "pipeline", "stage", "entry", "responsible", "source")},
    "entered_at": "entered_ms",
    "created_at": "created_ms",
    "updated_at": "updated_ms",
}
# Built-in values that somebody can change, so that a test can ask whether they did.
CHANGING: Final = (
    *("title", "responsible", "observers", "source", "timezone", "products", "client", "company"),
)
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
TASK_KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        **dict.fromkeys(("id", "result"), ANY),
        **dict.fromkeys(("name", "description", "status", "rule", "stage", "pipeline", "workgroup"), TEXT),
        **dict.fromkeys(("responsible", "created_by"), NUMBER),
        **dict.fromkeys(("participants", "observers"), Kind("number", multiple=True)),
        "tags": Kind("text", multiple=True),
        "deadline": MOMENT,
        "ref": TEXT,
        "time_tracking": Kind("boolean"),
        **dict.fromkeys(("minutes_spent", "checklist_open", "checklist_done"), NUMBER),
        "fields": RECORD,
    }
)
DOCUMENT_KINDS: Final[Mapping[str, Kind]] = MappingProxyType(dict.fromkeys(("number", "title", "file"), TEXT))
MONEY_PARTS: Final[Mapping[str, Kind]] = MappingProxyType({"amount": NUMBER, "currency": TEXT})
CLIENTS: Final = ("client", "contact", "company")
ROOTS: Final = (*CLIENTS, "responsible", "vars", "trigger", "task", "previous", "now")
WORDS: Final = ("all", "any", "not", "expr", "item")
RESERVED: Final = frozenset({*ROOTS, *WORDS, *BUILT_IN})
SUPERVISOR: Final = "supervisor"
# Roots of an outbox row that are not always there; contact and company come with the item.
CARRIED: Final = ("responsible", SUPERVISOR, "vars", "trigger", "previous", "task")


class Unknown(ValueError):
    """The name can't be used here; the message says why and what could."""


class Names(Struct, frozen=True):
    """The names at a place: the item's entity, what clients and employees are declared to have, the
    variables.

    `client` has the fields of contacts and of companies, since it may be either. `variables` None: there are
    none here, as outside of workflows.
    """

    entity: EntityPlan
    client: Mapping[str, Kind] = CLIENT_KINDS
    client_extra: bool = False
    employee: Mapping[str, Kind] = EMPLOYEE_KINDS
    employee_extra: bool = False
    variables: Mapping[str, Kind] | None = None
    previous: Mapping[str, Kind] | None = None  # results of the action before, where they are declared
    contact: Mapping[str, Kind] = CLIENT_KINDS
    contact_extra: bool = False
    company: Mapping[str, Kind] = CLIENT_KINDS
    company_extra: bool = False
    documents: bool = False  # the template is of a document that is made: `document.number`

    def of_path(self, path: str) -> tuple[str, Kind]:
        """`amount`, `client.name`, `trigger.form.page` -> (how a condition reads it, its type); Unknown."""
        path = path.removeprefix("item.")
        root, _, rest = path.partition(".")
        if root == "now":
            if rest:
                raise Unknown('\'now\' has no parts; write {now: {between: ["20:00", "08:00"]}}')
            return path, NOW
        if root in ROOTS and rest:
            return path, self.of_root(root, rest)
        if root in ROOTS and root not in ITEM_KINDS:
            raise Unknown(f"'{root}' is not one value; write '{root}.' and a name")
        return path, self.of_item(path)

    def of_root(self, root: str, name: str) -> Kind:
        """The type of `root.name`, however deep; Unknown."""
        first, _, rest = name.partition(".")
        if root == "previous" and self.previous is not None:
            ask = "declare it under 'results:' of the action"
            kind = _known(first, self.previous, extra=False, what="result of the action before", ask=ask)
            return _below(f"previous.{first}", kind, rest)
        if root in ("trigger", "previous"):
            return ANY
        if root == "vars":
            if self.variables is None:
                raise Unknown("variables exist in workflows only")
            kind = _known(first, self.variables, extra=False, what="variable", ask="name it under 'vars:'")
        elif root == "document":
            if not self.documents:
                raise Unknown("'document' is known in the templates of create_document only")
            kind = _known(first, DOCUMENT_KINDS, extra=False, what="name of a document", ask="see its parts")
        elif root == "task":
            kind = _known(first, TASK_KINDS, extra=False, what="name of a task", ask="see its fields")
        elif root in CLIENTS:
            of, what = ("contact", "the client") if root == "client" else (root, f"the {root}")
            ask = f"declare it under 'entities: {{{of}: {{fields: …}}}}'"
            known, extra = getattr(self, root), getattr(self, f"{root}_extra")
            kind = _known(first, known, extra=extra, what=f"field of {what}", ask=ask)
        else:
            if first == SUPERVISOR and rest:
                first, _, rest = rest.partition(".")
            ask = "declare it under 'entities: {employee: {fields: …}}'"
            what = "field of an employee"
            kind = _known(first, self.employee, extra=self.employee_extra, what=what, ask=ask)
        return _below(f"{root}.{first}", kind, rest)

    def of_item(self, name: str) -> Kind:
        """The type of a field of the item, declared or built-in, or of a part of it; Unknown."""
        first, _, rest = name.partition(".")
        field = self.entity.fields.get(first)
        if first in ITEM_KINDS:
            if first in CLIENTS and rest:
                return self.of_root(first, rest)
            return _below(first, ITEM_KINDS[first], rest)
        if field is not None:
            return _below(first, Kind(field.type, field.multiple), rest)
        if self.entity.extra:
            return ANY
        known = [*self.entity.fields, *ITEM_KINDS, *(f"{root}." for root in ROOTS)]
        ask = f"; declare it under 'entities: {{{self.entity.id}: {{fields: …}}}}'"
        raise Unknown(f"unknown field '{first}' of {self.entity.id}{nearest(first, known) or ask}")


def _below(name: str, kind: Kind, rest: str) -> Kind:
    """The type of a part of a value; Unknown where it has none."""
    if not rest:
        return kind
    if kind.type == "money" and not kind.multiple:
        return _known(rest, MONEY_PARTS, extra=False, what="part of an amount", ask="see its parts")
    if kind.multiple or kind.type not in ("any", "file", "record"):
        many = "a multiple " if kind.multiple else ""
        raise Unknown(f"'{name}' is {many}{kind.type} and has no part '{rest}'")
    return ANY


def _known(name: str, known: Mapping[str, Kind], *, extra: bool, what: str, ask: str) -> Kind:
    if name in known:
        return known[name]
    if extra:
        return ANY
    hint = nearest(name, known) or f"; known are {listed(known) or 'none'}: {ask}"
    raise Unknown(f"unknown {what} '{name}'{hint}")


def can_change(path: str, names: Names) -> bool:
    """Can a test ask whether this changed? Fields of the item, and what of its own a command can set."""
    if path in ITEM_KINDS:
        return path in CHANGING
    root = path.partition(".")[0]
    return root not in ROOTS and ("." not in path or (names.entity.extra and root not in names.entity.fields))


# ---------------------------------------------------------------- reading


def reader(path: str) -> Callable[[Scope], Any]:
    """How to read what a condition names and the generated code does not read by itself."""
    root, _, rest = path.partition(".")
    if path == "now":
        return lambda scope: scope.now_ms
    if not rest:
        if path in CLIENTS:
            return lambda scope: identity(getattr(scope, path))
        return BUILT_IN.get(path) or (lambda scope: scope.fields.get(path))
    parts = rest.split(".")
    if root in CLIENTS:
        return _client_reader(root, parts)
    if root == "responsible":
        if parts[0] == SUPERVISOR and len(parts) > 1:
            return lambda scope: _walk(employee_view(scope.supervisor), parts[1:])
        return lambda scope: _walk(employee_view(scope.responsible), parts)
    if root in ("vars", "trigger", "task", "previous"):
        return lambda scope: _walk(getattr(scope, root), parts)
    if rest == "amount":
        return lambda scope: _amount(scope.fields.get(root))
    return lambda scope: _walk(scope.fields.get(root), parts)


def identity(client: Client | None) -> str | None:
    """What a client is called where its name alone is of interest: its key, else its name."""
    return (client.key or client.name or client.kind) if client is not None else None


def _client_reader(root: str, parts: list[str]) -> Callable[[Scope], Any]:
    """Of what every client has, just this; a view of all of it costs a microsecond more."""
    of: Callable[[Scope], Client | None] = attrgetter(root)
    name = parts[0]
    if len(parts) == 1 and name in ("key", "kind", "name", "timezone"):
        return lambda scope: getattr(client, name) if (client := of(scope)) is not None else None
    if len(parts) == 1 and name in ("email", "phone"):
        listed = attrgetter(f"{name}s")
        return lambda scope: (
            found[0].address if (client := of(scope)) is not None and (found := listed(client)) else None
        )
    return lambda scope: _walk(client_view(of(scope)), parts)


def _amount(value: Any) -> Any:
    """`amount` of a field: money may be a plain number."""
    return value.get("amount") if isinstance(value, Mapping) else value


def _walk(value: Any, parts: list[str]) -> Any:
    for part in parts:
        if not isinstance(value, Mapping):
            return None
        value = value.get(part)
    return value
