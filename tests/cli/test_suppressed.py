"""`stagewheel suppressed`, over real sockets (8.8)."""

from collections.abc import Callable
from typing import Any

Run = Callable[..., tuple[int, Any, str]]


def test_suppressed_addresses_are_added_listed_and_taken_back(run: Run) -> None:
    code, out, _ = run(
        "suppressed", "add", "email", "ada@example.com", "bo@example.com", "--kind", "bounced", "--by", "7"
    )
    assert (code, out) == (0, "2 suppressed\n")
    run("suppressed", "add", "sms", "+39 06 1234", "--reason", "said STOP [twice]")
    code, found, _ = run("suppressed", "--json")
    assert [(one["channel"], one["address"], one["kind"], one["by"]) for one in found] == [
        ("email", "ada@example.com", "bounced", 7),
        ("email", "bo@example.com", "bounced", 7),
        ("sms", "+39 06 1234", "unsubscribed", 0),
    ]
    code, out, _ = run("suppressed", "list", "--channel", "sms")
    assert "said STOP [twice]" in out
    assert "1 suppression" in out
    code, found, _ = run("suppressed", "list", "--channel", "email", "--address", "Ada@Example.com", "--json")
    assert [one["address"] for one in found] == ["ada@example.com"]
    code, out, error = run("suppressed", "remove", "email", "ada@example.com", "none@example.com")
    assert (code, out) == (1, "1 taken back\n")
    assert "none@example.com: the address is not suppressed" in error
    code, found, _ = run(
        "suppressed", "remove", "email", "bo@example.com", "--kind", "unsubscribed", "--json"
    )
    assert (code, found[0]["result"]["code"]) == (1, "not_suppressed")
    run("suppressed", "remove", "email", "bo@example.com")
    run("suppressed", "remove", "sms", "+39061234")
    assert run("suppressed")[1] == "0 suppressions\n"


def test_an_address_is_looked_up_on_its_channel(run: Run) -> None:
    code, _, error = run("suppressed", "list", "--address", "ada@example.com")
    assert code != 0
    assert "--channel email" in error
