"""`stagewheel explain`: why did this happen to an item, or why not."""

import click
from rich.console import Console
from rich.markup import escape

from stagewheel.cli.connection import connected, server_options
from stagewheel.cli.output import console, emit, json_option, moment, table
from stagewheel.cli.reasons import Explanation, Journal, Passage, Told, explain, explain_stay, names_of
from stagewheel.cli.telling import WORDS, shown_seen, shown_value
from stagewheel.cli.timeline import STYLES, versions_of
from stagewheel.errors import CallerError
from stagewheel.protocol.messages import Test
from stagewheel.server.rules.mistakes import listed, nearest


@click.command()
@click.argument("key", metavar="ITEM")
@click.argument("about", metavar="[RULE]", default="")
@click.option(
    "-n", "--limit", type=click.IntRange(1), default=10_000, show_default=True, help="Newest records to read."
)
@server_options
@json_option
def command(key: str, about: str, limit: int, server: str, timeout_s: float, as_json: bool) -> None:
    """Explain what a RULE (or trigger, or workflow) did for ITEM, or why it did nothing.

    Without RULE: what each rule of the item's present stage came to.
    """
    with connected(server, timeout_s, role="read") as client:
        records = client.timeline(key, limit)
        if not records:
            raise CallerError(f"nothing is known of an item {key}")
        journal = Journal(key, (record for _, record in reversed(records)), versions_of(client))
        if about:
            answer = explain(journal, about)
            if answer is None:
                known = names_of(journal)
                hint = nearest(about, known) or f"; there are {listed(known)}"
                raise CallerError(f"the item's ruleset has no rule, trigger or workflow {about!r}{hint}")
            if as_json:
                emit(answer)
            else:
                show(console(), answer)
            return
        stay = explain_stay(journal)
        if stay is None:
            raise CallerError(f"the records of {key} begin behind its last entry; ask with a higher --limit")
        passage, rules = stay
        if as_json:
            emit({"item": key, "passage": passage, "rules": [{"rule": r, "verdict": v} for r, v in rules]})
        else:
            show_stay(console(), key, passage, rules)


def show(out: Console, answer: Explanation) -> None:
    """The verdict first, then the facts behind it, stay by stay."""
    out.print(f"[bold]{answer.kind} {escape(answer.about)}[/bold] for {escape(answer.item)}: ", end="")
    out.print(escape(answer.verdict), soft_wrap=True)
    for passage in answer.passages:
        out.print()
        _head(out, passage)
        for told in passage.told:
            _told(out, told)
        if passage.verdict and passage.verdict != answer.verdict:
            out.print(f"  so: {escape(passage.verdict)}", soft_wrap=True)


def show_stay(out: Console, key: str, passage: Passage, rules: list[tuple[str, str]]) -> None:
    """Each rule of the present stage in a line."""
    out.print(f"[bold]{escape(key)}[/bold]")
    _head(out, passage)
    if not rules:
        out.print("  the stage has no rules")
        return
    out.print(table(["  rule", "what became of it"], [[f"  {escape(r)}", escape(v)] for r, v in rules]))


def _head(out: Console, passage: Passage) -> None:
    out.print(
        f"[dim]{moment(passage.at_ms)}[/dim]  {escape(passage.how)}, by ruleset version {passage.version}",
        soft_wrap=True,
    )


def _told(out: Console, told: Told) -> None:
    style = STYLES.get(told.outcome, "default")
    out.print(f"  [dim]{moment(told.at_ms)}[/dim]  [{style}]{escape(told.text)}[/{style}]", soft_wrap=True)
    for test in told.tests:
        out.print(f"      {_test(test)}", soft_wrap=True)


def _test(test: Test) -> str:
    word = WORDS.get(test.operator, test.operator)
    mark = "[green]holds[/green]" if test.held else "[red]does not hold[/red]"
    asked = f"{test.path} {word} {shown_value(test.expected)}"
    return f"{escape(asked)}: it was {escape(shown_seen(test.operator, test.seen))}, {mark}"
