"""`stagewheel try RULE --item KEY --to ADDRESS`: one real message of a rule, to one's own address (N11).

It goes the way of every message, through the server's sender and provider, with the item as it is now;
`[test]` stands on it. The item and its rules go on as if nothing had been.
"""

import time
from collections.abc import Iterator
from typing import Any

import click
from rich.markup import escape

from stagewheel.cli.connection import connected, server_options
from stagewheel.cli.output import console, emit, json_option
from stagewheel.client.blocking import Client
from stagewheel.protocol.journal import RuleTried
from stagewheel.protocol.messages import Accepted

DELIVERED = "delivered"
WORDS = {
    "refused": "refused",
    "retry": "not taken; a rule would try it again",
    "unknown": "it may have gone out, nobody knows",
    "expired": "nobody took it in time: does a sender run?",
    "cancelled": "the item was deleted",
}


@click.command()
@click.argument("rule")
@click.option("--item", "key", required=True, metavar="KEY", help="The item whose message it is.")
@click.option("--to", required=True, metavar="ADDRESS", help="Who gets it: e-mail, phone, chat id or URL.")
@click.option("--by", type=int, default=0, metavar="EMPLOYEE", help="On whose behalf.")
@click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(min=0, max=600),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for the delivery.",
)
@server_options
@json_option
def command(
    rule: str, key: str, to: str, by: int, wait_s: float, server: str, timeout_s: float, as_json: bool
) -> int:
    """Send one real message of RULE to an address of your own, marked as a test.

    It is rendered with the item as it is now, and delivered by the server. Neither the item nor the rule's
    outcome changes; the item's timeline tells it.
    """
    with connected(server, timeout_s) as client:
        item = client.item(key)
        after, key = (item.head, item.key) if item is not None else (0, key)
        result = client.try_rule(key, rule, to, by=by)
        if isinstance(result, Accepted):
            return _say({"outcome": "", "reason": "the item is paused; the test goes out on resume"}, as_json)
        found = next(_ends(client, after, key, rule, to, wait_s), None)
    if found is None:
        reason = f"no outcome within {wait_s:g} s; the item's timeline will tell it"
        return _say({"outcome": "", "reason": reason}, as_json)
    told = {
        "channel": found.channel,
        "outcome": found.outcome,
        "reason": found.reason,
        "detail": found.detail,
    }
    return _say({"rule": rule, "item": key, "to": to, **told}, as_json)


def _ends(client: Client, after: int, key: str, rule: str, to: str, wait_s: float) -> Iterator[RuleTried]:
    """The end of the test that was begun after this position, if it comes in time."""
    deadline, step = time.monotonic() + wait_s, 0
    for _, record in client.subscribe(after, item=key, idle_s=wait_s):
        for fact in record.did:
            if not isinstance(fact, RuleTried) or (fact.rule, fact.to) != (rule, to):
                continue
            if not fact.outcome:
                step = step or fact.step
            elif fact.step == step:
                yield fact
        if time.monotonic() > deadline:
            return


def _say(told: dict[str, Any], as_json: bool) -> int:
    status = 0 if told["outcome"] == DELIVERED else 1
    if as_json:
        emit(told)
        return status
    if status == 0:
        detail = ", ".join(f"{name} {value}" for name, value in told["detail"].items())
        shown = f" ({escape(detail)})" if detail else ""
        console().print(f"[green]delivered[/green] to {escape(told['to'])} by {told['channel']}{shown}")
        return 0
    word = WORDS.get(told["outcome"], "")
    text = ": ".join(part for part in (word, told["reason"]) if part)
    console(stderr=True).print(f"[red]not delivered[/red]: {escape(text)}")
    return status
