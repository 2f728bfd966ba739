"""The template language: Jinja2, cut to what a rule needs and bounded in what it can use up.

Laws:
- Only the nodes of the syntax tree that are listed here pass; there are no calls but `range(…)`, no
  macros, no imports by a computed name, no powers, no names or attributes that begin with an underscore.
- An attribute is a key of a mapping, never an attribute of a Python object (but for the counters of
  `loop`).
- `*` and `%` take numbers only; text that grows by `+` or `~`, loops and the whole output have bounds, so
  the worst template costs milliseconds, and fails.
- In a turn (`strict`) there are no loops and no assignments either (semantics 4.7).

Why a list of what is allowed and not of what is forbidden: what a later Jinja adds is refused until we
looked at it.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from jinja2 import ChainableUndefined, DictLoader, nodes, pass_context
from jinja2.exceptions import SecurityError, TemplateAssertionError
from jinja2.runtime import Context, LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment

from stagewheel.server.limits import (
    SENDER_TEXT_CHARS_MAX,
    TEMPLATE_DEPTH_MAX,
    TEMPLATE_RANGE_MAX,
    TEMPLATE_ROUNDS_MAX,
)
from stagewheel.server.rules.filters import FILTERS, SENDER_FILTERS, TESTS, empty

TEMPLATE_ROOTS: Final = (
    *("item", "client", "contact", "company", "responsible", "vars", "trigger", "task", "previous"),
    *("now", "timezone", "unsubscribe_url", "document"),
)
JINJA_NAMES: Final = frozenset({"self", "super", "caller", "varargs", "kwargs"})
DIGITS_MAX: Final = 10**30

EXPRESSIONS: Final = (
    *(nodes.Name, nodes.Const, nodes.Getattr, nodes.Getitem, nodes.Filter, nodes.Test, nodes.Keyword),
    *(nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.Neg, nodes.Pos, nodes.CondExpr),
    *(nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod, nodes.Concat),
    *(nodes.List, nodes.Tuple),
)
IN_TURN: Final = (*EXPRESSIONS, nodes.Template, nodes.Output, nodes.TemplateData, nodes.If)
IN_SENDER: Final = (
    *IN_TURN,
    *(nodes.For, nodes.Assign, nodes.With, nodes.Call, nodes.Include, nodes.Extends, nodes.Block),
)
ROUNDS: Final = "_rounds"  # the loop counter of a rendering; no template can name it
ABOVE: Final = "_supervisor"  # the parts of `responsible.supervisor`, as the context has them
COUNTED: Final = "_counted"
GLUED: Final = "_glued"


class Rounds:
    """Counts the rounds of all loops of one rendering."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = TEMPLATE_ROUNDS_MAX


class Nothing(ChainableUndefined):
    """What is missing: renders as nothing, and so does everything below it; it can't be calculated with."""


class Sandbox(ImmutableSandboxedEnvironment):
    """The environment of one ruleset's templates; `files` are those that may be included."""

    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%"})

    def __init__(self, files: Mapping[str, str]) -> None:
        super().__init__(
            loader=DictLoader(files),
            undefined=Nothing,
            finalize=_shown,
            autoescape=_is_html,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            optimized=False,
            cache_size=-1,
        )
        self.filters = {**FILTERS, COUNTED: _counted}
        self.tests = dict(TESTS)
        self.globals = {}  # the context brings them, since merging two mappings costs more than rendering

    def _generate(
        self, source: nodes.Template, name: str | None, filename: str | None, defer_init: bool = False
    ) -> str:
        allowed(source, strict=False)
        return super()._generate(_guarded(source, self), name, filename, defer_init=defer_init)

    def getattr(self, obj: Any, attribute: str) -> Any:
        """A key of a mapping, or a counter of `loop`; anything else is nothing."""
        if type(obj) is dict or isinstance(obj, Mapping):  # the first is five times as fast
            return obj[attribute] if attribute in obj else self.undefined(obj=obj, name=attribute)
        if isinstance(obj, LoopContext) and not attribute.startswith("_"):
            return super().getattr(obj, attribute)
        return self.undefined(obj=obj, name=attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """A key of a mapping, or a place in a list or text."""
        if isinstance(argument, str):
            return self.getattr(obj, argument)
        if (
            isinstance(obj, list | tuple | str)
            and isinstance(argument, int)
            and -len(obj) <= argument < len(obj)
        ):
            return obj[argument]
        return self.undefined(obj=obj, name=argument)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Arithmetic of numbers; `+` joins texts as well. All results are bounded."""
        if operator == "+" and isinstance(left, str) and isinstance(right, str):
            if len(left) + len(right) > SENDER_TEXT_CHARS_MAX:
                raise SecurityError(f"a text of more than {SENDER_TEXT_CHARS_MAX} characters")
            return left + right
        for side in (left, right):
            if isinstance(side, bool) or not isinstance(side, int | float):
                raise TypeError(f"'{operator}' needs numbers, not {_named(side)}")
            if abs(side) > DIGITS_MAX:
                raise SecurityError("a number is too large")
        return self.binop_table[operator](left, right)

    def is_safe_callable(self, obj: Any) -> bool:
        """Only what the tree may call at all."""
        return obj is _range or obj is _glued


def allowed(tree: nodes.Template, *, strict: bool) -> None:
    """Raise TemplateAssertionError, with the line, for the first node that is not part of the language."""
    permitted = IN_TURN if strict else IN_SENDER
    for node in _walk(tree):
        complaint = _complaint(node, permitted)
        if complaint:
            where = " of what is computed within the turn" if strict and type(node) in IN_SENDER else ""
            raise TemplateAssertionError(f"{complaint}{where}", node.lineno)


def _complaint(node: nodes.Node, permitted: tuple[type[nodes.Node], ...]) -> str:
    if type(node) not in permitted:
        return f"'{type(node).__name__.lower()}' is not part of the template language"
    for name in _names_in(node):
        if name.startswith("_"):
            return f"the name '{name}' begins with an underscore"
    if isinstance(node, nodes.Name) and node.name in JINJA_NAMES:
        return f"the name '{node.name}' is not part of the template language"
    if isinstance(node, nodes.Name) and node.ctx != "load" and node.name in TEMPLATE_ROOTS:
        return f"'{node.name}' can't be given another value"
    if isinstance(node, nodes.Filter) and node.name not in FILTERS:
        return f"there is no filter '{node.name}'; filters are {', '.join(sorted(FILTERS))}"
    if isinstance(node, nodes.Filter) and node.name in SENDER_FILTERS and permitted is IN_TURN:
        return f"the filter '{node.name}' makes links, which only a message that is sent has; it is not part"
    if isinstance(node, nodes.Test) and node.name not in TESTS:
        return f"there is no test '{node.name}'; tests are {', '.join(sorted(TESTS))}"
    if isinstance(node, nodes.For) and node.recursive:
        return "a recursive loop is not part of the template language"
    if isinstance(node, nodes.Call) and not (isinstance(node.node, nodes.Name) and node.node.name == "range"):
        return "only range(…) can be called"
    if isinstance(node, nodes.Include | nodes.Extends) and not isinstance(node.template, nodes.Const):
        return "the name of an included template is written out"
    if isinstance(node, nodes.Const) and isinstance(node.value, int | float) and abs(node.value) > DIGITS_MAX:
        return "the number is too large"
    return ""


def _names_in(node: nodes.Node) -> Iterator[str]:
    if isinstance(node, nodes.Name):
        yield node.name
    if isinstance(node, nodes.Getattr):
        yield node.attr
    if (
        isinstance(node, nodes.Getitem)
        and isinstance(node.arg, nodes.Const)
        and isinstance(node.arg.value, str)
    ):
        yield node.arg.value
    if isinstance(node, nodes.Block):
        yield node.name


def _walk(tree: nodes.Node) -> Iterator[nodes.Node]:
    """Every node; TemplateAssertionError if the tree is deeper than the Python made of it may be."""
    waiting = [(tree, 0)]
    while waiting:
        node, depth = waiting.pop()
        if depth > TEMPLATE_DEPTH_MAX:
            raise TemplateAssertionError(
                "it is nested too deeply, or its expression is too long", node.lineno
            )
        yield node
        below = [(child, depth + 1) for child in node.iter_child_nodes()]
        waiting.extend(reversed(below))


def _guarded(tree: nodes.Template, environment: Sandbox) -> nodes.Template:
    """The tree with every loop counted and every `~` bounded."""
    _point_upwards(tree)
    for loop in list(tree.find_all(nodes.For)):
        loop.iter = nodes.Filter(loop.iter, COUNTED, [], [], None, None, lineno=loop.lineno)
    for holder in list(_walk(tree)):
        for name, value in list(holder.iter_fields()):
            if isinstance(value, nodes.Concat):
                setattr(holder, name, _as_call(value))
            elif isinstance(value, list):
                value[:] = [_as_call(one) if isinstance(one, nodes.Concat) else one for one in value]
    tree.set_environment(environment)
    return tree


def _point_upwards(tree: nodes.Node) -> None:
    """`responsible.supervisor` is a number and has parts as well: these have a name of their own."""
    found: list[nodes.Getattr | nodes.Getitem] = [*tree.find_all(nodes.Getattr)]
    for node in [*found, *tree.find_all(nodes.Getitem)]:
        inner = node.node
        if not isinstance(inner, nodes.Getattr | nodes.Getitem) or "supervisor" not in _names_in(inner):
            continue
        if isinstance(inner.node, nodes.Name) and inner.node.name == "responsible":
            node.node = nodes.Name(ABOVE, "load", lineno=node.lineno)


def _as_call(concat: nodes.Concat) -> nodes.Call:
    return nodes.Call(nodes.Name(GLUED, "load"), concat.nodes, [], None, None, lineno=concat.lineno)


@pass_context
def _counted(context: Context, values: Any) -> Iterator[Any]:
    """The values of a loop, each counted against the bound of the whole rendering."""
    if values is None or isinstance(values, Nothing):
        return
    if not isinstance(values, list | tuple | range | Mapping):
        raise TypeError(f"{_named(values)} can't be looped over")
    rounds: Rounds = context[ROUNDS]
    for value in values:
        rounds.left -= 1
        if rounds.left < 0:
            raise SecurityError(f"more than {TEMPLATE_ROUNDS_MAX} rounds of loops")
        yield value


def _glued(*parts: Any) -> str:
    """`a ~ b`, bounded."""
    texts = [str(_shown(part)) for part in parts]
    if sum(map(len, texts)) > SENDER_TEXT_CHARS_MAX:
        raise SecurityError(f"a text of more than {SENDER_TEXT_CHARS_MAX} characters")
    return "".join(texts)


def _range(*bounds: int) -> range:
    made = range(*bounds)
    if len(made) > TEMPLATE_RANGE_MAX:
        raise SecurityError(f"a range of more than {TEMPLATE_RANGE_MAX} numbers")
    return made


def _shown(value: Any) -> Any:
    """What an output shows: nothing for what is empty."""
    return "" if empty(value) else value


def _named(value: Any) -> str:
    if value is None or isinstance(value, Nothing):
        return "an empty value"
    return "text" if isinstance(value, str) else type(value).__name__


def _is_html(name: str | None) -> bool:
    return name is not None and name.endswith((".html.j2", ".html"))


CALLABLES: Final[dict[str, Any]] = {"range": _range, GLUED: _glued}
