"""What the pages in docs/ say of the rule language is what the compiler takes.

A block of YAML that begins with `ruleset:` is a whole ruleset. A block behind `<!-- rules -->`,
`<!-- triggers -->`, `<!-- steps -->` or `<!-- ruleset -->` is a part of one: the list of a stage's rules or
triggers, the steps of a workflow, or further keys of a file; it is laid beside the first whole ruleset of its
page. A block that begins with `scenario:` is played. Every other block of YAML is shown only, and must be
readable.
"""

import re
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from stagewheel.cli.main import COMMANDS, main
from stagewheel.server.core.events import EVENTS
from stagewheel.server.rules import document, document_actions, document_steps, yaml
from stagewheel.server.rules.action_table import ACTIONS, ACTIONS_LATER
from stagewheel.server.rules.channel_plan import EXPIRES
from stagewheel.server.rules.compile import compile_ruleset
from stagewheel.server.rules.document import Doc
from stagewheel.server.rules.filters import FILTERS, TESTS
from stagewheel.server.rules.mistakes import Log

DOCS = Path(__file__).resolve().parent.parent / "docs"
RULES = DOCS / "rules.md"
BLOCK = re.compile(r"(?:<!-- (\w+) -->\n)?^( *)```yaml\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([\w-]+\.md)(?:#[\w-]+)?\)")
PIPELINE = "pipelines:\n  part:\n    entity: deal\n    stages:\n      - id: first\n      - id: second\n"
WRAPPED = {
    "ruleset": ("", 0),
    "rules": (PIPELINE + "        rules:\n", 10),
    "triggers": (PIPELINE + "        triggers:\n", 10),
    "steps": ("workflows:\n  part:\n    pipeline: deals\n    steps:\n", 6),
}
TEMPLATES = {"templates/invoice.html.j2": "<p>Dear {{ client.name }}</p>"}


class Block(NamedTuple):
    """A block of YAML, where it stands, and how it is marked."""

    page: Path
    line: int
    mark: str
    text: str

    @property
    def is_whole(self) -> bool:
        return not self.mark and self.text.startswith("ruleset:")


def blocks() -> list[Block]:
    """Every block of YAML on every page."""
    return [
        Block(page, text.count("\n", 0, found.start(3)) + 1, found[1] or "", found[3])
        for page in sorted(DOCS.glob("*.md"))
        for text in [page.read_text(encoding="utf-8")]
        for found in BLOCK.finditer(text)
    ]


def place(block: Block) -> str:
    return f"{block.page.name}:{block.line}"


def documents() -> dict[str, type[Doc]]:
    """The Structs of the rule language by name."""
    rooms = (document, document_actions, document_steps)
    return {
        name: kind
        for room in rooms
        for name, kind in vars(room).items()
        if isinstance(kind, type) and issubclass(kind, Doc) and kind.__module__ == room.__name__
    }


def keys_of(kind: type[Doc]) -> list[str]:
    return [one.encode_name for one in msgspec.structs.fields(kind) if one.name != "place_"]


def words_of(text: str) -> set[str]:
    """What a page names: words in code within sentences; keys, events and actions in examples."""
    examples = re.findall(r"^ *```\w*\n(.*?)^ *```$", text, re.DOTALL | re.MULTILINE)
    prose = re.sub(r"^ *```.*?^ *```$", "", text, flags=re.DOTALL | re.MULTILINE)
    found = [word for span in re.findall(r"`([^`]+)`", prose) for word in re.findall(r"\w+", span)]
    for example in examples:
        found += re.findall(r"(\w+):(?:\s|$)", example)
        found += re.findall(r"\b(?:do|on|event|on_event): (\w+)", example)
    return set(found)


def reference() -> str:
    """docs/rules.md and the pages that it links to."""
    text = RULES.read_text(encoding="utf-8")
    linked = sorted(set(LINK.findall(text)))
    assert linked, "docs/rules.md links to no page"
    return "\n".join([text, *((DOCS / page).read_text(encoding="utf-8") for page in linked)])


def later() -> str:
    """The paragraph of docs/rules.md about what is not supported yet."""
    found = re.search(
        r"^\*\*Not supported yet\*\*(.*?)\n\n", RULES.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    assert found is not None, "docs/rules.md does not say what is not supported yet"
    return found[1]


@pytest.mark.parametrize("block", [one for one in blocks() if one.is_whole], ids=place)
def test_a_whole_ruleset_of_a_page_has_no_mistakes_and_no_warnings(block: Block) -> None:
    _, warnings = compile_ruleset({"rules.yaml": block.text, **TEMPLATES}, 1)
    assert warnings == []


@pytest.mark.parametrize("block", [one for one in blocks() if one.mark], ids=place)
def test_a_part_of_a_ruleset_has_no_mistakes_beside_the_ruleset_of_its_page(block: Block) -> None:
    assert block.mark in WRAPPED, f"{place(block)}: marks are {', '.join(WRAPPED)}"
    whole = next(one.text for one in blocks() if one.page == block.page and one.is_whole)
    around, indent = WRAPPED[block.mark]
    part = around + "".join(" " * indent + line for line in block.text.splitlines(keepends=True))
    compile_ruleset({"rules.yaml": whole, "part.yaml": part, **TEMPLATES}, 1)


@pytest.mark.parametrize("block", blocks(), ids=place)
def test_every_block_can_be_read(block: Block) -> None:
    log = Log()
    assert yaml.load("block.yaml", block.text, log) is not None
    assert log.mistakes == []


@pytest.mark.parametrize("block", [one for one in blocks() if one.text.startswith("scenario:")], ids=place)
def test_a_scenario_of_a_page_holds(block: Block, tmp_path: Path, repository: Path) -> None:
    """Its ruleset is seen from examples/scenarios/seeds, where it could stand."""
    above = (repository / "examples").as_posix()
    (tmp_path / "scenario.yaml").write_text(block.text.replace("../..", above), encoding="utf-8")
    assert main(["test", str(tmp_path / "scenario.yaml")]) == 0


def test_there_is_an_example_of_every_kind() -> None:
    assert {one.mark for one in blocks() if one.page == RULES and one.mark} == WRAPPED.keys()


@pytest.mark.parametrize(("name", "kind"), documents().items(), ids=documents().keys())
def test_every_key_is_named(name: str, kind: type[Doc]) -> None:
    named = words_of(reference())
    missing = [key for key in keys_of(kind) if key not in named]
    assert not missing, f"{name}: docs/rules.md and its pages say nothing of {', '.join(missing)}"


def test_every_action_event_filter_and_test_is_named() -> None:
    named = words_of(RULES.read_text(encoding="utf-8"))
    assert [word for word in (*ACTIONS, *EVENTS, *FILTERS, *TESTS, *EXPIRES) if word not in named] == []


def test_what_is_not_supported_yet_is_said() -> None:
    """What comes to be supported leaves that paragraph of docs/rules.md, and is described in the tables."""
    said = set(re.findall(r"`([\w.]+)`", later().partition("`check`")[0]))
    keys = {key for kind in documents().values() for key in kind.later}
    whose = {"settings", *(name for name, kind in ACTIONS.items() if kind.later)}
    wanted = {*ACTIONS_LATER, *keys}
    assert wanted <= said, f"not named: {sorted(wanted - said)}"
    assert said <= wanted | whose, f"supported, or unknown: {sorted(said - wanted - whose)}"


def test_every_command_stands_in_the_readme() -> None:
    text = (DOCS.parent / "README.md").read_text(encoding="utf-8")
    assert [
        name
        for name in COMMANDS
        if not re.search(rf"`(stagewheel )?{name}\b|^    stagewheel {name}\b", text, re.MULTILINE)
    ] == []


@pytest.mark.parametrize(
    "page", [DOCS.parent / "README.md", *sorted(DOCS.rglob("*.md"))], ids=lambda page: page.name
)
def test_every_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_decisions_are_numbered_without_gaps() -> None:
    pages = sorted((DOCS / "decisions").glob("*.md"))
    assert [page.name[:4] for page in pages] == [f"{number:04}" for number in range(1, len(pages) + 1)]
    for page in pages:
        assert page.read_text(encoding="utf-8").startswith(f"# {page.name[:4]} — "), page.name
