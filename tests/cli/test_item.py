"""`stagewheel item` shows where workflows stand: each branch, for what it waits and until when (W8–W11)."""

import io

from rich.console import Console

from stagewheel.cli.item import show
from stagewheel.cli.output import moment
from tests.core.play import DAY_MS, HOUR_MS, MONDAY_NINE_MS, Play, deals

RULES = deals(
    """
    - id: new
      rules:
        - id: chase
          steps:
            - do: parallel
              branches:
                - steps: [{do: wait_for, event: app, code: paid, timeout: 2d}]
                - steps: [{do: wait_for, fields: [size, paid]}]
                - steps: [{do: run_workflow, workflow: sub, wait: true}]
    """,
    "workflows: {sub: {pipeline: deals, steps: [{do: pause, for: 1h}, {do: pause, until: due}]}}\n",
)


def shown(play: Play) -> list[list[str]]:
    """The rows of what waits, by cell."""
    view = play.drive.item("deal:1")
    assert view is not None
    out = io.StringIO()
    show(Console(file=out, width=200), view, MONDAY_NINE_MS)
    rows = [
        [cell.strip() for cell in line.split("  ") if cell.strip()] for line in out.getvalue().splitlines()
    ]
    return [row for row in rows if row and row[0].startswith(("chase", "sub"))]


def test_an_item_shows_each_branch_and_what_it_waits_for() -> None:
    play = Play(RULES)
    play.create()
    later, soon = moment(MONDAY_NINE_MS + 2 * DAY_MS), moment(MONDAY_NINE_MS + HOUR_MS)
    assert [row[:2] for row in shown(play)] == [
        ["chase", "the end of its workflow"],
        ["chase/steps (1), branch 1: wait_for", f"event app paid, at most until {later}"],
        ["chase/steps (1), branch 2: wait_for", "change of size, paid"],
        ["chase/steps (1), branch 3: run_workflow", "workflow sub"],
        ["sub (2): pause", soon],
    ]
    play.wait(HOUR_MS)
    assert shown(play)[-1] == ["sub (2): pause", "its date field is filled"]
