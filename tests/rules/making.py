"""Small scopes and rulesets for the tests of the compiler."""

import textwrap
from typing import Any
from zoneinfo import ZoneInfo

from stagewheel.protocol.messages import Address, Client, Employee
from stagewheel.server.core.item import Item, More
from stagewheel.server.core.plan import EntityPlan, Version
from stagewheel.server.core.plan_actions import Condition
from stagewheel.server.core.scope import Scope
from stagewheel.server.rules.compile import compile_ruleset
from stagewheel.server.rules.conditions import compile_condition
from stagewheel.server.rules.document import EntityDoc
from stagewheel.server.rules.fields import compile_entity
from stagewheel.server.rules.mistakes import Log, Place, RulesetInvalid
from stagewheel.server.rules.names import NUMBER, Names
from stagewheel.server.rules.reader import read
from stagewheel.server.rules.templates import Templates

ROME = ZoneInfo("Europe/Rome")
MONDAY_NINE_MS = 1_772_438_400_000  # 2026-03-02T09:00:00+01:00, a Monday

FIELDS = {
    "name": "text",
    "tags": {"type": "text", "multiple": True},
    "size": "number",
    "sizes": {"type": "number", "multiple": True},
    "amount": "money",
    "paid": "boolean",
    "due": "date",
    "meeting": "datetime",
    "contract": "file",
    "items": "text",
}

EMPLOYEES = {
    7: Employee(7, "Ines", [Address("ines@example.com", "work"), Address("ines@example.org")], supervisor=9),
    8: Employee(8, "Otto", [Address("otto@example.com")], active=False),
    9: Employee(9, "Boss", [Address("boss@example.com")], [Address("+391", "work")], fields={"floor": 3}),
}
ADA = Client(
    "Ada",
    [
        Address("ada@home.example", "home"),
        Address("ada@work.example", "work"),
        Address("a2@work.example", "work"),
    ],
    [Address("+3900", "mobile")],
    key="contact:1",
    fields={"vip": True},
)


def entity(extra: bool = False) -> EntityPlan:
    """An entity with a field of every type."""
    log = Log()
    doc = read(EntityDoc, {"fields": FIELDS, "extra": extra}, Place("x"), log)
    assert doc is not None
    plan = compile_entity("deal", doc, Place("x"), log)
    log.raise_if_any()
    return plan


def names(variables: bool = True) -> Names:
    """The names that conditions and templates of these tests see."""
    return Names(entity=entity(), variables={"round": NUMBER} if variables else None)


def item(fields: dict[str, Any] | None = None, client: Client | None = ADA, responsible: int = 7) -> Item:
    """A deal."""
    return Item(
        key="deal:1",
        pipeline="deals",
        stage="new",
        entry=2,
        entered_ms=MONDAY_NINE_MS,
        version=1,
        title="Big Order",
        responsible=responsible,
        fields=fields or {},
        client=client,
        source="web_form",
        steps=[],
        step_no=0,
        head=0,
        entered_at=0,
        created_ms=MONDAY_NINE_MS - 1000,
        updated_ms=MONDAY_NINE_MS,
        actions=None,
        more=More(observers=[9, 8, 7]),
    )


def scope(
    fields: dict[str, Any] | None = None,
    *,
    client: Client | None = ADA,
    responsible: int = 7,
    now_ms: int = MONDAY_NINE_MS,
    trigger: dict[str, Any] | None = None,
    variables: dict[str, Any] | None = None,
    previous: dict[str, Any] | None = None,
    zone: ZoneInfo = ROME,
) -> Scope:
    """What a decision about such a deal sees."""
    made = item(fields, client, responsible)
    return Scope(
        made,
        made.fields,
        "deal",
        EMPLOYEES,
        zone,
        now_ms,
        trigger=trigger or {},
        vars=variables or {},
        previous=previous or {},
    )


def condition(raw: Any) -> Condition:
    """A compiled condition; RulesetInvalid if it has mistakes."""
    log = Log()
    made = compile_condition(raw, Place("x.yaml", ("when",)), names(), log)
    log.raise_if_any()
    assert made is not None
    return made


def holds(raw: Any, at: Scope) -> bool:
    """Whether a condition holds."""
    return condition(raw).holds(at, [])


def complaint_of(raw: Any) -> str:
    """The first mistake of a condition."""
    log = Log()
    compile_condition(raw, Place("x.yaml", ("when",)), names(), log)
    return log.mistakes[0].message if log.mistakes else ""


class Texts:
    """Templates of these tests; every method raises RulesetInvalid for a mistake."""

    def __init__(self, files: dict[str, str] | None = None) -> None:
        self.log = Log()
        self.templates = Templates(files or {}, "templates", self.log)

    def text(self, source: str, at: Scope | None = None, variables: bool = True) -> str:
        """Rendered within the turn."""
        made = self.templates.text(source, Place("x.yaml", ("text",)), names(variables))
        self.log.raise_if_any()
        return made(at or scope())

    def value(self, raw: Any, at: Scope | None = None) -> Any:
        """A value of the document."""
        made = self.templates.value(raw, Place("x.yaml", ("value",)), names())
        self.log.raise_if_any()
        return made(at or scope())

    def sent(self, source: str, at: Scope | None = None) -> str:
        """Rendered by a sender, from a file if it names one."""
        made = self.templates.sent_body(source, Place("x.yaml", ("body",)), names())
        self.log.raise_if_any()
        return made.text(at or scope())


def ruleset(text: str, **files: str) -> Version:
    """A compiled ruleset of one document."""
    return compile_ruleset({"rules.yaml": textwrap.dedent(text), **files}, 1)[0]


def mistakes(files: dict[str, str]) -> list[str]:
    """All mistakes as `file:line: path: message`."""
    try:
        compile_ruleset({name: textwrap.dedent(text) for name, text in files.items()}, 1)
    except RulesetInvalid as invalid:
        return [f"{m.file}:{m.line}: {m.path}: {m.message}" for m in invalid.mistakes]
    return []


HEAD = """\
ruleset: r
timezone: Europe/Rome
entities:
  deal: {fields: {amount: money, due: date, name: text, size: number, paid: boolean}}
pipelines:
  deals:
    entity: deal
    stages:
    - id: new
"""
TAIL = "    - {id: done, final: success}\n"


def in_stage(rules: str) -> str:
    """A ruleset with these rules in its first stage; they begin in line 11."""
    return f"{HEAD}      rules:\n{textwrap.indent(textwrap.dedent(rules), '      ')}{TAIL}"


def with_stage(line: str = "name: New", more: str = "") -> str:
    """A ruleset with one line more in its first stage, and more at its end."""
    return f"{HEAD}      {line}\n{TAIL}{more}"
