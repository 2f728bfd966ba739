"""`stagewheel diff`: what differs between a ruleset here and the one that a server runs.

Laws: parts are named by id and kind as in the ruleset, with old and new values as they were written; what
publishing them would not change is not shown. `show_changes` is what all commands about versions print.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import click
import msgspec
from msgspec import UNSET
from rich.console import Console
from rich.markup import escape

from stagewheel.cli.connection import connected, server_options
from stagewheel.cli.output import console, counted, emit, json_option
from stagewheel.client.blocking import Client
from stagewheel.server.rules.compile import compile_ruleset
from stagewheel.server.rules.diff import Change, Key, differences
from stagewheel.server.rules.load import load_folder_or_files
from stagewheel.server.rules.merge import GENERATED

VALUE_CHARS_MAX: Final = 100
SIGNS: Final[Mapping[str, tuple[str, str]]] = {
    "added": ("+", "green"),
    "removed": ("-", "red"),
    "changed": ("~", "yellow"),
    "moved": (">", "cyan"),
}


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(), metavar="PATH…")
@server_options
@json_option
def command(paths: tuple[str, ...], server: str, timeout_s: float, as_json: bool) -> int:
    """Show what publishing a ruleset (a file, a folder, or several) would change on a server.

    Exit status 1 when there is a difference.
    """
    files = load_folder_or_files(paths)
    name = compile_ruleset(files, 0)[0].ruleset
    with connected(server, timeout_s, role="read") as client:
        number, active = active_files(client, name)
    changes = differences(active, files)
    if as_json:
        emit({"ruleset": name, "active": number or None, "changes": as_data(changes)})
    else:
        against = f"version {number} of {name}" if number else f"nothing: ruleset {name} is not published"
        show_changes(console(), changes, against)
    return 1 if changes else 0


def active_files(client: Client, ruleset: str) -> tuple[int, dict[str, str]]:
    """The active version of a ruleset and its files; (0, {}) if it was never published."""
    number = next((one.version for one in client.versions(ruleset) if one.active), 0)
    return number, files_of(client, number) if number else {}


def files_of(client: Client, number: int) -> dict[str, str]:
    """The files of a version as they were given; none if it is not stored."""
    found = client.source(number)
    files = found.files if found is not None else {}
    return {name: text for name, text in files.items() if name != GENERATED}


def as_data(changes: Sequence[Change]) -> Any:
    """Changes for JSON: a value that is not there has no key."""
    return msgspec.to_builtins(list(changes))


def show_changes(out: Console, changes: Sequence[Change], against: str) -> None:
    """A line for each part, and one for each of its keys."""
    if not changes:
        out.print(f"no difference to {escape(against)}")
        return
    how = {word: sum(one.how == word for one in changes) for word in SIGNS}
    said = ", ".join(f"{count} {word}" for word, count in how.items() if count)
    out.print(f"{counted(len(changes), 'difference')} to {escape(against)}: {said}")
    for one in changes:
        sign, style = SIGNS[one.how]
        out.print(f"[{style}]{sign} {escape(_headline(one))}[/{style}]", soft_wrap=True)
        for key in one.keys:
            for line in _template_lines(key) if one.part == "template" else [_key_line(key)]:
                out.print(f"    {escape(line)}", soft_wrap=True)


def _headline(one: Change) -> str:
    where = f" in {one.where}" if one.where else ""
    if one.how == "moved":
        where += f", was in {one.was}" if one.was != one.where else ", now in another order"
    return f"{one.part} {one.id}{where}"


def _key_line(key: Key) -> str:
    path = f"{key.path}: " if key.path else ""
    if key.old is UNSET:
        return f"{path}{_value(key.new)} (new)"
    if key.new is UNSET:
        return f"{path}{_value(key.old)} (gone)"
    return f"{path}{_value(key.old)} → {_value(key.new)}"


def _template_lines(key: Key) -> list[str]:
    return str(key.new).splitlines()


def _value(value: Any) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    text = " ".join(text.split()) if "\n" in text else text
    text = repr(text) if isinstance(value, str) and text != text.strip() else text
    return text if len(text) <= VALUE_CHARS_MAX else f"{text[: VALUE_CHARS_MAX - 1]}…"
