"""Templates compiled: texts and values of the turn, and what a sender renders.

Laws: every name is checked against what is declared before anything runs, also in included files; an empty
value renders as nothing (7.2). A value that is one `{{ expression }}` and nothing else keeps its type: `{{
vars.round + 1 }}` is a number. What goes wrong while rendering is a TemplateFailed and nobody else's
trouble. A text without braces costs nothing: it is a constant.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from jinja2 import Template, TemplateError, nodes
from jinja2.exceptions import TemplateNotFound, TemplateSyntaxError
from jinja2.meta import find_undeclared_variables

from stagewheel.server.core.plan_actions import Text, Value
from stagewheel.server.core.scope import NO_LINKS, LinksMissing, Scope
from stagewheel.server.limits import (
    SENDER_TEXT_CHARS_MAX,
    TEMPLATE_FILE_CHARS_MAX,
    TEMPLATE_INLINE_CHARS_MAX,
    TURN_TEXT_CHARS_MAX,
)
from stagewheel.server.rules.filters import SENDER_FILTERS
from stagewheel.server.rules.mistakes import Log, Place, TemplateFailed as TemplateFailed, listed, nearest
from stagewheel.server.rules.names import CARRIED, Names
from stagewheel.server.rules.sandbox import Nothing, Sandbox, allowed
from stagewheel.server.rules.template_names import SENDER_ROOTS, Used, complaints_of, context_of
from stagewheel.server.rules.template_types import Types

WHOLE_MAX: Final = 2**63 - 1
MARKS: Final = ("{{", "{%", "{#")
ENDING: Final = ".j2"
RESULT: Final = "result"
TOO_DEEP: Final = "the template is nested too deeply"


class Made(NamedTuple):
    """A compiled text, and the roots besides item and client that an outbox row must carry for it."""

    text: Text
    roots: tuple[str, ...]


class Templates:
    """All templates of one ruleset. `files` are its texts by path; `folder` is looked into as well."""

    def __init__(self, files: Mapping[str, str], folder: str, log: Log) -> None:
        self.files = files
        self.folder = folder
        self.log = log
        self.sandbox = Sandbox(files)
        self.has_links = True  # of the server that the ruleset is for, if one is known

    def text(self, source: str, place: Place, names: Names) -> Text:
        """A text that is rendered within the turn."""
        if not _has_marks(source):
            return lambda scope: source
        tree = self._parsed(source, place)
        used = self._checked(tree, place, names, strict=True) if tree is not None else None
        if tree is None or used is None:
            return _never
        return self._rendered(tree, used, place, TURN_TEXT_CHARS_MAX)

    def value(self, raw: Any, place: Place, names: Names) -> Value:
        """A value of a document: constants as they are, texts as templates; a lone expression keeps its
        type.
        """
        return self._value(raw, place, names, set())

    def sent_value(self, raw: Any, place: Place, names: Names) -> tuple[Value, tuple[str, ...]]:
        """A value that a sender computes, and the roots that an outbox row must carry for it."""
        roots: set[str] = set()
        made = self._value(raw, place, names, roots)
        return made, carried(roots)

    def sent(self, source: str, place: Place, names: Names) -> Made:
        """A text that a sender renders."""
        if not _has_marks(source):
            return Made(lambda scope: source, ())
        tree = self._parsed(source, place)
        used = self._checked(tree, place, names, strict=False) if tree is not None else None
        if tree is None or used is None:
            return Made(_never, ())
        return Made(self._rendered(tree, used, place, SENDER_TEXT_CHARS_MAX), carried(used.roots))

    def sent_body(self, source: str, place: Place, names: Names) -> Made:
        """As `sent`, or of the template file that the text names (`templates/thanks.txt.j2`)."""
        return self._file(source, place, names) if names_file(source) else self.sent(source, place, names)

    def path_of(self, name: str) -> str | None:
        """The path of a template file among the files, or None."""
        for path in (name, f"{self.folder}/{name}"):
            if path in self.files:
                return path
        return None

    def _value(self, raw: Any, place: Place, names: Names, roots: set[str]) -> Value:
        if isinstance(raw, dict):
            below = {key: self._value(one, place / key, names, roots) for key, one in raw.items()}
            return lambda scope: {key: one(scope) for key, one in below.items()}
        if isinstance(raw, list):
            items = [self._value(one, place / number, names, roots) for number, one in enumerate(raw)]
            return lambda scope: [one(scope) for one in items]
        if not isinstance(raw, str) or not _has_marks(raw):
            return lambda scope: raw
        tree = self._parsed(raw, place)
        used = self._checked(tree, place, names, strict=True) if tree is not None else None
        if tree is None or used is None:
            return _never
        roots |= used.roots
        expression = _only_expression(tree)
        if expression is None:
            return self._rendered(tree, used, place, TURN_TEXT_CHARS_MAX)
        return self._evaluated(expression, used, place)

    def _file(self, name: str, place: Place, names: Names) -> Made:
        path = self.path_of(name)
        if path is None:
            known = [file for file in self.files if file.endswith(ENDING)]
            hint = nearest(name, known) or f"; there are {listed(known) or 'no templates'}"
            self.log.mistake(place, f"there is no template '{name}'{hint}")
            return Made(_never, ())
        at = Place(path)
        tree = self._parsed(self.files[path], at, path)
        used = self._checked(tree, at, names, strict=False) if tree is not None else None
        if tree is None or used is None:
            return Made(_never, ())
        return Made(self._rendered(tree, used, at, SENDER_TEXT_CHARS_MAX), carried(used.roots))

    # ------------------------------------------------------------ compiling

    def _parsed(self, source: str, place: Place, file: str | None = None) -> nodes.Template | None:
        chars_max = TEMPLATE_INLINE_CHARS_MAX if file is None else TEMPLATE_FILE_CHARS_MAX
        if len(source) > chars_max:
            self.log.mistake(place, f"the template is longer than {chars_max} characters")
            return None
        try:
            return self.sandbox.parse(source, file)
        except TemplateSyntaxError as error:
            self._complain(place, error.lineno, f"the template: {error.message}")
        except RecursionError:
            self.log.mistake(place, TOO_DEEP)
        return None

    def _checked(
        self, tree: nodes.Template, place: Place, names: Names, *, strict: bool, above: tuple[str, ...] = ()
    ) -> Used | None:
        """What it names, or None: then the log has why it can't be used."""
        try:
            allowed(tree, strict=strict)
            undeclared = find_undeclared_variables(tree)
        except TemplateSyntaxError as error:
            self._complain(place, error.lineno, f"the template: {error.message}")
            return None
        except RecursionError:
            self.log.mistake(place, TOO_DEEP)
            return None
        used = Used(set(), set())
        good = True
        complaints = list(complaints_of(tree, undeclared, names, used))
        if not self.has_links:
            signed = [one for one in tree.find_all(nodes.Filter) if one.name in SENDER_FILTERS]
            complaints += [(one.lineno, NO_LINKS) for one in signed]
            complaints += [(1, NO_LINKS) for _ in used.roots.intersection(SENDER_ROOTS)]
        if strict:
            links = sorted(used.roots.intersection(SENDER_ROOTS))
            complaints += [(1, f"'{root}' is a link, which only what is sent has") for root in links]
            Types(names, lambda line, complaint: complaints.append((line, complaint))).look(tree)
        for line, complaint in complaints:
            self._complain(place, line, complaint)
            good = False
        includes: list[nodes.Include | nodes.Extends] = [*tree.find_all(nodes.Include)]
        for included in [*includes, *tree.find_all(nodes.Extends)]:
            below = self._included(included, place, names, above)
            if below is None:
                good = False
            else:
                used.roots.update(below.roots)
                used.item.update(below.item)
        return used if good else None

    def _included(
        self, node: nodes.Include | nodes.Extends, place: Place, names: Names, above: tuple[str, ...]
    ) -> Used | None:
        assert isinstance(node.template, nodes.Const), "the sandbox allows written-out names only"
        name = node.template.value
        if not isinstance(name, str) or name not in self.files:
            self._complain(
                place, node.lineno, f"there is no template '{name}'{nearest(str(name), self.files)}"
            )
            return None
        if name in above or name == place.file:
            self._complain(place, node.lineno, f"the template '{name}' includes itself")
            return None
        tree = self._parsed(self.files[name], Place(name), name)
        if tree is None:
            return None
        return self._checked(tree, Place(name), names, strict=False, above=(*above, place.file))

    def _complain(self, place: Place, line: int, message: str) -> None:
        if place.path:
            self.log.mistake(place, message)
        else:
            self.log.mistake_at(place.file, line, 0, message)

    # ------------------------------------------------------------ rendering

    def _made(self, tree: nodes.Template, place: Place) -> Template | None:
        try:
            return self.sandbox.from_string(tree) if place.path else self.sandbox.get_template(place.file)
        except (SyntaxError, RecursionError, MemoryError):  # of the code that Jinja made of it
            self.log.mistake(place, TOO_DEEP)
            return None

    def _rendered(self, tree: nodes.Template, used: Used, place: Place, chars_max: int) -> Text:
        make, label = self._made(tree, place), _label(place)
        if make is None:
            return _never
        context = context_of(used)

        def text(scope: Scope) -> str:
            parts: list[str] = []
            chars = 0
            try:
                for part in make.root_render_func(make.new_context(context(scope), shared=True)):
                    parts.append(part)
                    chars += len(part)
                    if chars > chars_max:
                        raise TemplateFailed(f"{label}: the text has more than {chars_max} characters")
            except (TemplateFailed, LinksMissing):
                raise
            except Exception as error:  # whatever a template meets is between it and its author
                raise _failed(label, error) from error
            return _bounded("".join(parts), label, chars_max)

        return text

    def _evaluated(self, expression: nodes.Expr, used: Used, place: Place) -> Value:
        assign = nodes.Assign(nodes.Name(RESULT, "store", lineno=1), expression, lineno=1)
        tree = nodes.Template([assign], lineno=1)
        tree.set_environment(self.sandbox)
        make, label = self._made(tree, place), _label(place)
        if make is None:
            return _never
        context = context_of(used)

        def value(scope: Scope) -> Any:
            try:
                made = make.new_context(context(scope), shared=True)
                for _ in make.root_render_func(made):
                    pass
            except Exception as error:  # as above
                raise _failed(label, error) from error
            return _plain(made.vars[RESULT], label)

        return value


def _never(scope: Scope) -> Any:
    """Stands for what has a mistake; the ruleset is refused, so nobody calls it."""
    raise TemplateFailed("the template has mistakes")


def _has_marks(source: str) -> bool:
    return any(mark in source for mark in MARKS)


def _label(place: Place) -> str:
    return ".".join(str(part) for part in place.path) or place.file


def _failed(label: str, error: Exception) -> TemplateFailed:
    if isinstance(error, TemplateNotFound):
        return TemplateFailed(f"{label}: there is no template '{error.name}'")
    said = error.message if isinstance(error, TemplateError) else str(error)
    return TemplateFailed(f"{label}: {said or type(error).__name__}")


def names_file(source: str) -> bool:
    """Whether a text is the name of a template file and not a template itself."""
    return source.endswith(ENDING) and "\n" not in source and not _has_marks(source)


def carried(roots: set[str]) -> tuple[str, ...]:
    """The roots that an outbox row carries besides item and client, in one order."""
    if "task" in roots:
        roots = roots | {"trigger", "previous"}  # one of which has it
    return tuple(root for root in CARRIED if root in roots)


def _only_expression(tree: nodes.Template) -> nodes.Expr | None:
    if len(tree.body) != 1 or not isinstance(tree.body[0], nodes.Output):
        return None
    parts = tree.body[0].nodes
    if len(parts) != 1 or isinstance(parts[0], nodes.TemplateData):
        return None
    return parts[0]


def _bounded(text: str, label: str, chars_max: int) -> str:
    """A text, if it is not too long: within the turn, what counts are the bytes that the journal keeps."""
    chars = len(text)
    if chars > chars_max:
        raise TemplateFailed(f"{label}: the text has more than {chars_max} characters")
    if chars_max == TURN_TEXT_CHARS_MAX and 4 * chars > chars_max and len(text.encode()) > chars_max:
        raise TemplateFailed(f"{label}: the text has more than {chars_max} bytes")
    return text


def _chars(value: Any) -> int:
    """The characters of all texts in a value."""
    if isinstance(value, str):
        return len(value)
    return sum(map(_chars, value)) if isinstance(value, list | tuple) else 0


def _plain(value: Any, label: str) -> Any:
    """A value that can be stored: what templates know is turned into plain values, and bounded."""
    if value is None or isinstance(value, Nothing):
        return None
    if isinstance(value, str):
        return _bounded(str(value), label, TURN_TEXT_CHARS_MAX)
    if isinstance(value, float) and not abs(value) < float("inf"):
        raise TemplateFailed(f"{label}: the result is no number")
    if isinstance(value, int) and abs(value) > WHOLE_MAX:
        raise TemplateFailed(f"{label}: the number is too large")
    if isinstance(value, list | tuple):
        made = [_plain(one, label) for one in value]
        if _chars(made) > TURN_TEXT_CHARS_MAX:
            raise TemplateFailed(f"{label}: the list has more than {TURN_TEXT_CHARS_MAX} characters")
        return made
    return value
