"""`stagewheel stats`: what a server has done since it started, and what it holds.

Laws: a shard that does not answer in time is named, and the numbers are those of the others; the status says
that they are not all. It is the command of the hour when something is wrong, so it must say what it can.
"""

from typing import Any

import click

from stagewheel.cli.connection import INCOMPLETE, connected, server_options
from stagewheel.cli.output import console, emit, json_option, moment, span, table
from stagewheel.client.merging import statistics_of
from stagewheel.protocol.errors import TimedOut

STORED = (
    ("items_stored", "items"),
    ("timers_stored", "timers"),
    ("outbox_stored", "actions on their way"),
    ("parked_stored", "actions between two attempts"),
    ("dead_letters_stored", "dead letters"),
    ("mailbox_stored", "messages in mailboxes"),
    ("poison_stored", "poison messages"),
    ("journal_stored", "journal records"),
)
DONE = (
    "turns",
    "submits",
    "commands",
    "decisions",
    "timers_fired",
    "reports",
    "retries",
    "dead_letters",
    "poison",
)
REPORTED = {
    "delivered": "delivered",
    "accepted": "taken",
    "refused": "refused",
    "retry": "tried again",
    "unknown": "unknown",
    "expired": "expired",
    "outside": "outside its hours",
    "postponed": "breaker open",
}

SHARDS = {
    "cpu_s": "cpu s",
    "items_stored": "items",
    "timers_stored": "timers",
    "outbox_stored": "on their way",
    "mailbox_stored": "in mailboxes",
    "journal_stored": "records",
}
POOLS = {
    "processes": "processes",
    "size": "size",
    "busy": "busy",
    "waiting": "waiting",
    "connections": "connections",
    "connections_opened": "opened",
    "breaker_opened": "breaker opened",
}


@click.command()
@server_options
@json_option
def command(server: str, timeout_s: float, as_json: bool) -> int:
    """Show what a server has done.

    With several shards the numbers are sums, and each shard's own. One that does not answer in time is named
    (`silent` with --json), the sums are those of the others, and the exit status is 3.
    """
    with connected(server, timeout_s, role="read") as client:
        each = client.statistics_of_each()
        if each.count(None) == len(each):
            raise TimedOut(f"no shard answers within {timeout_s:g} s")
    statistics = statistics_of(each)
    silent = [str(shard) for shard in statistics.get("silent", ())]
    if as_json:
        emit(statistics)
    else:
        _show(statistics)
    if not silent:
        return 0
    named = f"shard{'s' if len(silent) > 1 else ''} {', '.join(silent)}"
    click.echo(
        f"incomplete: {named} did not answer within {timeout_s:g} s; the sums are of the others", err=True
    )
    return INCOMPLETE


def _show(statistics: dict[str, Any]) -> None:
    """For people."""
    tally = statistics["tally"]
    clock, now_ms = statistics["clock"], statistics["now_ms"]
    out = console()
    up = f", up for {span(max(0, now_ms - tally['started_ms']))}" if clock == "system" else ""
    out.print(f"clock {clock}: {moment(now_ms)}{up}, {statistics['cpu_s']:,.1f} s of a processor core")
    out.print()
    out.print(
        table(["stored", "count"], [[text, _count(statistics[name])] for name, text in STORED], right="count")
    )
    out.print()
    shards = statistics.get("shards", ())
    if shards:
        rows = [[str(n), *_row(one)] for n, one in enumerate(shards)]
        heads = list(SHARDS.values())
        out.print(table(["shard", *heads], rows, right=",".join(heads)))
        out.print()
    done = [[name.replace("_", " "), _count(tally[name])] for name in DONE]
    done += [[f"refused: {code}", _count(count)] for code, count in tally["refused"].items()]
    done += [[f"loop detected: {guard}", _count(count)] for guard, count in tally["guards"].items()]
    out.print(table(["since its start", "count"], done, right="count"))
    if tally["channels"]:
        out.print()
        rows = [
            [lane, *(_count(counts.get(name, 0)) for name in REPORTED)]
            for lane, counts in sorted(tally["channels"].items())
        ]
        heads = list(REPORTED.values())
        out.print(table(["channel", *heads], rows, right=",".join(heads)))
    pools = statistics["told"]["pools"]
    if pools:
        out.print()
        rows = [
            [lane, *(_count(pool[name]) for name in POOLS), _breaker(pool["breaker"])]
            for lane, pool in sorted(pools.items())
        ]
        heads = list(POOLS.values())
        out.print(table(["pool", *heads, "breaker"], rows, right=",".join(heads)))
    for process, counts in statistics["told"]["processes"].items():
        out.print()
        out.print(
            table([process, "count"], [[n, _count(c)] for n, c in sorted(counts.items())], right="count")
        )
    out.print()
    commits = max(1, statistics["store"]["commit_count"])
    commit_ms = statistics["store"]["commit_us_total"] / commits / 1000
    out.print(f"a commit takes {commit_ms:.2f} ms on average; the latest timer was {_late(tally)} late")


def _row(one: dict[str, Any] | None) -> list[str]:
    """A shard's numbers, if it told any."""
    if one is None:
        return ["no answer", *[""] * (len(SHARDS) - 1)]
    return [_count(one[name]) for name in SHARDS]


def _breaker(states: dict[str, int]) -> str:
    """`closed`, or how many processes have it in which state."""
    found = [(state, count) for state, count in states.items() if count]
    if len(found) == 1:
        return found[0][0]
    return ", ".join(f"{state} in {count}" for state, count in found)


def _late(tally: dict[str, Any]) -> str:
    late_ms = tally["lateness_ms_peak"]
    return f"{late_ms} ms" if late_ms < 10_000 else span(late_ms)


def _count(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"
