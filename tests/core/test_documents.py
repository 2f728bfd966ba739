"""Documents and QR codes: their numbers, the field that gets the file, what comes behind them (A10, A11, G14,
G15).
"""

import textwrap

import msgspec
import pytest

from stagewheel.protocol.files import FilesQuery, begin_file
from stagewheel.protocol.journal import FieldsChanged, FileMade, NumberGiven, StepEnded
from stagewheel.protocol.messages import (
    Address,
    Applied,
    ChangeStage,
    CreateItem,
    DeadLettersQuery,
    DeleteItem,
    Employee,
    PutRuleset,
    Query,
    Refused,
    Report,
    RetryDeadLetter,
    UpdateItem,
)
from stagewheel.server.actors.queries import answer
from stagewheel.server.rules.compile import compile_ruleset
from tests.actors.shard import Peer, Shard
from tests.core.play import MONDAY_NINE_MS, Play, deals
from tests.core.restarting import RestartingDrive

NEW_YEARS_EVE_MS = 1_798_758_000_000  # 2026-12-31T23:00:00Z: midnight in Rome
TEMPLATES = {
    "templates/invoice.html.j2": "<h1>{{ document.title }}</h1>{{ document.number }}",
    "templates/offer.html.j2": "<p>For {{ item.title }}</p>",
}
HEAD = """
entities: {deal: {fields: {size: number, paid: boolean, note: text, invoice: file,
                           scans: {type: file, multiple: true}}}}
"""
RULES = """
- id: new
  rules:
    - id: invoice
      action: {do: create_document, template: templates/invoice.html.j2, format: pdf, field: invoice,
               link: true, number: {text: "INV-{{ year }}-{{ n }}", digits: 4},
               title: "Invoice {{ document.number }}"}
    - id: mail
      after_previous: true
      action: {do: send_email, from: a@example.com, subject: "{{ previous.number }} {{ previous.link }}",
               body: Hi, attachments: [{field: invoice, required: true}]}
- id: billed
  triggers: [{id: has-one, on: field_changed, fields: [invoice], when: {invoice: {filled: true}}}]
"""


def play(stages: str, head: str = HEAD, at_ms: int = MONDAY_NINE_MS) -> Play:
    """Its engine does not outlive a turn: numbers are what the store says."""
    stage = Play()
    stage.drive = RestartingDrive(at_ms, compile_ruleset, stage.recorder, stage._seen)
    stage.put_employee(Employee(7, "Ines", [Address("ines@example.com")]))
    written = deals(stages)
    fields = next(line for line in written.splitlines() if line.startswith("entities:"))
    head_of = written.replace(fields, head)
    answer = stage.submit(PutRuleset("", files={"rules.yaml": head_of, **TEMPLATES}))
    assert type(answer).__name__ == "Published", answer
    return stage


def numbers(stage: Play, key: str = "deal:1") -> list[str]:
    return [fact.number for fact in stage.did(NumberGiven, key)]


def test_a_document_gets_a_number_and_its_field_moves_the_item() -> None:
    """A10: number, title, field and link; the field is a change as any other (G11)."""
    stage = play(RULES)
    stage.create()
    [document, mail] = stage.recorder.take()
    made = document["document"]
    assert made["file"] == "documents/deal:1/1-1.pdf"
    assert (made["number"], made["title"], made["template"]) == (
        "INV-2026-0001",
        "Invoice INV-2026-0001",
        "invoice",
    )
    assert (made["template"], made["format"], made["page"]) == ("invoice", "pdf", "a4")
    assert made["body"] == "<h1>Invoice INV-2026-0001</h1>INV-2026-0001"
    assert mail["email"]["subject"] == f"INV-2026-0001 https://edge.example/d/{made['file']}"
    [fact] = stage.did(FileMade)
    assert (fact.kind, fact.number, fact.field) == ("document", "INV-2026-0001", "invoice")
    [change] = stage.did(FieldsChanged)
    assert change.fields == {
        "invoice": {
            "file": made["file"],
            "name": "Invoice INV-2026-0001.pdf",
            "type": "application/pdf",
            "size": 0,
        }
    }
    assert (change.rule, stage.stage()) == ("invoice", "billed")
    assert stage.outcomes()[0] == ("invoice", "done", "")


def test_numbers_are_counted_over_items_rules_and_restarts_and_begin_anew_with_the_year() -> None:
    """A10."""
    other = """
    - id: new
      rules:
        - {id: a, action: {do: create_document, template: offer.html.j2, number: "{{ year }}/{{ n }}"}}
        - {id: b, action: {do: create_document, template: offer.html.j2, number: "{{ year }}/{{ n }}"}}
        - {id: c, action: {do: create_document, template: offer.html.j2, number: "{{ month }}-{{ n }}"}}
    """.replace("offer.html", "templates/offer.html")
    stage = play(other, at_ms=NEW_YEARS_EVE_MS - 1000)
    stage.create("deal:1")
    assert numbers(stage) == ["2026/1", "2026/2", "12-1"]
    stage.create("deal:2")
    assert numbers(stage, "deal:2") == ["2026/3", "2026/4", "12-2"]
    stage.wait(2000)
    stage.create("deal:3")
    assert numbers(stage, "deal:3") == ["2027/1", "2027/2", "01-1"], "the year is that of the item's zone"


def test_a_document_that_is_retried_keeps_its_number_and_its_file() -> None:
    """A10; a dead letter is no gap as long as it can be retried."""
    stage = play(RULES)
    stage.channel("document", refuse="no such picture")
    stage.create()
    [refused] = stage.recorder.take()
    assert stage.outcomes()[0] == ("invoice", "failed", "no such picture")
    stage.create("deal:2")
    assert numbers(stage, "deal:2") == ["INV-2026-0002"]
    stage.recorder.take()
    stage.channel("document")
    reply = answer(stage.drive.engine, Query(0, DeadLettersQuery()))
    assert not isinstance(reply, Refused)
    letter = reply.rows[0]
    stage.submit(RetryDeadLetter(letter.item, number=letter.number))
    [made, mail] = stage.recorder.take()
    for name in ("file", "number", "body", "link"):
        assert made["document"][name] == refused["document"][name]
    assert mail["email"]["subject"].startswith("INV-2026-0001")
    assert numbers(stage) == ["INV-2026-0001"]


def test_a_field_for_several_files_keeps_what_it_holds() -> None:
    """A11: PNG, link, field; G15 by the rule that made the code."""
    stage = play(
        """
        - id: new
          rules:
            - id: badge
              action: {do: create_qr, url: "https://shop.example/{{ item.key }}", field: scans, scale: 4,
                       title: "Badge of {{ client.name }}", border: 2, correction: high}
            - id: page
              after_previous: true
              action: {do: create_qr, text: "Hall {{ item.size }}", field: scans}
        - id: came
          triggers: [{id: scanned, on: qr_scanned, rule: badge}]
        - id: seen
          triggers: [{id: viewed, on: document_viewed, template: offer}]
        """
    )
    stage.create(fields={"size": 3, "scans": ["map.png"]})
    [badge, page] = [effect["qr"] for effect in stage.recorder.take()]
    assert (badge["url"], badge["title"], badge["text"]) == (
        "https://shop.example/deal:1",
        "Badge of Ada",
        "",
    )
    assert (badge["scale"], badge["border"], badge["correction"]) == (4, 2, "h")
    assert (page["url"], page["text"], page["title"]) == ("", "Hall 3", "Roof")
    item = stage.drive.item("deal:1")
    assert item is not None
    assert [one if isinstance(one, str) else one["name"] for one in item.fields["scans"]] == [
        "map.png",
        "Badge of Ada.png",
        "Roof.png",
    ]


def test_the_field_is_set_also_when_the_item_left_the_stage_meanwhile() -> None:
    """1.7: what is chained behind does not begin, but the file is there."""
    stage = play(RULES.replace("- id: billed", "- id: gone\n- id: billed"))
    stage.channel("document", hold=True)
    stage.create()
    stage.submit(ChangeStage("deal:1", stage="gone"))
    stage.channel("document")
    stage.drive.settle()
    assert [list(effect) for effect in stage.recorder.take()] == [["document"]]
    assert stage.stage() == "billed", "the field moves it on"


def test_a_document_of_an_item_that_was_deleted_is_nobodys() -> None:
    """7.6."""
    stage = play(RULES)
    stage.channel("document", hold=True)
    stage.create()
    stage.submit(DeleteItem("deal:1"))
    stage.channel("document")
    stage.drive.settle()
    assert stage.drive.item("deal:1") is None
    assert stage.did(FileMade) == []


def test_s7_6_what_is_finished_when_its_item_is_gone_is_not_kept() -> None:
    shard = Shard(deals("- id: new\n  rules: [{id: code, action: {do: create_qr, text: Hall 3}}]"))
    shard.admin.submit(CreateItem("deal:1", pipeline="deals", stage="new"))
    sender = Peer(shard, b"sender", "sender")
    shard.engine.handout.pull(sender.route, "qr", 10)
    [(_, [job])] = shard.hand_out()
    assert shard.admin.submit(DeleteItem("deal:1")) == [Applied(1)]
    made = "documents/deal:1/1-1.png"
    for file in (made, "documents/deal:10/1-1.png"):
        _, uploading = begin_file(b"PNG", "qr.png", file, "image/png")
        while not uploading.done:
            uploading.took(shard.admin.submit(uploading.next())[0])
    shard.report(Report("qr", job.number, "delivered", detail={"file": made}))
    assert [one.file for one in shard.rows(FilesQuery())] == ["documents/deal:10/1-1.png"]
    assert [did.outcome for _, r in shard.records for did in r.did if isinstance(did, StepEnded)] == ["done"]


def test_a_workflow_goes_on_behind_its_document() -> None:
    """A10 as a step (W3); `previous.file` is what it made."""
    flow = """
    workflows:
      paper:
        pipeline: deals
        start: on_create
        steps:
          - {do: create_document, template: templates/offer.html.j2, format: html, field: invoice}
          - {do: set_fields, fields: {note: "{{ previous.file }} {{ item.invoice.name }}"}}
    """
    stage = play("- id: new", HEAD + textwrap.dedent(flow))
    stage.create()
    item = stage.drive.item("deal:1")
    assert item is not None
    assert item.fields["note"] == "documents/deal:1/1-1.html Roof.html"


@pytest.mark.parametrize(
    ("action", "complaint"),
    [
        ("do: create_document, template: templates/offer.txt.j2", "an HTML template"),
        ("do: create_document, template: templates/ofer.html.j2", "there is no template"),
        ("DOC, number: INV", "has {{ n }} in it"),
        (
            'DOC, number: "{{ n }}{{ item.size }}"',
            "no other braces",
        ),
        (
            'DOC, number: "{{ n }}{{ day }}"',
            "'day' can't stand",
        ),
        ("DOC, field: note", "'note' is text, not a file"),
        ("DOC, field: invoce", "unknown field 'invoce'"),
        ("DOC, format: docx", "format"),
        ("do: create_qr", "leads to a 'url', or shows a 'text'"),
        ('do: create_qr, url: "https://a.example", text: b', "leads to a 'url', or shows a 'text'"),
        ("do: create_qr, text: b, scale: 100", "scale"),
        (
            'do: send_email, subject: "{{ document.title }}", body: x',
            "templates of create_document only",
        ),
    ],
)
def test_mistakes_are_told_by_their_key(action: str, complaint: str) -> None:
    action = action.replace("DOC", "do: create_document, template: templates/offer.html.j2")
    stage = Play()
    rules = deals(f"- id: new\n  rules: [{{id: a, action: {{{action}}}}}]")
    head = rules.replace("note: text}", "note: text, invoice: file}")
    answer = stage.submit(PutRuleset("", files={"rules.yaml": head, **TEMPLATES}))
    assert complaint in str(msgspec.to_builtins(answer)), answer


def test_a_field_that_a_person_changed_meanwhile_is_replaced() -> None:
    stage = play(RULES)
    stage.create(fields={"invoice": "old.pdf"})
    stage.submit(UpdateItem("deal:1", fields={"note": "x"}))
    item = stage.drive.item("deal:1")
    assert item is not None
    assert item.fields["invoice"]["name"] == "Invoice INV-2026-0001.pdf"
