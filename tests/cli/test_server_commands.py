"""Commands against a real server: what one sends, the others show."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stagewheel.cli.local_server import LocalServer
from stagewheel.client.blocking import Client
from stagewheel.protocol.journal import StepEnded, WorkflowWaits
from tests.conftest import REPOSITORY

Run = Callable[..., tuple[int, Any, str]]
EXAMPLES = REPOSITORY / "examples"
SENDERS = 1  # of the shared server
WAIT_S = 30.0


@pytest.fixture(scope="module", autouse=True)
def _published(server: LocalServer) -> None:
    """Two rulesets and two employees, by the client."""
    from stagewheel.server.rules.load import load_folder_or_files

    with Client(server.address) as client:
        client.put_ruleset("", load_folder_or_files([EXAMPLES / "lead-auto-reply"]))
        client.put_ruleset("", load_folder_or_files([EXAMPLES / "scenarios" / "rules" / "orders.yaml"]))


def journalled(server: LocalServer, item: str, fact: type, outcome: str) -> None:
    """Wait until the item's journal has such a fact."""
    with Client(server.address) as client:
        for _, record in client.subscribe(item=item, idle_s=WAIT_S):
            if any(isinstance(one, fact) and getattr(one, "outcome", "") == outcome for one in record.did):
                return
    pytest.fail(f"{item}: no {fact.__name__} {outcome} within {WAIT_S} s")


def test_apply_publishes_and_tells_the_version(run: Run) -> None:
    status, told, _ = run("apply", str(EXAMPLES / "rulesets" / "sales.yaml"), "--ruleset", "sales")
    assert status == 1, "the pipeline of leads belongs to another ruleset"
    status, told, _ = run("apply", str(EXAMPLES / "loans"), "--json", "--note", "first")
    assert (status, told["ruleset"], told["warnings"]) == (0, "loans", [])
    status, text, _ = run("apply", str(EXAMPLES / "loans"))
    assert status == 0
    assert "nothing was published: the server runs these very files" in text
    status, text, _ = run("apply", str(EXAMPLES / "loans" / "rules.yaml"))
    assert status == 0
    assert f"published ruleset loans as version {told['version'] + 1} (1 file)" in text


def test_apply_tells_the_mistakes_of_a_ruleset(run: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(
        "ruleset: bad\npipelines: {p: {entity: deal, stages: [{id: a, rlues: []}]}}"
    )
    status, out, err = run("apply", str(tmp_path / "bad.yaml"))
    assert (status, out) == (1, "")
    assert "bad.yaml:2:" in err
    assert "did you mean 'rules'?" in err


def test_a_lead_is_created_answered_and_shown(run: Run, server: LocalServer) -> None:
    assert run("send", "employee", "7", "name=Rosa Lind", "emails=[rosa@shop.example]")[0] == 0
    status, text, _ = run(
        *("send", "create", "lead:1", "pipeline=leads", "title=Oak kitchen", "source=web_form"),
        *("responsible=7", "client.name=Ada", "client.emails=[{address: ada@client.example, type: work}]"),
    )
    assert (status, text.strip()) == (0, "applied  entry 1")
    journalled(server, "lead:1", WorkflowWaits, "")

    _, item, _ = run("item", "lead:1", "--json")
    assert item["fields"] == {"status": "auto"}
    assert item["client"]["emails"] == [{"address": "ada@client.example", "type": "work"}]
    assert [one["state"] for one in item["waiting"]] == ["waiting"]
    _, text, _ = run("item", "lead:1")
    assert "new of leads, entry 1 since" in text
    assert "Ada, ada@client.example (work)" in text
    assert "lead-auto-reply (1): pause" in text

    _, records, _ = run("timeline", "lead:1", "--json")
    assert [fact["kind"] for fact in records[0]["did"][:2]] == ["item_created", "entered"]
    assert records == sorted(records, key=lambda record: record["position"])
    _, text, _ = run("timeline", "lead:1")
    assert "created in leads: Oak kitchen, from web_form" in text
    assert "because source was 'web_form' (asked: is 'web_form')" in text
    assert "told employee 7: New lead: Oak kitchen" in text


def test_a_contact_is_put_linked_changed_and_shown(run: Run, server: LocalServer) -> None:
    put = ("send", "put_client", "contact:17", "phones=[{address: '+39', type: work}]", "company=company:3")
    assert run(*put, "name=Ada", "emails=[ada@old.example]")[0] == 0
    assert run("send", "create", "order:c17", "pipeline=orders", "client.key=contact:17")[0] == 0
    _, item, _ = run("item", "order:c17", "--json")
    assert item["client"]["name"] == "Ada"
    assert run(*put, "name=Ada Lind", "emails=[ada@new.example]")[0] == 0
    with Client(server.address) as client:
        for _, record in client.subscribe(item="order:c17", idle_s=WAIT_S):
            if record.cause == "ClientChanged":
                break
        view = client.client("contact:17")
        assert view is not None
        assert (view.client.name, view.company, view.links) == ("Ada Lind", "company:3", 1)
        assert [(link.item, link.open) for link in client.links("contact:17")] == [("order:c17", True)]
        assert client.client("contact:none") is None
    _, item, _ = run("item", "order:c17", "--json")
    assert item["client"]["emails"] == [{"address": "ada@new.example", "type": ""}]
    _, text, _ = run("item", "contact:17")
    assert "ada@new.example" in text
    assert "order:c17" in text
    _, told, _ = run("item", "contact:17", "--json")
    assert told["links"][0]["pipeline"] == "orders"
    _, text, _ = run("timeline", "contact:17")
    assert "contact data: Ada Lind, of company company:3" in text
    assert "item order:c17 names it (open, in orders)" in text
    _, text, _ = run("send", "event", "contact:17", "code=nothing")
    assert text.startswith("forwarded")


def test_an_item_that_is_not_there_is_an_error(run: Run) -> None:
    assert run("item", "lead:none")[::2] == (
        1,
        "error: there is no item lead:none; it was never created, or was deleted\n",
    )
    assert run("timeline", "lead:none")[0] == 1
    status, out, err = run("send", "move", "lead:none", "stage=junk")
    assert (status, out) == (1, "")
    assert "unknown_item" in err


def test_an_event_is_answered_with_the_test_that_said_no(run: Run, server: LocalServer) -> None:
    run("send", "create", "order:1", "pipeline=orders", "client.emails=[ada@client.example]")
    status, text, _ = run("send", "event", "order:1", "code=collected", "payload.items=0")
    assert status == 0
    assert "not moved  reason no trigger held" in text
    assert "picked-up (done): condition; trigger.items was 0 (asked: gt 0)" in text
    _, told, _ = run("send", "event", "order:1", "code=collected", "payload.items=2", "--json")
    assert (told["kind"], told["from_stage"], told["to_stage"]) == ("moved", "placed", "done")
    journalled(server, "order:1", StepEnded, "done")
    _, text, _ = run("timeline", "order:1")
    assert (
        "event app collected: trigger picked-up (The customer collected the order in the shop) moves" in text
    )
    assert "entered stage done from placed by trigger picked-up (The customer collected" in text
    assert "unpaid: cancelled, left stage" in text


def test_a_file_of_commands_is_sent_in_order(run: Run, tmp_path: Path) -> None:
    commands: list[dict[str, Any]] = [
        {"create": {"item": f"order:f{n}", "pipeline": "orders"}} for n in range(300)
    ]
    commands += [{"move": {"item": f"order:f{n}", "stage": "packed"}} for n in range(300)]
    commands += [{"move": {"item": "order:nobody", "stage": "packed"}}]
    path = tmp_path / "commands.jsonl"
    path.write_text("\n".join(map(json.dumps, commands)) + "\n\n")
    status, told, _ = run("send", "--file", str(path), "--json", "--wait")
    assert status == 1
    assert (told["commands"], told["results"]) == (601, {"applied": 600, "failed": 1})
    assert told["failed"][0][0] == 601
    _, item, _ = run("item", "order:f299", "--json")
    assert (item["stage"], item["entry"]) == ("packed", 2)


def test_a_mistake_in_a_file_of_commands_sends_nothing(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "commands.jsonl"
    path.write_text(
        '{"create": {"item": "order:m1", "pipeline": "orders"}}\n{"mve": {}}\n{"move": {"stage": "x"}}\n{'
    )
    status, out, err = run("send", "--file", str(path))
    assert (status, out) == (1, "")
    assert "3 mistakes in" in err
    assert f"{path}:2" in err
    assert "move: move needs 'item'" in err
    assert f"{path}:4: not valid JSON" in err
    assert run("item", "order:m1")[0] == 1


def test_dead_letters_are_listed_retried_and_dropped(run: Run, server: LocalServer) -> None:
    assert run("dead-letters", "--json")[1] == []
    status, _, err = run("dead-letters", "retry", "77")
    assert (status, "no dead letter has this number" in err) == (1, True)
    assert run("dead-letters", "drop")[0] == 2
    assert run("dead-letters", "retry", "--all")[0] == 1
    run("send", "create", "order:d1", "pipeline=orders", "title=O", "client.emails=['not an address']")
    journalled(server, "order:d1", StepEnded, "failed")
    _, letters, _ = run("dead-letters", "list", "--json")
    assert [(one["item"], one["rule"], one["channel"]) for one in letters] == [
        ("order:d1", "confirm", "email")
    ]
    assert "1 dead letter" in run("dead-letters")[1]
    assert "1 dead letter dropped" in run("dead-letters", "drop", str(letters[0]["number"]))[1]
    assert run("dead-letters", "--json")[1] == []


def test_statistics_are_shown(run: Run) -> None:
    _, told, _ = run("stats", "--json")
    assert told["items_stored"] > 0
    assert told["python_threads"] == 1
    status, text, _ = run("stats")
    assert status == 0
    assert "clock system:" in text
    assert "dead letters" in text


def test_a_rule_is_tried_on_an_address_of_ones_own(run: Run, server: LocalServer) -> None:
    """N11: through the server's sender, whose outcome is told."""
    run("send", "create", "order:try", "pipeline=orders", "title=Forty", "client.emails=[ada@client.example]")
    status, told, said = run("try", "thanks", "--item", "order:try", "--to", "me@example.org", "--json")
    assert (status, said) == (0, "")
    assert (told["outcome"], told["channel"], told["to"]) == ("delivered", "email", "me@example.org")
    spool = server.log.parent / "spool" / "new"
    [mail] = [text for one in spool.iterdir() if told["detail"]["message_id"] in (text := one.read_text())]
    assert "To: me@example.org" in mail
    assert "Subject: [test] Enjoy it" in mail
    assert ", thank you for coming" in mail
    status, text, _ = run("try", "confirm", "--item", "order:try", "--to", "me@example.org")
    assert status == 0
    assert "delivered to me@example.org by email" in text
    status, _, said = run("try", "thanks", "--item", "order:try", "--to", "me@[nowhere", "--wait", "20")
    assert status == 1
    assert "not delivered: refused: the to address 'me@[nowhere' is not an e-mail address" in said
    status, _, said = run("try", "unpaid", "--item", "order:try", "--to", "me@example.org")
    assert status == 1
    assert "rule unpaid can't be tried" in said
    _, text, _ = run("timeline", "order:try")
    assert "thanks: a test of its email message to me@example.org: delivered" in text
    assert "done" not in run("explain", "thanks", "order:try")[1]


def test_s8_4_statistics_count_what_each_channel_delivered(run: Run, server: LocalServer) -> None:
    """M5."""
    run("send", "create", "order:s1", "pipeline=orders", "title=O", "client.emails=['ada@example.com']")
    journalled(server, "order:s1", StepEnded, "done")
    _, told, _ = run("stats", "--json")
    assert told["tally"]["channels"]["email"]["delivered"] >= 1
    assert told["waiting"]["email"] == 0
    assert (told["served"]["email"], told["served"]["sms"]) == ([""], [])
    assert "breaker open" in run("stats")[1]


def test_an_item_is_named_by_its_alias_and_erased(run: Run) -> None:
    """A7, 7.5, 7.6."""
    run("send", "create", "order:e1", "pipeline=orders", "title=Annalisa", "client.emails=[a@client.example]")
    assert run("alias", "order:e1", "crm-17")[:2] == (0, "crm-17 names order:e1\n")
    code, shown, _ = run("item", "crm-17", "--json")
    assert (code, shown["key"], shown["aliases"]) == (0, "order:e1", ["crm-17"])
    code, _, error = run("alias", "order:e1", "order:e1")
    assert code == 1
    assert "'order:e1' is a key itself" in error
    code, out, error = run("erase", "crm-17", "order:none", "--by", "7", "--yes")
    assert (code, out.splitlines()[0]) == (1, "1 erased")
    assert "their mails in a spool, stay until `stagewheel compact`" in out
    assert "order:none: no item has this key" in error
    code, told, _ = run("erase", "contact:none", "--client", "--json")
    assert (code, told["erased"][0]["result"]["code"]) == (1, "unknown_item")
    code, out, _ = run("timeline", "order:e1")
    assert (code, "Annalisa" in out, "crm-17" in out) == (0, False, False)
    assert "erased by employee 7: its personal data is removed" in out
