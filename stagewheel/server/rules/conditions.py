"""Conditions: from the validated tree to one Python function that answers as `Condition` in `plan.py` says.

Laws: source text is generated from the shape of the tree and from numbers only; every name and value that
the author wrote is a constant handed in beside it, so nothing of a document is ever executed. Tests are
made in the order of the file and stop at the first that decides. Checked here, with the place: that a name
is declared, that an operator fits the type, that a value is of the type (4.4).

Why generate: `all`, `any` and `not` become `and`, `or` and `not` of one expression; a closure per node
costs a call each. The commonest tests are written out in place: a text is equal, a number is compared, true
or false.
"""

from collections.abc import Callable
from typing import Any

from stagewheel.server.core.plan_actions import Condition, TestPlan, Written
from stagewheel.server.core.scope import Scope
from stagewheel.server.limits import CONDITION_TESTS_MAX
from stagewheel.server.rules.changes import change_of, check_change
from stagewheel.server.rules.compare import (
    CHANGES,
    FITS,
    FITS_MULTIPLE,
    NEGATIVE,
    OPERATORS,
    SINGLE_TYPES,
    Check,
    check,
    fitting,
)
from stagewheel.server.rules.expressions import compile_expression
from stagewheel.server.rules.mistakes import Log, Place, listed, nearest
from stagewheel.server.rules.names import (
    ITEM_ATTRIBUTES,
    ITEM_KINDS,
    Kind,
    Names,
    Unknown,
    can_change,
    reader,
)
from stagewheel.server.rules.reader import shown

COMBINATIONS = ("all", "any", "not")
EXPR = "expr"
HOLDS = "holds"  # how the journal's readers call the operator of an `expr`
SIGNS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


def compile_condition(raw: Any, place: Place, names: Names, log: Log) -> Condition | None:
    """The condition of a document, or None: there is none, or it has mistakes, which are in the log."""
    if raw is None:
        return None
    builder = _Builder(names, log)
    expression = builder.node(raw, place)
    if len(builder.tests) > CONDITION_TESTS_MAX:
        log.mistake(
            place, f"a condition makes at most {CONDITION_TESTS_MAX} tests, this one has {len(builder.tests)}"
        )
        return None
    if expression is None:
        return None
    alone = builder.alone if len(builder.tests) == 1 and not builder.negated else None
    written = Written(expression, builder.constants, alone)
    return Condition(holds=builder.function(expression), tests=tuple(builder.tests), written=written)


class _Builder:
    """Collects tests and constants while it turns the tree into an expression."""

    def __init__(self, names: Names, log: Log) -> None:
        self.names = names
        self.log = log
        self.tests: list[TestPlan] = []
        self.constants: dict[str, Any] = {}
        self.denied = False  # inside of an odd number of `not`
        self.negated = False  # there is a `not` somewhere
        self.alone: tuple[str, str] | None = None  # of the latest test: what it reads, and the test

    def function(self, expression: str) -> Callable[[Scope, list[Any]], bool]:
        """`holds(scope, seen)`."""
        source = (
            "def holds(scope, seen):\n"
            "    see = seen.extend\n"
            "    fields = scope.fields\n"
            "    item = scope.item\n"
            f"    return bool({expression})\n"
        )
        space: dict[str, Any] = dict(self.constants)
        exec(compile(source, "<condition>", "exec"), space)
        made: Callable[[Scope, list[Any]], bool] = space["holds"]
        return made

    def constant(self, value: Any) -> str:
        name = f"c{len(self.constants)}"
        self.constants[name] = value
        return name

    def node(self, raw: Any, place: Place) -> str | None:
        """A test, a combination, or several of them in one mapping, which must all hold."""
        if not isinstance(raw, dict):
            said = f"not {shown(raw)}"
            self.log.mistake(place, f"a condition is a mapping such as {{amount: {{gt: 0}}}}, {said}")
            return None
        if not raw:
            self.log.mistake(place, "the condition is empty; take it out, or write a test: {amount: {gt: 0}}")
            return None
        parts = [self._part(key, value, place / key) for key, value in raw.items()]
        return _joined(" and ", parts)

    def _part(self, key: str, value: Any, place: Place) -> str | None:
        if key == "not":
            self.denied, self.negated = not self.denied, True
            inner = self.node(value, place)
            self.denied = not self.denied
            return None if inner is None else f"(not {inner})"
        if key in COMBINATIONS:
            if not isinstance(value, list) or not value:
                self.log.mistake(place, f"'{key}' needs a list of conditions, got {shown(value)}")
                return None
            parts = [self.node(one, place / number) for number, one in enumerate(value)]
            return _joined(" and " if key == "all" else " or ", parts)
        if key == EXPR:
            return self._expression(value, place)
        return self._tests(key, value, place)

    def _expression(self, source: Any, place: Place) -> str | None:
        made = compile_expression(source, place, self.names, self.log)
        if made is None:
            return None
        self.tests.append(TestPlan(EXPR, HOLDS, source, made.holds))
        read, holds = self.constant(made.read), self.constant(made.holds)
        return f"(see(({len(self.tests) - 1}, v := {read}(scope))) or {holds}(v, scope, {self.denied}))"

    def _tests(self, path: str, value: Any, place: Place) -> str | None:
        try:
            path, kind = self.names.of_path(path)
        except Unknown as unknown:
            self.log.mistake(place, str(unknown))
            return None
        if not isinstance(value, dict) or not value.keys() - {"case"}:
            said = f"not {shown(value)}"
            self.log.mistake(
                place, f"a test of '{path}' is an operator with a value, as in {{is: …}}, {said}"
            )
            return None
        case = value.get("case", False)
        if not isinstance(case, bool):
            self.log.mistake(place / "case", "'case' is true or false")
        parts = [
            self._test(path, kind, operator, expected, case is True, place / operator)
            for operator, expected in value.items()
            if operator != "case"
        ]
        return _joined(" and ", parts)

    def _test(
        self, path: str, kind: Kind, operator: str, expected: Any, case: bool, place: Place
    ) -> str | None:
        complaint = self._unfit(path, kind, operator)
        if complaint:
            self.log.mistake(place, complaint)
            return None
        if operator in CHANGES:
            return self._change(path, kind, operator, expected, case, place)
        positive = NEGATIVE.get(operator, operator)
        negated = operator in NEGATIVE
        if positive == "empty":
            if not isinstance(expected, bool):
                self.log.mistake(place, f"'{operator}' is true or false")
                return None
            negated = negated == expected
        try:
            made = check(kind, positive, expected, case)
        except ValueError as error:
            self.log.mistake(place, f"{path} {operator} {shown(expected)}: {error}")
            return None
        test = self._written(kind, positive, expected, case, made)
        if negated:
            test = f"not {test}"
        self.tests.append(TestPlan(path, operator, expected, _opposite(made) if negated else made))
        self.alone = (self._read(path), test)
        return f"(see(({len(self.tests) - 1}, v := {self.alone[0]})) or {test})"

    def _change(
        self, path: str, kind: Kind, operator: str, expected: Any, case: bool, place: Place
    ) -> str | None:
        try:
            made = check_change(kind, operator, expected, case)
        except ValueError as error:
            self.log.mistake(place, f"{path} {operator} {shown(expected)}: {error}")
            return None
        self.tests.append(TestPlan(path, operator, expected, made))
        seen = self.constant(change_of(path, reader(path)))
        return f"(see(({len(self.tests) - 1}, v := {seen}(scope))) or {self.constant(made)}(v, scope))"

    def _unfit(self, path: str, kind: Kind, operator: str) -> str:
        if operator in CHANGES:
            if can_change(path, self.names):
                return ""
            return f"'{operator}' is for fields of the item and what else a command sets; '{path}' is neither"
        if operator not in OPERATORS:
            hint = nearest(operator, OPERATORS) or f"; known are {listed(fitting(kind))}"
            return f"unknown operator '{operator}'{hint}"
        positive = NEGATIVE.get(operator, operator)
        fits = FITS_MULTIPLE if kind.multiple and kind.type not in SINGLE_TYPES else FITS[kind.type]
        if positive in fits:
            return ""
        many = "a multiple " if kind.multiple else ""
        fit = listed(fitting(kind))
        parts = f", or write '{path}.' and a name" if kind.type == "record" and not kind.multiple else ""
        return f"'{operator}' does not fit '{path}', which is {many}{kind.type}; use one of {fit}{parts}"

    def _read(self, path: str) -> str:
        if path == "now":
            return "scope.now_ms"
        if path in ITEM_ATTRIBUTES:
            return f"item.{ITEM_ATTRIBUTES[path]}"
        if "." in path or path in ITEM_KINDS:
            return f"{self.constant(reader(path))}(scope)"
        return f"fields.get({self.constant(path)})"

    def _written(self, kind: Kind, operator: str, expected: Any, case: bool, made: Any) -> str:
        """The test of the value `v` as an expression."""
        if operator == "empty":
            return "(v is None or v == '' or v == [] or v == {})"
        general = f"{self.constant(made)}(v, scope)"
        if kind.multiple:
            return general
        if kind.type == "text" and operator == "is" and not case:
            return f"(v.__class__ is str and v.casefold() == {self.constant(expected.casefold())})"
        if kind.type == "boolean" and operator == "is":
            return f"(v is {expected is True})"
        if kind.type in ("number", "money") and operator in SIGNS and isinstance(expected, int):
            wanted = self.constant(expected)
            return f"(v {SIGNS[operator]} {wanted} if v.__class__ is int else {general})"
        return general


def _opposite(made: Check) -> Check:
    return lambda value, at: not made(value, at)


def _joined(word: str, parts: list[str | None]) -> str | None:
    good = [part for part in parts if part is not None]
    if len(good) < len(parts):
        return None
    return good[0] if len(good) == 1 else f"({word.join(good)})"
