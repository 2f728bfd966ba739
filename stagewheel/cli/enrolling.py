"""What publishing does to items that sit in a stage: the wish, what it would do, the question, the wait.

Laws: the preview is the server's own decision for every item, not committed; its answer names how many items
and which channel actions leave at once. The server does the work; this command only watches, and may be ended
without ending it.
"""

import time
from collections.abc import Callable
from functools import wraps
from typing import Any, Final, TypeVar

import click
from msgspec import Struct
from rich.console import Console
from rich.markup import escape

from stagewheel.cli.output import counted, progress
from stagewheel.client import questions
from stagewheel.client.blocking import Client
from stagewheel.protocol.messages import EnrolmentView, EnrolPreview, EnrolPreviewQuery, StageMove

F = TypeVar("F", bound=Callable[..., Any])
LOOK_EVERY_S: Final = 0.2
RUNNING: Final = "running"


class Wish(Struct, frozen=True):
    """What is wished for items that sit in a stage. `enrol`: "" | new | restart."""

    enrol: str = ""
    from_entry: bool = False
    moves: tuple[StageMove, ...] = ()
    dry_run: bool = False
    yes: bool = False
    wait: bool = True

    @property
    def concerns_items(self) -> bool:
        """Is anything to be done to items?"""
        return bool(self.enrol or self.moves)


def wish_options(command: F) -> F:
    """`--enrol`, `--from`, `--map`, `--dry-run`, `--yes`, `--no-wait`, given to the command as `wish`."""

    @wraps(command)
    def with_wish(
        *args: Any,
        enrol: str | None,
        start: str,
        maps: tuple[str, ...],
        dry_run: bool,
        yes: bool,
        wait: bool,
        **named: Any,
    ) -> Any:
        if start == "entry" and enrol != "new":
            raise click.UsageError("--from entry goes with --enrol (or --enrol=new)")
        wish = Wish(enrol or "", start == "entry", tuple(map(_move, maps)), dry_run, yes, wait)
        return command(*args, wish=wish, **named)

    for option in (
        click.option("--no-wait", "wait", flag_value=False, default=True, help="Do not watch an enrolment."),
        click.option("-y", "--yes", is_flag=True, help="Do not ask."),
        click.option("--dry-run", is_flag=True, help="Say what would happen, and change nothing."),
        click.option(
            "--map",
            "maps",
            multiple=True,
            metavar="[PIPELINE/]OLD=NEW",
            help="Move items out of a stage that the version does not have; may be repeated.",
        ),
        click.option(
            "--from",
            "start",
            type=click.Choice(["now", "entry"]),
            default="now",
            show_default=True,
            help="What waits of new rules count from.",
        ),
        click.option(
            "--enrol",
            is_flag=False,
            flag_value="new",
            default=None,
            type=click.Choice(["new", "restart"]),
            help="Items that sit in a stage take the new rules (new), or begin a new entry (restart).",
        ),
    ):
        with_wish = option(with_wish)
    return with_wish  # type: ignore[return-value]  # the same function with other parameters


def _move(text: str) -> StageMove:
    old, equals, new = text.partition("=")
    pipeline, slash, stage = old.rpartition("/")
    if not equals or not new or not stage or (slash and not pipeline):
        raise click.UsageError(f"--map {text}: expected OLD=NEW, or PIPELINE/OLD=NEW")
    return StageMove(pipeline, stage, new)


def preview(client: Client, version: int, wish: Wish, out: Console) -> EnrolPreview:
    """What the wish would do to all items, added up over the pages."""
    query = EnrolPreviewQuery(version, wish.enrol, wish.from_entry, list(wish.moves))
    total = EnrolPreview(actions={}, first=[])
    with progress() as bar:
        task = bar.add_task("looking", total=None, note="")
        for page in client.ask(questions.enrol_preview(query)):
            total.looked += page.looked
            total.concerned += page.concerned
            total.waits += page.waits
            total.cancelled += page.cancelled
            total.failed += page.failed
            total.first = (total.first + page.first)[:5]
            for name, count in page.actions.items():
                total.actions[name] = total.actions.get(name, 0) + count
            bar.update(task, completed=total.looked, note=counted(total.looked, "item"))
    _show(total, out)
    return total


def _show(told: EnrolPreview, out: Console) -> None:
    first = f", the first are {', '.join(map(escape, told.first))}" if told.first else ""
    out.print(f"{counted(told.concerned, 'item')} of {told.looked:,} would be concerned{first}")
    if told.waits or told.cancelled:
        waits = counted(told.waits, "step would wait", "steps would wait")
        out.print(f"{waits}, {told.cancelled:,} would be cancelled")
    for name, count in sorted(told.actions.items()):
        rule, _, channel = name.rpartition(" ")
        out.print(f"[yellow]at once[/yellow]: {counted(count, channel)} by rule {escape(rule)}")
    if not told.actions:
        out.print("no channel action would leave at once")
    if told.failed:
        out.print(f"[red]{counted(told.failed, 'item')} can't be decided (a bug)[/red] and would stay as is")


def agree(told: EnrolPreview, wish: Wish, out: Console) -> bool:
    """Shall it be done? `--dry-run` is asked nothing and goes on to its own end."""
    if wish.dry_run or wish.yes:
        return True
    count = counted(told.concerned, "item")
    if click.confirm(f"go on with {count}?", err=True):
        return True
    out.print("nothing was activated")
    return False


def watch(client: Client, number: int, out: Console) -> EnrolmentView | None:
    """Wait until an enrolment is over, with its progress; what became of it."""
    with progress() as bar:
        task = bar.add_task("enrolling", total=None, note="")
        while True:
            one = next((one for one in client.enrolments() if one.number == number), None)
            if one is None or one.state != RUNNING:
                break
            bar.update(task, completed=one.looked, note=f"{one.concerned:,} concerned, at {one.stage}")
            time.sleep(LOOK_EVERY_S)
    if one is not None:
        looked = counted(one.looked, "item")
        out.print(f"enrolment {number} {one.state}: {looked} looked at, {one.concerned:,} concerned")
    return one
