"""Documents as values: the traps of YAML, positions, and bounds."""

from typing import Any

import pytest

from stagewheel.server.limits import DOCUMENT_BYTES_MAX
from stagewheel.server.rules.mistakes import Log, Place
from stagewheel.server.rules.yaml import load


def loaded(text: str, file: str = "x.yaml") -> Any:
    log = Log()
    value = load(file, text, log)
    assert not log.mistakes, log.mistakes
    return value


def complaints(text: str, file: str = "x.yaml") -> list[str]:
    log = Log()
    load(file, text, log)
    return [str(mistake) for mistake in log.mistakes]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", "on"),
        ("off", "off"),
        ("yes", "yes"),
        ("no", "no"),
        ("y", "y"),
        ("NO", "NO"),
        ("20:00", "20:00"),
        ("1:30:00", "1:30:00"),
        ("2026-03-29", "2026-03-29"),
        ("2026-03-29T09:00:00+01:00", "2026-03-29T09:00:00+01:00"),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("12", 12),
        ("-3", -3),
        ("012", 12),
        ("0o17", 15),
        ("0x1F", 31),
        ("1_000", "1_000"),
        ("0b11", "0b11"),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("1.", 1.0),
        (".inf", ".inf"),
        (".nan", ".nan"),
        ("-", "-"),
        ("+390612345", 390612345),
        ("'12'", "12"),
        ('"true"', "true"),
        ("!!str 12", "12"),
        ("=", "="),
        ("<<", "<<"),
        ("3d", "3d"),
        ("1.2.3", "1.2.3"),
    ],
)
def test_plain_scalars_follow_the_core_schema_of_yaml_1_2(text: str, value: Any) -> None:
    if text == "-":
        assert loaded("[a, -]")[1] == value
        return
    seen = loaded(f"key: {text}")["key"]
    assert (seen, type(seen)) == (value, type(value))


def test_keys_such_as_on_and_no_are_text() -> None:
    assert loaded("on: x\nno: y\n7: z") == {"on": "x", "no": "y", "7": "z"}


def test_positions_are_those_of_keys_and_of_list_items() -> None:
    log = Log()
    load("x.yaml", "a:\n  b: [1,\n      2]\n  c:\n  - d: 1\n    e: {f: 2}\n", log)
    at = log.positions["x.yaml"]
    assert at[("a",)] == (1, 1)
    assert at[("a", "b")] == (2, 3)
    assert at[("a", "b", 1)] == (3, 7)
    assert at[("a", "c", 0)] == (5, 5)
    assert at[("a", "c", 0, "e")] == (6, 5)
    assert at[("a", "c", 0, "e", "f")] == (6, 9)
    assert log.line_of(Place("x.yaml", ("a", "c", 0, "e", "missing"))) == 6


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: 2\na: 3", "x.yaml:3:1: the key 'a' stands twice; it is first in line 1"),
        ("a: {b: 1, b: 2}", "x.yaml:1:11: the key 'b' stands twice"),
        ("a: [1, 2", "x.yaml:1:9: not valid YAML"),
        ("a: b: c", "x.yaml:1:5: not valid YAML"),
        ("a:\n\t- 1", "not valid YAML"),
        ("%YAML 9.9\n---\na: 1", "x.yaml:1:1: not valid YAML: found incompatible"),
        ("a: !!python/object/apply:os.system [x]", "x.yaml:1:4: tags such as"),
        ("a: !mine 5", "tags such as !mine"),
        ("a: *b", "x.yaml:1:4: '*b' names an anchor"),
        ("a: &b [*b]", "'*b' names an anchor"),
        ("a: &b 1\nc: &b 2", "x.yaml:2:4: the anchor '&b' stands twice"),
        ("---\na: 1\n---\nb: 1", "x.yaml:3:1: a file holds one document"),
        ("[a, b]: 1", "a key is text"),
        ("~: 1", "a key is text"),
        ("a: 1e999", "too large"),
        ("[" * 60, "nested deeper than 50"),
        ("a: \x00", "can't be read"),
        ("x" * (DOCUMENT_BYTES_MAX + 1), "larger than"),
    ],
)
def test_what_can_not_be_read_says_where_and_why(text: str, said: str) -> None:
    found = complaints(text)
    assert len(found) == 1
    assert said in found[0]


def test_anchors_are_copied_with_all_that_is_in_them() -> None:
    text = "a: &a [1, &i {x: 1}]\nb: &b [*a, *i]\nc: [*b, *a]\n"
    a = [1, {"x": 1}]
    b = [a, {"x": 1}]
    assert loaded(text) == {"a": a, "b": b, "c": [b, a]}


def test_an_alias_bomb_is_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    found = complaints("\n".join(lines))
    assert len(found) == 1
    assert "more than 100000 values" in found[0]


def test_an_empty_document_is_nothing() -> None:
    assert loaded("") is None
    assert loaded("# only a comment\n") is None


def test_json_is_read_with_positions_and_tabs() -> None:
    log = Log()
    value = load("x.json", '{\n\t"a": [1,\n\t\t{"b": "\\u00e9\\/"}]\n}', log)
    assert value == {"a": [1, {"b": "é/"}]}
    assert log.positions["x.json"][("a", 1, "b")][0] == 3


def test_toml_is_read_with_dates_as_text_and_without_positions() -> None:
    assert loaded('a = 2026-03-29\nb = ["x"]\n[c]\nd = 1.5', "x.toml") == {
        "a": "2026-03-29",
        "b": ["x"],
        "c": {"d": 1.5},
    }
    assert complaints("a = ", "x.toml")[0].startswith("x.toml: the document can't be read")
