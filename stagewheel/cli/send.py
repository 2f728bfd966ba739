"""`stagewheel send`: commands from the shell, one by words and values, or many from a file.

Laws: the words are those of scenarios (`server/scenarios/written.py`); values are read as YAML, so that
`amount=12` is a number. A file is sent in order, with many batches under way, and ends with the count of what
became of them; a mistake in it is told with its line before anything is sent.
"""

import json
import sys
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import click
from rich.markup import escape

from stagewheel.cli.connection import connected, server_options
from stagewheel.cli.output import console, counted, emit, json_option, progress
from stagewheel.client.blocking import Client, Ticket
from stagewheel.errors import CallerError
from stagewheel.protocol.messages import AnyCommand, Failed, Result
from stagewheel.protocol.plain import kind_of, plain
from stagewheel.protocol.routing import TOLD_TO_ALL
from stagewheel.server.rules import yaml
from stagewheel.server.rules.mistakes import Log, Place
from stagewheel.server.scenarios.written import WORDS, read_command

BATCH_COMMANDS: Final = 64
BATCHES_UNDER_WAY_MAX: Final = 64
FAILED_SHOWN_MAX: Final = 20
FIRST: Final = {"employee": "id", "retry": "letter", "drop": "letter"}  # what a bare first value is
MISTAKES_SHOWN_MAX: Final = 20


@click.command()
@click.argument("word", required=False, type=click.Choice(list(WORDS)), metavar="[WORD]")
@click.argument("values", nargs=-1, metavar="[KEY] [NAME=VALUE]…")
@click.option("--file", "file", metavar="FILE", help="Commands as JSON, one a line; - is standard input.")
@click.option("--wait", "wait_applied", is_flag=True, help="Wait until accepted commands are applied too.")
@server_options
@json_option
def command(
    word: str | None,
    values: tuple[str, ...],
    file: str | None,
    wait_applied: bool,
    server: str,
    timeout_s: float,
    as_json: bool,
) -> int:
    """Send commands: create, update, move, event, delete, start, pause, stop, resume, employee, put_client.

    \b
    stagewheel send create lead:1 pipeline=leads title="Oak kitchen" fields.status=new client.name=Ada
    stagewheel send move deal:7 stage=invoice
    stagewheel send event deal:7 on=payment_received
    stagewheel send employee 7 name=Rosa emails=[rosa@example.com]
    stagewheel send put_client contact:17 name=Ada emails=[ada@example.com] company=company:3
    stagewheel send --file commands.jsonl        (lines such as {"move": {"item": "deal:7", "stage": "won"}})
    """
    if (word is None) == (file is None):
        raise click.UsageError("name a command and its values, or --file")
    if word is not None:
        one = _from_words(word, values)
        with connected(server, timeout_s) as client:
            result = client.submit([one], wait_applied)[0]
        return _show_one(result, as_json)
    assert file is not None, "one of the two is given"
    commands = _from_file(file)
    with connected(server, timeout_s) as client:
        return _send_many(client, commands, wait_applied, as_json)


# ---------------------------------------------------------------- reading


def _from_words(word: str, values: Iterable[str]) -> AnyCommand:
    """`deal:7 stage=won fields.amount=12` as a command. Raises UsageError."""
    raw: dict[str, Any] = {}
    log = Log()
    for number, one in enumerate(values):
        name, equals, text = one.partition("=")
        if not equals:
            if number:
                raise click.UsageError(f"{one!r}: expected NAME=VALUE")
            name, text = FIRST.get(word, "item"), one
        value: Any = text if name == "item" else yaml.load(name, text, log)
        into, *parts = name.split(".")
        target = raw
        for part in parts:
            target = target.setdefault(into, {})
            if not isinstance(target, dict):
                raise click.UsageError(f"{one!r}: {into} has a value already")
            into = part
        target[into] = value
    made = read_command(word, raw, Place(word), log, ZoneInfo("UTC"))
    if made is None or log.mistakes:
        raise click.UsageError("\n".join(f"{m.path or m.file}: {m.message}" for m in log.mistakes))
    return made


def _from_file(file: str) -> list[AnyCommand]:
    """All commands of a file. Raises CallerError with the lines that are wrong."""
    log = Log()
    commands = []
    for number, text in enumerate(_lines(file), 1):
        if not text.strip():
            continue
        place = Place(f"{file}:{number}")
        try:
            value = json.loads(text)
        except ValueError as error:
            log.mistake(place, f"not valid JSON: {error}")
            continue
        if not isinstance(value, dict) or len(value) != 1 or next(iter(value)) not in WORDS:
            log.mistake(
                place, f'expected one command such as {{"move": {{…}}}}; commands are {", ".join(WORDS)}'
            )
            continue
        word, raw = next(iter(value.items()))
        one = read_command(word, raw, place / word, log, ZoneInfo("UTC"))
        if one is not None:
            commands.append(one)
    if log.mistakes:
        shown = "\n".join(str(one) for one in log.mistakes[:MISTAKES_SHOWN_MAX])
        count = counted(len(log.mistakes), "mistake")
        raise CallerError(f"{count} in {file}; nothing was sent\n{shown}")
    return commands


def _lines(file: str) -> Iterator[str]:
    if file == "-":
        yield from sys.stdin
        return
    try:
        with Path(file).open(encoding="utf-8") as lines:
            yield from lines
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CallerError(f"{file} can't be read: {reason}") from None


# ---------------------------------------------------------------- sending


def pipelined(client: Client, commands: Iterable[AnyCommand], wait_applied: bool) -> Iterator[list[Result]]:
    """Send in order, in batches with many under way; the results of each batch, in order. Behind what every
    shard is told of (a ruleset, an employee) the next batch waits until all know.
    """
    under_way: deque[Ticket] = deque()
    batch: list[AnyCommand] = []
    for one in commands:
        batch.append(one)
        if len(batch) == BATCH_COMMANDS:
            under_way.append(client.send(batch, wait_applied))
            left = BATCHES_UNDER_WAY_MAX if TOLD_TO_ALL.isdisjoint(map(type, batch)) else 1
            batch = []
            while under_way and (len(under_way) >= left or under_way[0].done):
                yield under_way.popleft().results()
    if batch:
        under_way.append(client.send(batch, wait_applied))
    while under_way:
        yield under_way.popleft().results()


def _send_many(client: Client, commands: list[AnyCommand], wait_applied: bool, as_json: bool) -> int:
    counts: Counter[str] = Counter()
    failed: list[tuple[int, Failed]] = []
    at = 0
    with progress() as bar:
        task = bar.add_task("sending", total=len(commands), note="")
        for results in pipelined(client, commands, wait_applied):
            for result in results:
                at += 1
                counts[kind_of(result)] += 1
                if isinstance(result, Failed):
                    failed.append((at, result))
            bar.advance(task, len(results))
    if as_json:
        emit({"commands": at, "results": dict(counts), "failed": [[n, plain(one)] for n, one in failed]})
    else:
        said = ", ".join(f"{count:,} {kind.replace('_', ' ')}" for kind, count in counts.most_common())
        console().print(f"{counted(at, 'command')}: {said or 'none'}")
        for number, one in failed[:FAILED_SHOWN_MAX]:
            err = f"[red]command {number}[/red]: {one.code}: {escape(one.message)}"
            console(stderr=True).print(err, soft_wrap=True)
        if len(failed) > FAILED_SHOWN_MAX:
            console(stderr=True).print(f"… and {len(failed) - FAILED_SHOWN_MAX} more")
    return 1 if failed else 0


def _show_one(result: Result, as_json: bool) -> int:
    if as_json:
        emit(result)
        return 1 if isinstance(result, Failed) else 0
    if isinstance(result, Failed):
        raise CallerError(f"{result.code}: {result.message}")
    values = {name: value for name, value in plain(result).items() if value not in ("", [], 0)}
    said = ", ".join(f"{n} {value}" for n, value in values.items() if n not in ("kind", "candidates"))
    console().print(f"[green]{kind_of(result).replace('_', ' ')}[/green]  {escape(said)}")
    for one in values.get("candidates", ()):
        said = "; ".join([one["reason"], *map(_test, one["tests"])])
        console().print(f"  {one['trigger']} ({one['stage']}): {escape(said)}", soft_wrap=True)
    return 0


def _test(test: dict[str, Any]) -> str:
    return f"{test['path']} was {test['seen']!r} (asked: {test['operator']} {test['expected']!r})"
