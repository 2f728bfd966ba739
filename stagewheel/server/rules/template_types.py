"""What type an expression of the template language has, and what can't work whatever the values are: text
that is repeated, arithmetic with text, an order between text and numbers (semantics 4.7).

Laws: this complains only of what fails for every item; where a type is not known (`any`) nothing is said,
and the run decides. Names that are unknown are complained of elsewhere, and are `any` here.

Why types at all: `{{ item.note * 9 }}` is a repeated text only because `note` is declared as text.
"""

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any, Final

from jinja2 import nodes

from stagewheel.server.rules.filters import FILTERS
from stagewheel.server.rules.names import Names, Unknown

ANY: Final = "any"
TEXT: Final = "text"
NUMBER: Final = "number"
TRUTH: Final = "boolean"
LIST: Final = "list"
MONEY: Final = "money"
DATES: Final = ("date", "datetime")
NOTHING: Final = "nothing"
COUNTABLE: Final = (ANY, NUMBER, MONEY, *DATES)  # what arithmetic may meet
SIGNS: Final = {
    nodes.Add: "+",
    nodes.Sub: "-",
    nodes.Mul: "*",
    nodes.Div: "/",
    nodes.FloorDiv: "//",
    nodes.Mod: "%",
}
ORDERS: Final = {"lt": "<", "lteq": "<=", "gt": ">", "gteq": ">="}
GIVES: Final = {
    **dict.fromkeys(("round", "int", "float", "abs", "length"), NUMBER),
    **dict.fromkeys(("first", "last", "default"), ANY),
}
FROM_PYTHON: Final[dict[type, str]] = {
    bool: TRUTH,
    int: NUMBER,
    float: NUMBER,
    str: TEXT,
    type(None): NOTHING,
    list: LIST,  # Jinja makes a constant of a list that is written out
    tuple: LIST,
}

Complain = Callable[[int, str], None]


def path_of(node: nodes.Node) -> str | None:
    """`a.b.c` of an expression that only names; None for any other."""
    if isinstance(node, nodes.Name):
        return node.name
    if isinstance(node, nodes.Getattr):
        name: Any = node.attr
    elif isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const):
        name = node.arg.value
    else:
        return None
    above = path_of(node.node) if isinstance(name, str) else None
    return f"{above}.{name}" if above is not None else None


class Types:
    """The types of one template's expressions; every complaint goes to `complain(line, text)`."""

    def __init__(self, names: Names, complain: Complain) -> None:
        self.names = names
        self.complain = complain

    def look(self, node: nodes.Node) -> None:
        """Look through a template for what can't work."""
        for child in node.iter_child_nodes():
            if isinstance(child, nodes.Expr):
                self.of(child)
            else:
                self.look(child)

    def of(self, node: nodes.Node) -> str:
        """The type of an expression."""
        path = path_of(node)
        if path is not None:
            return self.of_path(path)
        if isinstance(node, nodes.Const):
            return FROM_PYTHON.get(type(node.value), ANY)
        if type(node) in SIGNS:
            return self._arithmetic(node)
        if isinstance(node, nodes.Compare):
            return self._compare(node)
        below = [self.of(child) for child in node.iter_child_nodes()]
        if isinstance(node, nodes.Not | nodes.Test):
            return TRUTH
        if isinstance(node, nodes.And | nodes.Or):
            return below[0] if below[0] == below[1] else ANY
        if isinstance(node, nodes.CondExpr):
            return below[1] if len(below) == 3 and below[1] == below[2] else ANY
        if isinstance(node, nodes.Filter):
            self._check_arguments(node)
            return GIVES.get(node.name, TEXT)
        if isinstance(node, nodes.Neg | nodes.Pos):
            self._needs_number(below[0], "-" if isinstance(node, nodes.Neg) else "+", node.lineno)
            return NUMBER
        if isinstance(node, nodes.Concat):
            return TEXT
        return LIST if isinstance(node, nodes.List | nodes.Tuple) else ANY

    def of_path(self, path: str) -> str:
        """The type of a name."""
        root, _, rest = path.partition(".")
        try:
            if root == "now":
                return "datetime"
            if root == "timezone":
                return TEXT
            kind = self.names.of_item(rest) if root == "item" else self.names.of_root(root, rest)
        except Unknown:
            return ANY
        return LIST if kind.multiple else kind.type

    def _arithmetic(self, node: Any) -> str:
        left, right, sign = self.of(node.left), self.of(node.right), SIGNS[type(node)]
        if sign == "+" and TEXT in (left, right):
            if {left, right} - {TEXT, ANY}:
                other = left if right == TEXT else right
                self.complain(node.lineno, f"'+' joins text with text, not with {_named(other)}; use '~'")
            return TEXT
        if sign == "*" and (TEXT in (left, right) or LIST in (left, right)):
            self.complain(node.lineno, "'*' needs numbers: a text or list is never repeated")
            return NUMBER
        for side in (left, right):
            self._needs_number(side, sign, node.lineno)
        if left in DATES or right in DATES:
            return NUMBER if left in DATES and right in DATES else "datetime"
        return ANY if sign == "+" and left == right == ANY else NUMBER

    def _needs_number(self, type_: str, sign: str, line: int) -> None:
        if type_ not in COUNTABLE:
            self.complain(line, f"'{sign}' needs numbers, not {_named(type_)}")

    def _compare(self, node: nodes.Compare) -> str:
        left, before = self.of(node.expr), node.expr
        for operand in node.ops:
            right = self.of(operand.expr)
            if NOTHING in (left, right):
                self.complain(node.lineno, "nothing equals none; write 'is empty' or 'is filled'")
            elif operand.op in ORDERS:
                self._order(left, right, before, operand.expr, ORDERS[operand.op])
            left, before = right, operand.expr
        return TRUTH

    def _order(self, left: str, right: str, a: nodes.Node, b: nodes.Node, sign: str) -> None:
        for side in (left, right):
            if side in (TRUTH, LIST, "file", "record"):
                self.complain(a.lineno, f"'{sign}' does not fit {_named(side)}")
                return
        for one, other, node in ((left, right, b), (right, left, a)):
            if other == TEXT and one in (NUMBER, MONEY):
                self.complain(node.lineno, f"'{sign}' compares {_named(one)} with text")

    def _check_arguments(self, node: nodes.Filter) -> None:
        least, most, known = _arguments(node.name) if node.name in FILTERS else (0, 99, ())
        given = len(node.args) + len(node.kwargs)
        if not least <= given <= most or any(one.key not in known for one in node.kwargs):
            wanted = f"{least}" if least == most else f"{least} to {most}"
            self.complain(node.lineno, f"the filter '{node.name}' takes {wanted} values, not {given}")


@cache
def _arguments(name: str) -> tuple[int, int, tuple[str, ...]]:
    """(at least, at most, their names) of what a filter takes besides its value."""
    made = FILTERS[name]
    if not inspect.isfunction(made):
        return 0, 0, ()  # of another library, for the value alone
    skip = 2 if hasattr(made, "jinja_pass_arg") else 1
    parameters = list(inspect.signature(made).parameters.values())[skip:]
    least = sum(one.default is inspect.Parameter.empty for one in parameters)
    return least, len(parameters), tuple(one.name for one in parameters)


def _named(type_: str) -> str:
    names = {TEXT: "text", NUMBER: "a number", MONEY: "money", TRUTH: "true or false", LIST: "a list"}
    names |= {NOTHING: "none", "file": "a file", "record": "a record"}
    return names.get(type_, f"a {type_}")
