"""What a template names: held against what is declared, and built for each rendering, no more than it
names.

Laws: every name of a template is a root with a name behind it (`item.title`), a moment (`now`), or its
own variable; the rest is a complaint with its line. Building the context reads the scope only.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from jinja2 import nodes

from stagewheel.server.core.scope import BUILT_IN, Scope, client_view, employee_view
from stagewheel.server.rules.filters import LINKS
from stagewheel.server.rules.mistakes import listed, nearest
from stagewheel.server.rules.names import ITEM_ATTRIBUTES, ITEM_KINDS, RECORD, SUPERVISOR, Names, Unknown
from stagewheel.server.rules.sandbox import ABOVE, CALLABLES, ROUNDS, TEMPLATE_ROOTS, Rounds
from stagewheel.server.rules.tracking import unsubscribe_url

SENDER_ROOTS: Final = ("unsubscribe_url",)  # of messages that a sender renders
SIMPLE_ROOTS: Final = ("now", "timezone", *SENDER_ROOTS)
VIEWS: Final[dict[str, Callable[[Scope], Any]]] = {
    "client": lambda scope: client_view(scope.client),
    "contact": lambda scope: client_view(scope.contact),
    "company": lambda scope: client_view(scope.company),
    "responsible": lambda scope: employee_view(scope.responsible),
    "vars": lambda scope: scope.vars,
    "trigger": lambda scope: scope.trigger,
    "task": lambda scope: scope.task,
    "previous": lambda scope: scope.previous,
    "now": lambda scope: scope.now_ms,
    "unsubscribe_url": unsubscribe_url,
    "document": lambda scope: scope.document,
}


class Used(NamedTuple):
    """What a template names: roots, and the names of the item."""

    roots: set[str]
    item: set[str]


def context_of(used: Used) -> Callable[[Scope], dict[str, Any]]:
    """Builds just what the template names."""
    item = {name: _item_reader(name) for name in sorted(used.item)}
    views = {root: VIEWS[root] for root in TEMPLATE_ROOTS if root in used.roots and root in VIEWS}

    def context(scope: Scope) -> dict[str, Any]:
        made: dict[str, Any] = dict(CALLABLES)
        for root, view in views.items():
            made[root] = view(scope)
        if SUPERVISOR in used.roots:
            made[ABOVE] = employee_view(scope.supervisor)
        made["timezone"] = scope.zone.key
        made[ROUNDS] = Rounds()
        made[LINKS] = scope.links
        if item:
            made["item"] = {name: read(scope) for name, read in item.items()}
        return made

    return context


def _item_reader(name: str) -> Callable[[Scope], Any]:
    if name in ITEM_ATTRIBUTES:
        attribute = ITEM_ATTRIBUTES[name]
        return lambda scope: getattr(scope.item, attribute)
    if name in ITEM_KINDS:
        return BUILT_IN[name]
    return lambda scope: scope.fields.get(name)


# ---------------------------------------------------------------- names


def complaints_of(
    tree: nodes.Template, undeclared: set[str], names: Names, used: Used
) -> Iterator[tuple[int, str]]:
    """(line, what is wrong) of every name; fills `used`."""
    parents: dict[int, nodes.Node] = {}
    for node in tree.find_all(nodes.Node):
        for child in node.iter_child_nodes():
            parents[id(child)] = node
    for name in tree.find_all(nodes.Name):
        if name.name not in undeclared or name.ctx != "load" or name.name == "range":
            continue
        complaint = _complaint(name, parents, names, used)
        if complaint:
            yield name.lineno, complaint


def _complaint(name: nodes.Name, parents: dict[int, nodes.Node], names: Names, used: Used) -> str:
    root = name.name
    if root not in TEMPLATE_ROOTS:
        hint = nearest(root, TEMPLATE_ROOTS)
        if root in names.entity.fields or root in ITEM_KINDS:
            hint = f"; write 'item.{root}'"
        return f"unknown name '{root}'{hint or f'; known are {listed(TEMPLATE_ROOTS)}'}"
    used.roots.add(root)
    if root in SIMPLE_ROOTS:
        return ""
    below = _below(name, parents)
    if not below:
        return f"'{root}' is not one value; write '{root}.' and a name"
    if root == "item":
        used.item.add(below[0])
    if root == "responsible" and below[0] == SUPERVISOR and len(below) > 1:
        used.roots.add(SUPERVISOR)
    try:
        path = ".".join(below)
        if root == "item":
            kind = names.of_item(path)
            if kind == RECORD and path in ITEM_KINDS:
                return f"'{path}' is not one value; write 'item.{path}.' and a name"
        else:
            names.of_root(root, path)
    except Unknown as unknown:
        return str(unknown)
    return ""


def _below(name: nodes.Node, parents: dict[int, nodes.Node]) -> list[str]:
    """`b`, `c` of `a.b.c` and of `a["b"].c`."""
    below: list[str] = []
    node, parent = name, parents.get(id(name))
    while True:
        if isinstance(parent, nodes.Getattr):
            below.append(parent.attr)
        elif (
            isinstance(parent, nodes.Getitem)
            and parent.node is node
            and isinstance(parent.arg, nodes.Const)
            and (isinstance(parent.arg.value, str) or not below)
        ):
            below.append(str(parent.arg.value))
        else:
            return below
        node, parent = parent, parents.get(id(parent))
