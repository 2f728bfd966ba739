"""Attachments and addresses of e-mails in rules: what is refused, who is written to, what is shown. (H1)"""

import pytest

from stagewheel.protocol.journal import StreamPosted
from stagewheel.protocol.messages import Address, Client, Employee
from stagewheel.server.rules.compile import compile_ruleset
from stagewheel.server.rules.mistakes import RulesetInvalid
from tests.core.play import Play, deals

FIELDS = "note: text, plan: file}}"


def with_action(action: str) -> str:
    return deals(f"- id: new\n  rules: [{{id: r, action: {{{action}}}}}]\n").replace(
        "note: text}", FIELDS[:-1]
    )


@pytest.mark.parametrize(
    ("attachment", "said"),
    [
        ("{}", "one of them"),
        ("{field: plan, file: a.pdf}", "one of them"),
        ("{field: plam}", "unknown field 'plam' of deal"),
        ("{field: note}", "'note' is text, not a file"),
        ('{file: "{{ item.title }}"}', "without a template"),
    ],
)
def test_an_attachment_that_can_not_be_is_refused_with_its_place(attachment: str, said: str) -> None:
    rules = with_action(f"do: send_email, subject: x, body: x, attachments: [{attachment}]")
    with pytest.raises(RulesetInvalid) as told:
        compile_ruleset({"r.yaml": rules}, 1)
    (mistake,) = told.value.mistakes
    assert said in mistake.message
    assert "attachments[0]" in mistake.path


def test_a_version_knows_which_stored_files_its_rules_name() -> None:
    rules = with_action("do: send_email, subject: x, body: x, attachments: [{file: b.pdf}, {file: a.pdf}]")
    version, _ = compile_ruleset({"r.yaml": rules}, 1)
    assert version.files == {"a.pdf", "b.pdf"}


def test_a_message_of_the_stream_shows_files_of_fields_and_stored_ones() -> None:
    """E3: files."""
    made = Play(with_action("do: post_stream, text: Look, files: [{field: plan}, {file: prices.pdf}]"))
    made.create(fields={"plan": {"file": "p", "name": "plan.pdf"}})
    (posted,) = made.did(StreamPosted)
    assert posted.files == {"plan": {"file": "p", "name": "plan.pdf"}, "prices.pdf": {"file": "prices.pdf"}}


MANY = [
    Address("first@example.com", "home"),
    Address("work-1@example.com", "work"),
    Address("news@example.com", "newsletter"),
    Address("work-2@example.com", "work"),
]


@pytest.mark.parametrize(
    ("to", "got"),
    [
        ("{}", "first@example.com"),
        ("{type: auto, use: last}", "work-2@example.com"),
        ("{type: work}", "work-1@example.com"),
        ("{type: work, use: last}", "work-2@example.com"),
        ("{type: home}", "first@example.com"),
        ("{type: newsletter, use: first}", "news@example.com"),
        ("{who: responsible, type: work}", "ines@work.example"),
        ("[supervisor, 12]", ["boss@example.com", "zoe@example.com"]),
        ("observers", "zoe@example.com"),
        ('"Desk <desk@example.net>"', "Desk <desk@example.net>"),
    ],
)
def test_s7_8_a_type_narrows_the_addresses_and_the_first_or_last_is_taken(to: str, got: object) -> None:
    """H1: to the client, to employees, to literal addresses; from auto is the first of the responsible."""
    made = Play(with_action(f"do: send_email, subject: x, body: x, to: {to}"))
    made.put_employee(
        Employee(7, "Ines", [Address("ines@example.com"), Address("ines@work.example", "work")], supervisor=9)
    )
    made.put_employee(Employee(12, "Zoe", [Address("zoe@example.com")]))
    made.create(client=Client("Ada", MANY), observers=[12])
    ((mail,),) = [one.values() for one in made.recorder.take()]
    assert mail["to"] in (got, [got])
    assert mail["from"] == "ines@example.com"


def test_s7_8_without_an_address_of_the_responsible_the_channels_default_sender_is_meant() -> None:
    """H1."""
    made = Play(with_action("do: send_email, subject: x, body: x"))
    made.create(responsible=0)
    ((mail,),) = [one.values() for one in made.recorder.take()]
    assert not mail.get("from")


def test_s7_3_no_address_of_that_type_fails_at_once_and_leaves_no_dead_letter() -> None:
    """H1; 7.3."""
    made = Play(with_action("do: send_email, subject: x, body: x, to: {type: newsletter}"))
    made.create()
    assert made.outcomes() == [("r", "failed", "the client has no e-mail address of type newsletter")]
