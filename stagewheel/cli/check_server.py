"""What `check --server` adds: how a ruleset compares with what a server runs, and the items that it would
leave in stages that it does not have (1.11).

Laws: it asks and changes nothing. Items that are left keep the rules of their entry and can be moved by
command; `apply --map OLD=NEW` moves them all. So they are told as a warning.
"""

from collections.abc import Iterable
from typing import Any, Final

from msgspec import Struct
from rich.console import Console
from rich.markup import escape

from stagewheel.cli.check_actions import action_warnings
from stagewheel.cli.diff import active_files, as_data, show_changes
from stagewheel.cli.output import counted
from stagewheel.client.blocking import Client
from stagewheel.protocol.messages import StageView
from stagewheel.server.core.plan import Version
from stagewheel.server.rules.diff import Change, differences

FIRST_SHOWN: Final = 5


class Left(Struct, frozen=True):
    """Items that sit in a stage which the ruleset does not have."""

    pipeline: str
    stage: str
    items: int
    first: list[str]


class Compared(Struct, frozen=True):
    """What a server runs of a ruleset (`active` 0: nothing), what differs, and whom it would leave behind."""

    active: int
    changes: list[Change]
    left: list[Left]
    actions: list[str] = []  # what is wrong with application actions

    def data(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "active": self.active or None,
            "changes": as_data(self.changes),
            "left": self.left,
            "actions": self.actions,
        }


def compared(client: Client, version: Version, files: dict[str, str]) -> Compared:
    """A ruleset without mistakes, held against a server."""
    active, before = active_files(client, version.ruleset)
    changes = differences(before, files) if active else []
    gone = {one.id for one in changes if one.part == "pipeline" and one.how == "removed"}

    def lacks(one: StageView) -> bool:
        plan = version.pipelines.get(one.pipeline)
        return one.stage not in plan.stages if plan is not None else one.pipeline in gone

    left = _left(client, filter(lacks, client.stages()))
    return Compared(active, changes, left, actions_of(client, version) + missing_files(client, version))


def actions_of(client: Client, version: Version) -> list[str]:
    """Application actions that the rules call and the server does not know, or knows otherwise (H8)."""
    if not version.app_actions:
        return []
    return action_warnings(version.app_actions, {view.action.name: view.action for view in client.actions()})


def missing_files(client: Client, version: Version) -> list[str]:
    """Stored files that the rules name and the server does not have."""
    return [
        f"there is no stored file {name}, which the rules name; 'stagewheel file put' stores it"
        for name in sorted(version.files)
        if not any(one.file == name for one in client.files(name))
    ]


def left_behind(client: Client) -> list[Left]:
    """Items in stages that no active ruleset has."""
    return _left(client, (one for one in client.stages() if not one.known))


def _left(client: Client, stages: Iterable[StageView]) -> list[Left]:
    found = []
    for one in list(stages):
        count, first = 0, []
        for key in client.items_of_stage(one.pipeline, one.stage):
            count += 1
            if count <= FIRST_SHOWN:
                first.append(key)
        if count:
            found.append(Left(one.pipeline, one.stage, count, first))
    return found


def show_compared(out: Console, told: Compared, ruleset: str) -> None:
    """In words."""
    if told.active:
        show_changes(out, told.changes, f"version {told.active} of {ruleset}, which the server runs")
    else:
        out.print(f"the server does not run ruleset {escape(ruleset)}")
    show_left(out, told.left)
    show_actions(out, told.actions)


def show_actions(out: Console, warnings: list[str]) -> None:
    """A line each."""
    for one in warnings:
        out.print(f"[yellow]warning[/yellow]: {escape(one)}", soft_wrap=True)


def show_left(out: Console, left: list[Left]) -> None:
    """A line for each stage."""
    for one in left:
        sit = counted(one.items, "item sits", "items sit")
        keys = ", ".join(map(escape, one.first)) + (", …" if one.items > len(one.first) else "")
        text = f"{sit} in stage {one.stage} of {one.pipeline}, which the ruleset does not have: {keys}"
        out.print(f"[yellow]warning[/yellow]: {text}", soft_wrap=True)
    if left:
        out.print("they keep the rules of their entry; 'apply --map OLD=NEW' moves them")
