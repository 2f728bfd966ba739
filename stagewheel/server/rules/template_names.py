"""What a template names: held against what is declared, and built for each rendering, no more than it
names.

Laws: every name of a template is a root with a name behind it (`item.title`), a moment (`now`), or its
own variable; the rest is a complaint with its line. Building the context reads the scope only.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from jinja2 import nodes

from stagewheel.server.core.scope import Scope, client_view, employee_view
from stagewheel.server.rules.mistakes import listed, nearest
from stagewheel.server.rules.names import ITEM_ATTRIBUTES, ITEM_KINDS, ROOTS_LATER, Names, Unknown, reader
from stagewheel.server.rules.sandbox import CALLABLES, ROUNDS, TEMPLATE_ROOTS, Rounds

SIMPLE_ROOTS: Final = ("now", "timezone")
VIEWS: Final[dict[str, Callable[[Scope], Any]]] = {
    "client": lambda scope: client_view(scope.client),
    "responsible": lambda scope: employee_view(scope.responsible),
    "vars": lambda scope: scope.vars,
    "trigger": lambda scope: scope.trigger,
    "previous": lambda scope: scope.previous,
    "now": lambda scope: scope.now_ms,
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
        made["timezone"] = scope.zone.key
        made[ROUNDS] = Rounds()
        if item:
            made["item"] = {name: read(scope) for name, read in item.items()}
        return made

    return context


def _item_reader(name: str) -> Callable[[Scope], Any]:
    if name in ITEM_ATTRIBUTES:
        attribute = ITEM_ATTRIBUTES[name]
        return lambda scope: getattr(scope.item, attribute)
    if name in ITEM_KINDS:
        return reader(name)
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
    if root in ROOTS_LATER:
        return f"'{root}.…' is not supported yet by this version of stagewheel"
    if root not in TEMPLATE_ROOTS:
        hint = nearest(root, TEMPLATE_ROOTS)
        if root in names.entity.fields or root in ITEM_KINDS:
            hint = f"; write 'item.{root}'"
        return f"unknown name '{root}'{hint or f'; known are {listed(TEMPLATE_ROOTS)}'}"
    used.roots.add(root)
    if root in SIMPLE_ROOTS:
        return ""
    first = _below(name, parents)
    if first is None:
        return f"'{root}' is not one value; write '{root}.' and a name"
    if root == "item":
        used.item.add(first)
    try:
        if root == "item":
            names.of_item(first)
        else:
            names.of_root(root, first)
    except Unknown as unknown:
        return str(unknown)
    return ""


def _below(name: nodes.Node, parents: dict[int, nodes.Node]) -> str | None:
    """`b` of `a.b` and of `a["b"]`."""
    parent = parents.get(id(name))
    if isinstance(parent, nodes.Getattr):
        return parent.attr
    if isinstance(parent, nodes.Getitem) and parent.node is name and isinstance(parent.arg, nodes.Const):
        return str(parent.arg.value)
    return None
