"""Items, contacts and companies made from an item (A5, A6), and observers (A9)."""

from typing import Any

import pytest

from stagewheel.protocol.journal import ClientLinked, ClientPut, FieldsChanged, ItemCreated, SentToItem
from stagewheel.protocol.messages import Address, Client, ItemView, UpdateItem
from stagewheel.server.core.limits import ITEM_KEY_BYTES_MAX
from stagewheel.server.rules.compile import compile_ruleset
from stagewheel.server.rules.mistakes import RulesetInvalid
from tests.core.play import Play
from tests.core.test_loops import looped

HEAD = """
ruleset: sales
timezone: Europe/Rome
entities:
  lead: {fields: {size: number, note: text, status: text, firm: text}}
  deal: {fields: {size: number, note: number, kind: text}}
  contact: {fields: {language: text}}
  company: {extra: true}
pipelines:
  deals: {entity: deal, stages: [{id: new}, {id: work}]}
  bills: {entity: invoice, stages: [{id: open}]}
  leads:
    entity: lead
    stages:
      - id: new
        rules: [{id: make, action: %s}]
      - {id: done, final: success}
"""
FIRM = Client("Acme", key="company:1", kind="company")


def made(action: str, **more: Any) -> tuple[Play, ItemView]:
    """A lead under this rule, and what became of the lead."""
    play = Play(HEAD % action)
    play.create("lead:1", pipeline="leads", **more)
    return play, view(play, "lead:1")


def view(play: Play, key: str) -> ItemView:
    found = play.drive.item(key)
    assert found is not None, key
    return found


def child(play: Play) -> ItemView:
    [sent] = play.did(SentToItem, "lead:1")
    return view(play, sent.item)


def test_s7_5_a_deal_made_from_a_lead_is_linked_and_the_lead_marked() -> None:
    """A5: chosen pipeline and stage, fields, responsible, client, source; the source is marked."""
    play, lead = made(
        "{do: create_from, pipeline: deals, stage: work, title: '{{ item.title }} 2', copy: [size],"
        " fields: {kind: '{{ item.note }}'}, responsible: supervisor, client: contact,"
        " source: '{{ item.source }}', then: {stage: done, fields: {status: converted}}}",
        fields={"size": 4, "note": "roof"},
        company=FIRM,
        source="web_form",
    )
    deal = child(play)
    assert deal.key == "deal:lead-1-1-make-1"
    assert (deal.pipeline, deal.stage, deal.title, deal.fields) == (
        "deals",
        "work",
        "Roof 2",
        {"size": 4, "kind": "roof"},
    )
    assert (deal.responsible, deal.source, deal.client) == (9, "web_form", lead.client)
    assert (lead.stage, lead.fields["status"]) == ("done", "converted")


@pytest.mark.parametrize(
    ("client", "names"),
    [("both", ["Ada", "company:1"]), ("contact", ["Ada", ""]), ("company", ["Acme", ""]), ("none", ["", ""])],
)
def test_the_clients_that_go_over_can_be_chosen(client: str, names: list[str]) -> None:
    """A5."""
    play, _ = made(f"{{do: create_from, pipeline: deals, client: {client}}}", company=FIRM)
    [created] = play.did(ItemCreated, child(play).key)
    told = created.values.get("client"), created.values.get("company")
    found = play.drive.item(child(play).key)
    assert found is not None
    assert (found.client.name if found.client is not None else "") == names[0]
    assert (told[1][3] if told[1] is not None else "") == names[1]


def test_the_source_of_a_new_item_is_the_item_it_was_made_from() -> None:
    """A5: a deal, and of the deal an invoice."""
    play, _ = made("{do: create_from, pipeline: bills, responsible: {round_robin: [9, 7]}}")
    bill = child(play)
    assert (bill.entity, bill.source, bill.responsible) == ("invoice", "lead:1", 9)


def test_a_contact_is_made_of_what_the_lead_knows() -> None:
    """A5: lead to contact."""
    play, lead = made(
        "{do: create_from, create: contact, fields: {language: it},"
        " then: {fields: {note: '{{ client.key }}'}}}"
    )
    key = "contact:lead-1-1-make-1"
    assert lead.client == Client(
        "Ada", [Address("ada@example.com", "work")], key=key, fields={"language": "it"}
    )
    assert lead.fields["note"] == key
    [put] = play.did(ClientPut, key)
    assert (put.client[0], put.why) == ("Ada", "item")
    assert play.did(ClientLinked, key) == [ClientLinked("lead:1", "leads", "open")]


def test_a_company_is_made_beside_the_contact_and_named_by_the_rule() -> None:
    """A5: lead to company."""
    play, lead = made(
        "{do: create_from, create: company, title: '{{ item.firm }}', fields: {vat: '12'}}",
        fields={"firm": "Acme"},
    )
    key = "company:lead-1-1-make-1"
    assert lead.client is not None
    assert lead.client.name == "Ada"
    [changed] = play.did(FieldsChanged, "lead:1")
    assert (changed.fields["company"][0], changed.fields["company"][3]) == ("Acme", key)
    assert [one.client[6] for one in play.did(ClientPut, key)] == [{"vat": "12"}]


def test_a_contact_that_there_is_already_stays() -> None:
    """A5."""
    play, lead = made(
        "{do: create_from, create: contact, then: {stage: done}}", client=Client("Bo", key="c:1")
    )
    assert lead.client is not None
    assert (lead.client.key, lead.stage) == ("c:1", "done")
    play, _ = made("{do: create_from, create: contact}", client=Client("Bo", key="c:1"))
    assert play.outcomes("lead:1") == [("make", "done", "no change")]


def test_a_copy_has_what_both_entities_declare_alike() -> None:
    """A6: in another pipeline, with a stage, fields and a title."""
    play, lead = made(
        "{do: copy_item, pipeline: deals, stage: work, title: Copy, fields: {kind: copy}}",
        fields={"size": 4, "note": "text there, a number here", "status": "new"},
    )
    deal = child(play)
    assert (deal.stage, deal.title, deal.fields) == ("work", "Copy", {"size": 4, "kind": "copy"})
    assert (deal.client, deal.responsible, deal.source) == (lead.client, 7, "lead:1")


def test_a_copy_in_the_own_pipeline_has_observers_and_zone_too_and_runs_its_rules() -> None:
    """A6, C3: `previous.item` is the copy; a copy does not copy itself here."""
    rules = (HEAD % "{do: copy_item}").replace("{id: make,", "{id: make, when: {size: {is: 4}},")
    play = Play(rules.replace("{do: copy_item}", "{do: copy_item, fields: {size: 5}}"))
    more: dict[str, Any] = {"fields": {"size": 4, "note": "n"}, "observers": [9], "timezone": "Europe/Lisbon"}
    play.create("lead:1", pipeline="leads", **more)
    copy = child(play)
    assert (copy.entity, copy.stage, copy.title) == ("lead", "new", "Roof")
    assert (copy.observers, copy.timezone, copy.fields) == ([9], "Europe/Lisbon", {"size": 5, "note": "n"})
    assert play.outcomes(copy.key) == [("make", "skipped", "condition")]


def test_s7_4_a_new_item_that_would_be_refused_is_not_sent() -> None:
    """A5: what a template gave does not fit the field."""
    play, lead = made(
        "{do: create_from, pipeline: deals, fields: {size: '{{ item.note }}'}, then: {stage: done}}",
        fields={"note": "large"},
    )
    [(rule, outcome, reason)] = play.outcomes("lead:1")
    assert (rule, outcome) == ("make", "failed")
    assert reason.startswith("the new item's field size: ")
    assert (lead.stage, play.did(SentToItem, "lead:1")) == ("new", [])


def test_s9_1_a_loop_of_items_that_make_each_other_meets_the_guard_and_not_the_length_of_a_key() -> None:
    """A6, N9."""
    play = Play(HEAD % "{do: copy_item}")
    first = "lead:" + "1" * (ITEM_KEY_BYTES_MAX - 20)
    play.create(first, pipeline="leads")
    [(item, guard, count, limit)] = looped(play)
    assert (guard, count, limit) == ("chain_entries", 26, 25)
    keys = [one.item for one in play.records if one.cause == "CreateItem"]
    assert len(keys) == len(set(keys)) == 1 + 26, "the last one stands, and its rules do not begin"
    assert keys[-1] == item
    assert max(len(key.encode()) for key in keys) == ITEM_KEY_BYTES_MAX


def test_s7_5_the_key_that_ends_in_a_digest_is_the_same_in_every_run() -> None:
    """A5."""
    keys = []
    for _ in range(2):
        play = Play(HEAD % "{do: create_from, pipeline: deals}")
        play.create("lead:" + "é" * 97, pipeline="leads")
        keys.append([one.item for one in play.records if one.item.startswith("deal:")])
    assert keys[0] == keys[1]
    assert len(keys[0]) == 1


def test_observers_are_added_once_each() -> None:
    """A9."""
    play, lead = made("{do: add_observers, observers: [9, supervisor, 404, 7]}", observers=[3, 9])
    assert lead.observers == [3, 9, 7]
    assert [one.fields for one in play.did(FieldsChanged, "lead:1")] == [{"observers": [3, 9, 7]}]


def test_nobody_new_among_the_observers_is_no_change() -> None:
    """A9."""
    play, lead = made("{do: add_observers, observers: supervisor}", observers=[9])
    assert (lead.observers, play.outcomes("lead:1")) == ([9], [("make", "done", "no change")])
    play, _ = made("{do: add_observers, observers: 404}")
    assert play.outcomes("lead:1") == [("make", "failed", "nobody left")]


def test_a_rule_computes_in_fields_and_says_so_of_variables() -> None:
    """A8: arithmetic in a rule; variables are a workflow's."""
    play, lead = made("{do: set_fields, fields: {size: '{{ item.size * 2 + 1 }}'}}", fields={"size": 4})
    assert lead.fields["size"] == 9
    play.submit(UpdateItem("lead:1", fields={"size": 1}))
    with pytest.raises(RulesetInvalid, match="variables exist in workflows only; a rule computes in fields"):
        compile_ruleset({"rules.yaml": HEAD % "{do: set, vars: {n: 1}}"}, 1)


@pytest.mark.parametrize(
    ("action", "complaint"),
    [
        ("{do: create_from}", "create_from needs 'pipeline', or 'create: contact'"),
        ("{do: create_from, create: contact, pipeline: deals}", "a contact has no 'pipeline'"),
        ("{do: create_from, create: contact, fields: {langage: it}}", "unknown field 'langage' of contact"),
        ("{do: create_from, create: person}", "'person'"),
        ("{do: create_from, pipeline: deals, client: some}", "'some'"),
        ("{do: copy_item, pipeline: dels}", "there is no pipeline 'dels'; did you mean 'deals'"),
        ("{do: copy_item, stage: wrok}", "pipeline 'leads' has no stage 'wrok'"),
        ("{do: copy_item, pipeline: deals, fields: {kid: x}}", "unknown field 'kid' of deal"),
        ("{do: add_observers, observers: []}", "the list of recipients is empty"),
    ],
)
def test_what_makes_no_sense_is_refused(action: str, complaint: str) -> None:
    with pytest.raises(RulesetInvalid, match=complaint):
        compile_ruleset({"rules.yaml": HEAD % action}, 1)
