"""The template language: what it shows, and that the worst template harms nobody."""

from contextlib import suppress
from typing import Any

import pytest

from stagewheel.errors import RuleError
from stagewheel.server.rules.mistakes import RulesetInvalid
from stagewheel.server.rules.templates import TemplateFailed
from tests.rules.making import MONDAY_NINE_MS, Texts, scope

DAY_MS = 86_400_000


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("plain text", "plain text"),
        ("{{ item.title }}/{{ item.key }}/{{ item.stage }}", "Big Order/deal:1/new"),
        ("{{ client.name }} {{ client.email }}", "Ada ada@home.example"),
        ("{{ responsible.name }}", "Ines"),
        ("{{ item.name }}|{{ item.size }}", "Bolt|3"),
        ("{{ item['name'] }}", "Bolt"),
        ("{{ item.contract }}", ""),
        ("{{ item.contract.name }}", ""),
        ("{{ item.items }}", "not a method"),
        ("{{ trigger.form.page }}", "7"),
        ("{{ trigger.missing.deep }}", ""),
        ("{{ previous.message_id }}", ""),
        ("{{ item.amount | money }}", "1,234.50 EUR"),
        ("{{ 1234.565 | money('CHF') }}", "1,234.57 CHF"),
        ("{{ item.contract | money }}", ""),
        ("{{ item.due | date }}", "2026-03-29"),
        ("{{ item.due | date('%d.%m.%Y') }}", "29.03.2026"),
        ("{{ item.meeting | datetime }}", "2026-03-02 10:30"),
        ("{{ item.meeting | time }}", "10:30"),
        ("{{ item.entered_at | datetime }}", "2026-03-02 09:00"),
        ("{{ now | date }}", "2026-03-02"),
        ("{{ item.contract | default('none') }}", "none"),
        ("{{ 2.5 | round }} {{ 2.345 | round(2) }} {{ -1.5 | abs }}", "3 2.35 1.5"),
        ("{{ item.name | upper }}{{ item.name | lower }}{{ ' x ' | trim }}", "BOLTboltx"),
        ("{{ item.tags | join('; ') }}", "a; b"),
        ("{{ item.tags | first }}{{ item.tags | last }}{{ item.tags | length }}", "ab2"),
        ("{{ 'a b&c' | urlencode }}", "a%20b%26c"),
        ("{{ 'hello world' | truncate(6) }}", "hello…"),
        ("{{ item.name | replace('o', '0') }}", "B0lt"),
        ("{% if item.size > 2 and not item.paid %}big{% else %}small{% endif %}", "big"),
        ("{{ 'yes' if item.name is filled else 'no' }}", "yes"),
        ("{{ item.size + 1 }} {{ item.size * 2 }} {{ 7 // 2 }} {{ 7 % 4 }}", "4 6 3 3"),
        ("{{ 'a' ~ item.size ~ item.contract }}", "a3"),
        ("{{ 'a' in item.tags }}", "True"),
        ("{{ vars.round }}", "1"),
        ("{{ contact.name }}|{{ company.name }}|{{ item.contact.email }}", "Ada||ada@home.example"),
        ("{{ responsible.supervisor }} {{ responsible.supervisor.name }}", "9 Boss"),
        (
            "{{ responsible['supervisor']['name'] }}|{{ responsible.supervisor.email | upper }}",
            "Boss|BOSS@EXAMPLE.COM",
        ),
        ("{{ task.name }} {{ task.fields.room | default('-') }}", "Call Ada -"),
        ("{{ item.products | length }}{{ item.last_contact_at }}", "0"),
        ("{{ item.amount.currency }}", "EUR"),
        ("[{{ trigger.none }}{{ trigger.list }}]", "[]"),
    ],
)
def test_a_text_of_the_turn_shows_the_values_of_the_decision(source: str, expected: str) -> None:
    at = scope(
        {
            "name": "Bolt",
            "size": 3,
            "tags": ["a", "b"],
            "amount": {"amount": "1234.5", "currency": "EUR"},
            "due": "2026-03-29",
            "meeting": "2026-03-02T09:30:00Z",
            "items": "not a method",
        },
        trigger={"form": {"page": 7}, "task": {"name": "Call Ada"}, "none": None, "list": []},
        variables={"round": 1},
    )
    assert Texts().text(source, at) == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (5, 5),
        (None, None),
        ("text", "text"),
        ("{{ vars.round + 1 }}", 3),
        ("{{ item.size }}", 3),
        ("{{ item.tags }}", ["a"]),
        ("{{ item.contract }}", None),
        ("{{ item.size > 1 }}", True),
        (" {{ vars.round }}", " 2"),
        ("round {{ vars.round }}", "round 2"),
        ({"a": ["{{ vars.round }}", 1]}, {"a": [2, 1]}),
        ("{{ item.size / 2 }}", 1.5),
        ("{{ (item.size + 1) ~ '' }}", "4"),
    ],
)
def test_a_value_that_is_one_expression_keeps_its_type(raw: Any, expected: Any) -> None:
    at = scope({"size": 3, "tags": ["a"]}, variables={"round": 2})
    assert Texts().value(raw, at) == expected


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("{{ item.nmae }}", "unknown field 'nmae' of deal; did you mean 'name'?"),
        ("{{ itm.name }}", "unknown name 'itm'; did you mean 'item'?"),
        ("{{ name }}", "unknown name 'name'; write 'item.name'"),
        ("{{ client.nam }}", "unknown field of the client 'nam'; did you mean 'name'?"),
        ("{{ responsible.boss }}", "unknown field of an employee 'boss'"),
        ("{{ contact.nam }}", "unknown field of the contact 'nam'; did you mean 'name'?"),
        ("{{ item }}", "'item' is not one value"),
        ("{{ vars.turn }}", "unknown variable 'turn'"),
        ("{{ item.name | uper }}", "there is no filter 'uper'"),
        ("{{ item.name is upper }}", "there is no test 'upper'"),
        ("{{ item.name ", "the template: "),
        ("{% for x in item.tags %}{{ x }}{% endfor %}", "'for' is not part of the template language"),
        ("{% set x = 1 %}", "'assign' is not part of the template language"),
        ("{{ 2 ** 9 }}", "'pow' is not part of the template language"),
        ("{{ range(3) }}", "'call' is not part of the template language"),
        ("{{ item.name[1:2] }}", "'slice' is not part of the template language"),
        ("{{ {} }}", "'dict' is not part of the template language"),
    ],
)
def test_what_a_text_of_the_turn_can_not_say_is_refused_at_compile_time(source: str, said: str) -> None:
    with pytest.raises(RulesetInvalid) as caught:
        Texts().text(source)
    assert said in str(caught.value)


def test_variables_are_unknown_outside_of_workflows() -> None:
    with pytest.raises(RulesetInvalid, match="variables exist in workflows only"):
        Texts().text("{{ vars.round }}", variables=False)


ESCAPES = [
    "{{ ''.__class__ }}",
    "{{ item.__class__.__mro__ }}",
    "{{ item['__class__'] }}",
    "{{ client.name.__class__ }}",
    "{{ trigger._secret }}",
    "{{ ().__class__.__bases__[0].__subclasses__() }}",
    "{{ item.title.format(1) }}",
    "{{ item.title.join([]) }}",
    "{{ 'x'.center(1000000000) }}",
    "{{ self }}",
    "{{ self.__init__.__globals__ }}",
    "{{ cycler.__init__ }}",
    "{{ lipsum() }}",
    "{{ namespace() }}",
    "{{ joiner() }}",
    "{{ range.__self__ }}",
    "{{ _rounds }}",
    "{{ _glued('a') }}",
    "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "{% import 'x' as y %}",
    "{% from 'x' import y %}",
    "{% include item.title %}",
    "{% call item.title() %}{% endcall %}",
    "{% filter upper %}x{% endfilter %}",
    "{% set item = 1 %}",
    "{% for item in [1] %}{% endfor %}",
    "{% set _rounds = 1 %}",
    "{% for x in [1] recursive %}{{ loop([x]) }}{% endfor %}",
    "{{ item.title | attr('upper') }}",
    "{{ item.title | map('upper') }}",
    "{{ item.title | format }}",
    "{{ item.title | safe }}",
    "{{ '%1000000000d' | format(1) }}",
    "{{ 9 ** 9 ** 9 }}",
    "{% raw %}{% endraw %}{% autoescape false %}x{% endautoescape %}",
    "{{ " + "(" * 5_000 + "1" + ")" * 5_000 + " }}",
    "{{ 1" + " + 1" * 3_000 + " }}",
    "{{ 1" + "0" * 400 + " }}",
]


@pytest.mark.parametrize("source", ESCAPES, ids=range(len(ESCAPES)))
def test_a_way_out_of_the_sandbox_is_refused_before_anything_runs(source: str) -> None:
    for use in (Texts().sent, Texts().text, Texts().value):
        with pytest.raises(RulesetInvalid):
            use(source)


NEVER_WORKS = [
    ("{{ 'x' * 1000000000 }}", "'*' needs numbers: a text or list is never repeated"),
    ("{{ 9 * item.name }}", "'*' needs numbers: a text or list is never repeated"),
    ("{{ item.tags * 1000000 }}", "'*' needs numbers: a text or list is never repeated"),
    ("{{ ('a' ~ item.size) * 3 }}", "'*' needs numbers: a text or list is never repeated"),
    ("{{ (item.name | upper) * 3 }}", "'*' needs numbers: a text or list is never repeated"),
    ("{{ ('a' if item.paid else 'b') * 3 }}", "'*' needs numbers: a text or list is never repeated"),
    ("{{ [1] * 3 }}", "'*' needs numbers: a text or list is never repeated"),
    ("{{ '%99999999d' % 5 }}", "'%' needs numbers, not text"),
    ("{{ item.title + 5 }}", "'+' joins text with text, not with a number; use '~'"),
    ("{{ item.contract + 1 }}", "'+' needs numbers, not a file"),
    ("{{ -item.name }}", "'-' needs numbers, not text"),
    ("{{ item.paid * 2 }}", "'*' needs numbers, not true or false"),
    ("{{ item.contract < 1 }}", "'<' does not fit a file"),
    ("{{ item.size > 'x' }}", "'>' compares a number with text"),
    ("{{ item.name == none }}", "nothing equals none; write 'is empty'"),
    ("{% if item.size > 1 %}{{ 'x' * 9 }}{% endif %}", "a text or list is never repeated"),
    ("{{ item.name | truncate(1, 2, 3) }}", "the filter 'truncate' takes 0 to 2 values, not 3"),
    ("{{ item.name | replace('a') }}", "the filter 'replace' takes 2 values, not 1"),
    ("{{ item.name | upper(long=1) }}", "the filter 'upper' takes 0 values, not 1"),
    ("{{ item.title.first }}", "'title' is text and has no part 'first'"),
    ("{{ client.name.first }}", "'client.name' is text and has no part 'first'"),
    ("{{ item.client }}", "'client' is not one value; write 'item.client.' and a name"),
]


@pytest.mark.parametrize(("source", "said"), NEVER_WORKS)
def test_s4_7_what_can_not_work_whatever_the_values_are_is_refused_at_compile_time(
    source: str, said: str
) -> None:
    """C5"""
    for use in (Texts().text, Texts().value):
        with pytest.raises(RulesetInvalid) as caught:
            use(source)
        assert said in str(caught.value)


@pytest.mark.parametrize(
    "source",
    [
        "{{ trigger.word * 1000000000 }}",
        "{{ 9 * trigger.word }}",
        "{{ trigger.list * 9 }}",
        "{{ trigger.word % 5 }}",
        "{{ 1 / 0 }}",
        "{{ vars.round * 1000000000000000000000000000000 * 1000000000 * 1000000000 }}",
        "{{ item.name | date }}",
        "{{ item.name | money }}",
        "{{ item.name | round }}",
        "{{ 1.5 | round(400) }}",
        "{{ item.name | replace('', 'x') }}",
        "{{ (item.name | date('%Y' ~ 'x')) }}",
        "{{ 5 | first }}",
    ],
)
def test_a_template_that_fails_on_its_values_says_where_and_is_the_authors(source: str) -> None:
    trigger = {"word": "%99999999d", "list": [1]}
    at = scope({"name": "Bolt", "tags": ["a"]}, variables={"round": 10**12}, trigger=trigger)
    for use in (Texts().text, Texts().value, Texts().sent):
        with pytest.raises(TemplateFailed) as caught:
            use(source, at)
        assert isinstance(caught.value, RuleError)
        assert str(caught.value).startswith(("text: ", "value: ", "body: "))


@pytest.mark.parametrize(
    "source",
    [
        (
            "{% for a in range(999) %}{% for b in range(999) %}{% for c in range(999) %}x"
            "{% endfor %}{% endfor %}{% endfor %}"
        ),
        "{% for a in range(100000000) %}x{% endfor %}",
        "{% set a = 'xxxxxxxxxx' %}" + "".join("{% set a = a ~ a ~ a %}" for _ in range(40)) + "{{ a }}",
        "{% set a = 'xxxxxxxxxx' %}" + "".join("{% set a = a + a %}" for _ in range(40)) + "{{ a }}",
        "{% set a = item.title | replace('B', item.long) %}{% set a = a | replace('x', item.long) %}{{ a }}",
        "{% for a in range(1000) %}{{ item.long }}{% endfor %}",
        "{% for a in item.title %}{{ a }}{% endfor %}",
    ],
    ids=["nested loops", "long range", "doubling by ~", "doubling by +", "replace", "output", "text"],
)
def test_a_sender_template_that_grows_without_end_fails_soon(source: str) -> None:
    texts = Texts()
    source = source.replace("item.long", "item.name")
    with pytest.raises(TemplateFailed):
        texts.sent(source, scope({"name": "x" * 5_000}))


def test_a_sender_template_may_loop_assign_and_include() -> None:
    texts = Texts(
        {
            "templates/a.txt.j2": "{% set n = 1 %}{% for t in item.tags %}{{ loop.index }}{{ t }}{% endfor %}"
            "{% include 'templates/b.txt.j2' %}",
            "templates/b.txt.j2": "{{ client.name }}<",
        }
    )
    assert texts.sent("templates/a.txt.j2", scope({"tags": ["a", "b"]})) == "1a2bAda<"
    assert texts.sent("a.txt.j2", scope({"tags": []})) == "Ada<"


def test_html_templates_escape_what_they_show_and_text_templates_do_not() -> None:
    files = {"a.html.j2": "<b>{{ item.name }}</b>{{ '<' ~ item.name }}", "a.txt.j2": "{{ item.name }}"}
    at = scope({"name": "<script>"})
    assert Texts(files).sent("a.html.j2", at) == "<b>&lt;script&gt;</b>&lt;&lt;script&gt;"
    assert Texts(files).sent("a.txt.j2", at) == "<script>"


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"a.j2": "{% include 'b.j2' %}"}, "there is no template 'b.j2'"),
        ({"a.j2": "{% include 'b.j2' %}", "b.j2": "{% include 'a.j2' %}"}, "includes itself"),
        ({"a.j2": "{% include 'a.j2' %}"}, "includes itself"),
        ({"a.j2": "one\n\n{{ item.nmae }}"}, "a.j2:3:0: unknown field 'nmae'"),
        ({"a.j2": "one\n{% if %}"}, "a.j2:2:0: the template: "),
        ({"a.j2": "{% include 'b.j2' %}", "b.j2": "\n{{ item.nmae }}"}, "b.j2:2:0: unknown field 'nmae'"),
    ],
)
def test_a_mistake_in_a_template_file_names_its_line(files: dict[str, str], said: str) -> None:
    with pytest.raises(RulesetInvalid) as caught:
        Texts(files).sent("a.j2")
    assert said in str(caught.value)


def test_the_output_of_a_turn_is_bounded_to_64_kb() -> None:
    at = scope({"name": "x" * 40_000})
    assert len(Texts().text("{{ item.name }}", at)) == 40_000
    with pytest.raises(TemplateFailed, match="more than 65536 characters"):
        Texts().text("{{ item.name }}{{ item.name }}", at)
    with pytest.raises(TemplateFailed, match="more than 65536 characters"):
        Texts().value("{{ item.name ~ item.name }}", at)
    with pytest.raises(TemplateFailed, match="the list has more than 65536 characters"):
        Texts().value("{{ [item.name, [item.name]] }}", at)
    with pytest.raises(TemplateFailed, match="more than 65536 bytes"):
        Texts().text("{{ item.name }}", scope({"name": "é" * 40_000}))
    with pytest.raises(TemplateFailed, match="more than 65536 bytes"):
        Texts().value("{{ item.name }}", scope({"name": "é" * 40_000}))
    assert len(Texts().sent("{{ item.name }}", scope({"name": "é" * 40_000}))) == 40_000


def test_a_rendering_has_its_own_count_of_rounds() -> None:
    texts = Texts()
    loop = "{% for a in range(1000) %}{% for b in range(15) %}x{% endfor %}{% endfor %}"
    assert len(texts.sent(loop)) == 15_000
    assert len(texts.sent(loop)) == 15_000


def test_the_date_of_a_moment_is_that_of_the_items_zone() -> None:
    at = scope({"meeting": MONDAY_NINE_MS + DAY_MS - 9 * 3_600_000})
    assert Texts().text("{{ item.meeting | datetime }}", at) == "2026-03-03 00:00"


@pytest.mark.parametrize("depth", [15, 50, 120, 250])
@pytest.mark.parametrize(
    ("left", "middle", "right"),
    [
        ("{{ " + "(", "1", ")" + " }}"),
        ("{{ not ", "1", " }}"),
        ("{{ 1 + ", "1", " }}"),
        ("{% if 1 %}", "x", "{% endif %}"),
        ("{% for a in [1] %}", "x", "{% endfor %}"),
        ("{{ 1 if 1 else ", "1", " }}"),
    ],
)
def test_however_deep_a_template_is_nested_it_is_compiled_or_refused(
    left: str, middle: str, right: str, depth: int
) -> None:
    opening, _, inner = left.partition(" ") if left.startswith("{{") else ("", "", left)
    closing = " }}" if opening else ""
    source = f"{opening} {inner * depth}{middle}{right.removesuffix(closing) * depth}{closing}"
    texts = Texts()
    for use in (texts.sent, texts.value):
        with suppress(RulesetInvalid):
            assert use(source) is not None
    assert all("template" in mistake.message for mistake in texts.log.mistakes)
