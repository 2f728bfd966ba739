"""`expr:` in a condition: an expression of the template language as one Python function (semantics 4.7, C5).

Laws: it passes only with names that are declared, literals, comparisons, bounded arithmetic and the listed
filters, and is true or false. What it reads is read first, all of it, and is what the journal keeps; then
the same values give the same answer, on every machine. What can't be computed with the values it met (a
text that is no date, a division by zero) is neither true nor false: then a condition holds only if it does
without it, so nothing ever happens because of a mistake, also not behind a `not`. The journal has the
reason.

Why not Jinja's own code: it would make a template of it and render that, at ten times the cost, would not
say what it read, and knows no money, no dates and no numbers that came as text. As in `conditions.py`,
source text is made from the shape of the tree alone; every name and value is a constant handed in beside
it.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, Final, NamedTuple

from jinja2 import nodes
from jinja2.exceptions import TemplateSyntaxError
from jinja2.meta import find_undeclared_variables
from jinja2.parser import Parser

from stagewheel.server.core.scope import Scope
from stagewheel.server.limits import TEMPLATE_INLINE_CHARS_MAX
from stagewheel.server.rules import compare, expression_values as values
from stagewheel.server.rules.filters import FILTERS, TESTS
from stagewheel.server.rules.mistakes import Log, Place
from stagewheel.server.rules.names import Names, reader
from stagewheel.server.rules.reader import shown
from stagewheel.server.rules.sandbox import Sandbox, allowed
from stagewheel.server.rules.template_names import Used, complaints_of
from stagewheel.server.rules.template_types import (
    ANY,
    DATES,
    MONEY,
    NUMBER,
    SIGNS,
    TEXT,
    TRUTH,
    Types,
    path_of,
)

ERROR: Final = "error"  # beside the values in what the journal keeps; no name of the language
TOO_DEEP: Final = "the expression is nested too deeply"
COMPARISONS: Final = {
    "eq": "equal({0}, {1})",
    "ne": "(not equal({0}, {1}))",
    "lt": "less({0}, {1})",
    "lteq": "less_or_equal({0}, {1})",
    "gt": "less({1}, {0})",
    "gteq": "less_or_equal({1}, {0})",
    "in": "contained({0}, {1})",
    "notin": "(not contained({0}, {1}))",
}
FORMS: Final = {
    NUMBER: "number({})",
    MONEY: "money({})",
    "date": "day({}, zone)",
    "datetime": "moment({}, zone)",
}
SPACE: Final[dict[str, Any]] = {
    **{name: getattr(values, name) for name in ("moment", "day", "counted", "added", "negated", "positive")},
    **{name: getattr(values, name) for name in ("glued", "equal", "less", "less_or_equal", "contained")},
    "placed": values.placed,
    "number": compare.number,
    "money": compare.money,
}


class Expression(NamedTuple):
    """`read(scope)` gives the values of all names, `holds(values, at, unknown)` the answer.

    `unknown` is the answer where there is none; the values have the reason then, under `error`.
    """

    read: Callable[[Scope], dict[str, Any]]
    holds: Callable[..., bool]


def compile_expression(source: Any, place: Place, names: Names, log: Log) -> Expression | None:
    """The expression, or None: it has mistakes, which are in the log."""
    if not isinstance(source, str) or not source.strip():
        log.mistake(place, f"'expr' needs an expression, such as \"item.size > 5\", not {shown(source)}")
        return None
    if "{{" in source or "{%" in source:
        log.mistake(place, "'expr' is an expression already; write it without braces")
        return None
    if len(source) > TEMPLATE_INLINE_CHARS_MAX:
        log.mistake(place, f"the expression is longer than {TEMPLATE_INLINE_CHARS_MAX} characters")
        return None
    complaints: list[str] = []
    try:
        tree = _parsed(source)
        complaints += _complaints(tree, names)
        if not complaints:
            return _Writer(names).expression(tree)
    except TemplateSyntaxError as error:
        complaints.append(f"the expression: {error.message}")
    except (RecursionError, SyntaxError, MemoryError):  # SyntaxError: of the code that was made of it
        complaints.append(TOO_DEEP)
    for complaint in complaints:
        log.mistake(place, complaint)
    return None


@cache
def _sandbox() -> Sandbox:
    return Sandbox({})


def _parsed(source: str) -> nodes.Expr:
    parser = Parser(_sandbox(), source, state="variable")
    tree = parser.parse_expression()
    if not parser.stream.eos:
        raise TemplateSyntaxError(f"'{parser.stream.current}' is too much", parser.stream.current.lineno)
    return tree


def _complaints(tree: nodes.Expr, names: Names) -> list[str]:
    whole = nodes.Template([nodes.Output([tree], lineno=1)], lineno=1)
    whole.set_environment(_sandbox())
    allowed(whole, strict=True)
    found = complaints_of(whole, find_undeclared_variables(whole), names, Used(set(), set()))
    complaints = [complaint for _, complaint in found]
    types = Types(names, lambda line, complaint: complaints.append(complaint))
    type_ = types.of(tree)
    if not complaints and type_ not in (TRUTH, ANY):
        complaints.append(f"an 'expr' is true or false; this one is {type_}: compare it with something")
    complaints += _wrong_dates(tree, types)
    return complaints


def _wrong_dates(tree: nodes.Expr, types: Types) -> list[str]:
    """Texts that are compared with a date and are none."""
    wrong = []
    compares = [*tree.find_all(nodes.Compare), *([tree] if isinstance(tree, nodes.Compare) else [])]
    for found in compares:
        sides = [found.expr, *(operand.expr for operand in found.ops)]
        if not any(types.of(side) in DATES for side in sides):
            continue
        for side in sides:
            if isinstance(side, nodes.Const) and isinstance(side.value, str):
                try:
                    compare.check_moment(side.value)
                except ValueError as error:
                    wrong.append(str(error))
    return wrong


class _Writer:
    """Collects constants and operands while it turns the tree into Python source."""

    def __init__(self, names: Names) -> None:
        self.types = Types(names, lambda line, complaint: None)
        self.space: dict[str, Any] = dict(SPACE)
        self.operands: dict[str, Callable[[Scope], Any]] = {}
        self.steps = 0

    def expression(self, tree: nodes.Expr) -> Expression:
        """Both functions."""
        source = (
            "def holds(v, at, unknown=False):\n"
            "    zone = at.zone\n"
            "    try:\n"
            f"        return bool({self.of(tree)})\n"
            "    except Exception as error:\n"
            f"        v[{ERROR!r}] = str(error)\n"
            "        return unknown\n"
        )
        exec(compile(source, "<expr>", "exec"), self.space)
        operands = tuple(self.operands.items())
        return Expression(lambda scope: {path: read(scope) for path, read in operands}, self.space["holds"])

    def constant(self, value: Any) -> str:
        """A name for a value."""
        name = f"c{len(self.space)}"
        self.space[name] = value
        return name

    def of(self, node: nodes.Node) -> str:
        """The source of a node's value, as it is."""
        path = path_of(node)
        if path is not None:
            return self._operand(path)
        made: str = WRITERS[type(node)](self, node)
        return made

    def formed(self, node: nodes.Node) -> str:
        """The source of a node's value in the form of its declared type, for comparing and counting."""
        form = FORMS.get(self.types.of(node)) if path_of(node) is not None else None
        return form.format(self.of(node)) if form is not None else self.of(node)

    def _operand(self, path: str) -> str:
        if path not in self.operands:
            zone: Callable[[Scope], Any] = lambda scope: scope.zone.key  # noqa: E731
            self.operands[path] = zone if path == "timezone" else reader(path.removeprefix("item."))
        return f"v[{self.constant(path)}]"

    # ------------------------------------------------------------ by node

    def const(self, node: nodes.Const) -> str:
        return self.constant(node.value)

    def listed(self, node: nodes.List | nodes.Tuple) -> str:
        return f"[{', '.join(self.formed(one) for one in node.items)}]"

    def placed(self, node: nodes.Getitem | nodes.Getattr) -> str:
        key = self.of(node.arg) if isinstance(node, nodes.Getitem) else self.constant(node.attr)
        return f"placed({self.of(node.node)}, {key})"

    def arithmetic(self, node: Any) -> str:
        sides = f"{self.formed(node.left)}, {self.formed(node.right)}"
        sign = SIGNS[type(node)]
        return f"added({sides})" if sign == "+" else f"counted({sign!r}, {sides})"

    def signed(self, node: Any) -> str:
        return f"{'negated' if isinstance(node, nodes.Neg) else 'positive'}({self.formed(node.node)})"

    def joined(self, node: nodes.Concat) -> str:
        return f"glued({', '.join(self.of(one) for one in node.nodes)})"

    def logic(self, node: Any) -> str:
        word = "and" if isinstance(node, nodes.And) else "or"
        return f"({self.of(node.left)} {word} {self.of(node.right)})"

    def negation(self, node: nodes.Not) -> str:
        return f"(not {self.of(node.node)})"

    def choice(self, node: nodes.CondExpr) -> str:
        other = self.of(node.expr2) if node.expr2 is not None else "None"
        return f"({self.of(node.expr1)} if {self.of(node.test)} else {other})"

    def compared(self, node: nodes.Compare) -> str:
        """A chain `a < b < c`; each value is computed once."""
        parts = []
        left, before = self._side(node.expr, node.ops[0].expr), node.expr
        for number, operand in enumerate(node.ops):
            right = self._side(operand.expr, before)
            if number + 1 < len(node.ops):
                self.steps += 1
                parts.append(COMPARISONS[operand.op].format(left, f"(t{self.steps} := {right})"))
                left, before = f"t{self.steps}", operand.expr
            else:
                parts.append(COMPARISONS[operand.op].format(left, right))
        return parts[0] if len(parts) == 1 else f"({' and '.join(parts)})"

    def _side(self, node: nodes.Node, other: nodes.Node) -> str:
        """One side of a comparison: beside a date, text is a date as well."""
        if self.types.of(other) in DATES and self.types.of(node) in (TEXT, ANY):
            return f"moment({self.of(node)}, zone)"
        return self.formed(node)

    def filtered(self, node: nodes.Filter) -> str:
        made = FILTERS[node.name]
        parts = [self.of(node.node)] if node.node is not None else []
        parts += [self.of(one) for one in node.args]
        parts += [f"{one.key}={self.of(one.value)}" for one in node.kwargs]
        if hasattr(made, "jinja_pass_arg"):
            parts.insert(0, "{'timezone': zone.key}")
        return f"{self.constant(made)}({', '.join(parts)})"

    def tested(self, node: nodes.Test) -> str:
        parts = [self.of(node.node), *(self.of(one) for one in node.args)]
        return f"{self.constant(TESTS[node.name])}({', '.join(parts)})"


WRITERS: Final[dict[type[nodes.Node], Callable[[_Writer, Any], str]]] = {
    nodes.Const: _Writer.const,
    nodes.List: _Writer.listed,
    nodes.Tuple: _Writer.listed,
    nodes.Getitem: _Writer.placed,
    nodes.Getattr: _Writer.placed,
    **dict.fromkeys(SIGNS, _Writer.arithmetic),
    nodes.Neg: _Writer.signed,
    nodes.Pos: _Writer.signed,
    nodes.Concat: _Writer.joined,
    nodes.And: _Writer.logic,
    nodes.Or: _Writer.logic,
    nodes.Not: _Writer.negation,
    nodes.CondExpr: _Writer.choice,
    nodes.Compare: _Writer.compared,
    nodes.Filter: _Writer.filtered,
    nodes.Test: _Writer.tested,
}
