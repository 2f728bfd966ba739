"""The `stagewheel` command: finds the file of a command, runs it, and turns what went wrong into a line and a
status.

Laws: status 0 is success, 1 a failure, 2 wrong usage, 3 that what was shown is not all (a shard did not
answer), 130 an interruption. Only the file of the command that was asked for is imported. Errors go to
standard error and say what to do; what we raise on purpose never shows a traceback, and what is a bug always
does.
"""

import importlib
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, cast

import click

from stagewheel import __version__
from stagewheel.errors import StagewheelError

FAILED: Final = 1
INTERRUPTED: Final = 130

# Command -> (module, the one line that `--help` shows without importing it), in the order of their use.
COMMANDS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "demo": ("demo", "Two weeks of a lead process in seconds, with real mails to a local mail server."),
        "serve": ("serve", "Run a server."),
        "check": ("check", "Find mistakes in a ruleset, offline."),
        "test": ("test_command", "Play scenarios in virtual time."),
        "apply": ("apply", "Publish a ruleset on a running server."),
        "diff": ("diff", "Show what differs between a ruleset and what a server runs."),
        "versions": ("versions", "List, show and compare published versions, or go back to one."),
        "import": ("import_command", "Create many items from a CSV or JSONL file."),
        "try": ("try_command", "Send one real message of a rule to an address of your own."),
        "send": ("send", "Send commands to a running server."),
        "item": ("item", "Show an item and what waits for it."),
        "timeline": ("timeline", "Show what happened to an item, and why."),
        "explain": ("explain", "Explain why a rule did or did not do something for an item."),
        "tasks": ("tasks", "List tasks of items, employees and workgroups."),
        "task": ("task", "Show a task of an item, or change it."),
        "history": ("history", "List and count history entries, notifications and stream messages."),
        "activities": ("activities", "List activities, calls and meetings of an item or an employee."),
        "calendar": ("calendar", "Show the calendar of an employee, or write it as an iCalendar file."),
        "dead-letters": ("dead_letters", "List, retry or drop actions that were given up."),
        "file": ("file", "Store, fetch, list and drop files: attachments, files of messages."),
        "actions": ("actions", "List, register or drop application actions."),
        "suppressed": ("suppressed", "List, add or take back addresses that must not be written to."),
        "alias": ("alias", "Let an item be named by the CRM's own id as well."),
        "erase": ("erase", "Remove the personal data of items or clients from all that is stored."),
        "repartition": ("repartition", "Divide a stopped server's data among another number of shards."),
        "compact": ("compact", "Rewrite a stopped server's store: no old page keeps what was erased."),
        "poison": ("poison", "List, show, retry or drop messages whose decision failed with a bug."),
        "hold": ("hold", "Pause or stop automation: of an item, a stage of it, a rule, a pipeline."),
        "resume": ("resume", "Let automation go on that was paused or stopped."),
        "stats": ("stats", "Show what a server has done."),
        "replay": ("replay", "Feed an event log to a running server."),
        "simulate": ("simulate", "Run a recorded history under a ruleset, and compare two."),
        "sign": ("sign", "Sign a value for a link or a form of the HTTP edge."),
        "schema": ("schema", "Print the JSON Schema that editors use for completion."),
    }
)


class Commands(click.Group):
    """Commands by name, imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The `command` of its module."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"stagewheel.cli.{COMMANDS[cmd_name][0]}")
        return cast(click.Command, module.command)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="stagewheel")
@click.option("-v", "--verbose", is_flag=True, help="Say more on standard error.")
def cli(verbose: bool) -> None:
    """Automation rules for items that move through stages.

    A server runs the rules (`serve`), people write and test them (`check`, `test`, `apply`), programs feed
    it. `stagewheel demo` shows all of it.
    """
    level = logging.INFO if verbose else logging.WARNING
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status."""
    try:
        status: Any = cli.main(args=arguments, prog_name="stagewheel", standalone_mode=False)
        return status if isinstance(status, int) else 0
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped", err=True)
        return INTERRUPTED
    except StagewheelError as error:
        click.echo(f"{click.style('error:', fg='red', bold=True)} {error}", err=True)
        return FAILED
    except BrokenPipeError:
        # Whoever read our output has gone (`| head`); what Python flushes at its end must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED


if __name__ == "__main__":
    sys.exit(main())
