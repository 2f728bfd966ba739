"""Contacts and companies as actors of their own: the items linked to them stay fresh, however many."""

from zoneinfo import ZoneInfo

import msgspec

from stagewheel.protocol.journal import ClientLinked, ClientPut, EventSeen, FieldsChanged, Record
from stagewheel.protocol.messages import (
    Address,
    Applied,
    Client,
    ClientView,
    CreateItem,
    DeleteItem,
    Failed,
    HoldItem,
    LinksQuery,
    LinkView,
    PutClient,
    Query,
    Refused,
    UpdateItem,
)
from stagewheel.server.actors.queries import answer
from stagewheel.server.core.between import GONE, OPEN, ItemLinked
from stagewheel.server.core.client_row import ClientRow, Link, encode_client_row
from stagewheel.server.core.clients import decide_client
from stagewheel.server.core.facts import Facts
from stagewheel.server.core.item import Item, decode_row
from stagewheel.server.core.limits import LINKS_MAX, LINKS_SLICE
from stagewheel.server.core.scope import Scope
from stagewheel.server.store.tables import Table
from tests.core.play import ADA, DAY_MS, Play, deals

ONE, FIRM = "contact:17", "company:3"
MAIL = '{do: send_email, from: office@example.com, subject: "To {{ client.name }}", body: B}'
RULES = deals(
    f"""
    - id: new
      rules: [{{id: later, run: {{after: 1d}}, when: {{client.name: {{is_not: Nobody}}}}, action: {MAIL}}}]
    - {{id: work}}
    - {{id: won, final: success}}
    """
)


def put(play: Play, name: str, key: str = ONE, *, company: str = "", **more: object) -> object:
    emails = [Address(f"{name.lower()}@example.com", "work")]
    return play.submit(PutClient(key, client=Client(name, emails, **more), company=company))  # type: ignore[arg-type]


def client(play: Play, key: str = ONE) -> ClientView:
    view = play.drive.client(key)
    assert view is not None
    return view


def links(play: Play, key: str = ONE) -> list[tuple[str, bool]]:
    reply = answer(play.drive.engine, Query(0, LinksQuery(key, limit=1000)))
    assert not isinstance(reply, Refused)
    rows: list[LinkView] = reply.rows
    return [(row.item, row.open) for row in rows]


def name_of(play: Play, key: str = "deal:1") -> str:
    item = play.drive.item(key)
    assert item is not None
    return item.client.name if item.client is not None else ""


def company_of(play: Play, key: str = "deal:1") -> str:
    """The company's name, as a condition or template sees it."""
    snapshot = play.drive.engine.store.snapshot()
    row = snapshot.get(Table.ITEMS, key.encode())
    snapshot.close()
    item = decode_row(row) if row is not None else None
    assert isinstance(item, Item)
    company = Scope(item, {}, "", {}, ZoneInfo("UTC"), 0).company
    return company.name if company is not None else ""


def test_a_change_of_a_contacts_address_reaches_the_waiting_steps_of_its_items() -> None:
    play = Play(RULES)
    put(play, "Ada")
    play.create(client=Client(key=ONE))
    play.create("deal:2", client=Client(key=ONE))
    put(play, "Bo")
    assert (name_of(play), name_of(play, "deal:2")) == ("Bo", "Bo")
    assert play.did(FieldsChanged)[-1].fields["client"][0] == "Bo"
    play.wait(DAY_MS)
    assert [(e["email"]["to"], e["email"]["subject"]) for e in play.recorder.take()] == [
        (["bo@example.com"], "To Bo"),
        (["bo@example.com"], "To Bo"),
    ]


def test_the_condition_of_a_waiting_step_sees_the_new_value() -> None:
    play = Play(RULES)
    put(play, "Ada")
    play.create(client=Client(key=ONE))
    put(play, "Nobody")
    play.wait(DAY_MS)
    assert play.outcomes() == [("later", "skipped", "condition")]


def test_s3_8_a_contacts_new_zone_lets_go_what_its_quiet_hours_hold() -> None:
    play = Play(
        deals(
            "- {id: new, rules: [{id: r, hours: client, action: {do: add_history, text: x}}]}",
            'quiet_hours: {from: "21:00", to: "10:00"}\n',
        )
    )
    put(play, "Ada", timezone="Europe/Rome")
    play.create(client=Client(key=ONE))
    assert [state for _, state, _ in play.waiting()] == ["held"]
    put(play, "Ada", timezone="Asia/Tokyo")
    assert play.effects() == ["history x"]


def test_an_item_that_names_a_contact_knows_its_data_in_its_first_entry() -> None:
    play = Play(deals(f"- {{id: new, rules: [{{id: now, action: {MAIL}}}]}}"))
    put(play, "Ada")
    play.create(client=Client(key=ONE))
    assert play.effects() == ["email To Ada"]


def test_a_contact_that_does_not_exist_is_born_from_what_the_item_knows() -> None:
    play = Play(RULES)
    play.create(client=msgspec.structs.replace(ADA, key=ONE))
    assert client(play).client.emails == ADA.emails
    assert [fact.why for fact in play.did(ClientPut, ONE)] == ["item"]
    assert links(play) == [("deal:1", True)]


def test_the_data_of_the_contact_wins_over_what_a_command_carries() -> None:
    play = Play(RULES)
    put(play, "Ada")
    play.create(client=Client("Somebody", key=ONE))
    assert name_of(play) == "Ada"
    play.submit(UpdateItem("deal:1", client=Client("Anybody", key=ONE)))
    assert (name_of(play), client(play).client.name) == ("Ada", "Ada")


def test_a_client_without_a_key_is_only_data_of_its_item() -> None:
    play = Play(RULES)
    play.create()
    play.move("work")
    assert {record.item for record in play.records} == {"deal:1"}
    assert play.drive.engine.tally.mailbox_rows == 0


def test_a_contact_knows_which_of_its_items_are_open() -> None:
    play = Play(RULES)
    put(play, "Ada")
    for key in ("deal:1", "deal:2", "deal:3"):
        play.create(key, client=Client(key=ONE))
    play.move("won", "deal:1")
    play.move("work", "deal:2")
    assert links(play) == [("deal:2", True), ("deal:3", True), ("deal:1", False)]
    play.move("new", "deal:1")
    assert [link for link in links(play) if link[0] == "deal:1"] == [("deal:1", True)]
    play.submit(DeleteItem("deal:3"))
    play.submit(UpdateItem("deal:2", client=Client("Cy", key="contact:18")))
    assert links(play) == [("deal:1", True)]
    assert links(play, "contact:18") == [("deal:2", True)]
    assert client(play).links == 1


def test_a_closed_item_is_kept_fresh_as_well() -> None:
    play = Play(RULES)
    put(play, "Ada")
    play.create(client=Client(key=ONE))
    play.move("won")
    put(play, "Bo")
    assert name_of(play) == "Bo"


def test_putting_the_same_data_again_tells_nobody() -> None:
    play = Play(RULES)
    put(play, "Ada")
    play.create(client=Client(key=ONE))
    play.records.clear()
    assert put(play, "Ada") == Applied()
    assert play.records == []


def test_new_data_of_a_client_is_no_event_of_its_items() -> None:
    play = Play(deals("- {id: new}\n- {id: work, triggers: [{id: t, on: field_changed}]}"))
    put(play, "Ada")
    play.create(client=Client(key=ONE))
    put(play, "Bo")
    assert (play.stage(), play.did(EventSeen)) == ("new", [])


def test_a_company_of_many_items_tells_them_in_slices_of_a_turn_each() -> None:
    count = 2 * LINKS_SLICE + 10
    play = Play(deals("- {id: new}"))
    put(play, "Firm", FIRM)
    for number in range(count):
        play.create(f"deal:{number}", client=Client(key=FIRM))
    play.records.clear()
    put(play, "Corp", FIRM)
    assert {name_of(play, f"deal:{number}") for number in range(count)} == {"Corp"}
    turns = [record.cause for record in play.records if record.item == FIRM]
    assert turns == ["PutClient"]  # the slices behind it decide nothing new
    assert client(play, FIRM).links == count


def test_a_paused_item_hears_of_new_data_when_it_is_resumed() -> None:
    play = Play(deals("- {id: new}"))
    put(play, "Ada")
    play.create(client=Client(key=ONE))
    play.submit(HoldItem("deal:1", mode="pause"))
    put(play, "Bo")
    assert name_of(play) == "Ada"  # a paused item keeps its messages
    play.submit(HoldItem("deal:1", mode="resume"))
    assert name_of(play) == "Bo"


def test_a_deleted_contact_leaves_its_items_and_goes_on_with_its_timeline() -> None:
    play = Play(RULES)
    put(play, "Ada")
    play.create(client=Client(key=ONE))
    assert play.submit(DeleteItem(ONE)) == Applied()
    assert (name_of(play), play.drive.client(ONE)) == ("", None)
    assert isinstance(play.submit(DeleteItem(ONE)), Failed)
    put(play, "Bo")
    assert (client(play).client.name, client(play).links) == ("Bo", 0)
    heads = [record.prev for record in play.records if record.item == ONE]
    assert heads[0] == 0
    assert all(heads[1:])


def test_s7_8_the_client_is_the_contact_if_set_else_the_company() -> None:
    play = Play(deals(f"- {{id: new, rules: [{{id: now, action: {MAIL}}}]}}"))
    play.create("deal:1", client=None, company=Client("Firm", [Address("desk@example.com")]))
    play.create("deal:2", company=Client("Firm", [Address("desk@example.com")]))
    assert play.effects() == ["email To Firm", "email To Ada"]
    play.submit(UpdateItem("deal:1", client=ADA))
    assert (name_of(play), company_of(play)) == ("Ada", "Firm")
    play.submit(UpdateItem("deal:1", fields={"client": None}))
    assert (name_of(play), company_of(play)) == ("Firm", "Firm")


def test_s7_8_the_company_of_the_contact_stands_beside_it() -> None:
    rules = '{do: add_history, text: "{{ contact.name }} of {{ company.name }}"}'
    play = Play(deals(f"- {{id: new, rules: [{{id: later, run: {{after: 1d}}, action: {rules}}}]}}"))
    put(play, "Firm", FIRM)
    put(play, "Ada", company=FIRM)
    play.create(client=Client(key=ONE))
    assert links(play, FIRM) == [("deal:1", True)]
    put(play, "Corp", FIRM)
    play.wait(DAY_MS)
    assert play.effects() == ["history Ada of Corp"]


def test_an_item_that_is_made_from_another_names_the_same_clients() -> None:
    make = "{do: create_from, pipeline: orders, title: T}"
    orders = "  orders: {entity: deal, stages: [{id: open}]}\n"
    play = Play(deals(f"- {{id: new, rules: [{{id: m, action: {make}}}]}}") + orders)
    put(play, "Firm", FIRM)
    put(play, "Ada")
    play.create(client=Client(key=ONE), company=Client(key=FIRM))
    assert links(play) == links(play, FIRM) == [("deal:1", True), ("deal:deal-1-1-m-1", True)]


def test_a_contact_that_changes_its_company_takes_its_items_along() -> None:
    play = Play(RULES)
    put(play, "Firm", FIRM)
    put(play, "Other", "company:4")
    put(play, "Ada", company=FIRM)
    play.create(client=Client(key=ONE))
    put(play, "Ada", company="company:4")
    assert (links(play, FIRM), links(play, "company:4")) == ([], [("deal:1", True)])


def test_a_company_that_was_given_stays_whatever_the_contact_says() -> None:
    play = Play(RULES)
    put(play, "Firm", FIRM)
    put(play, "Other", "company:4")
    play.create(client=Client("Ada", key=ONE), company=Client(key=FIRM))
    put(play, "Ada", company="company:4")
    assert (links(play, FIRM), links(play, "company:4")) == ([("deal:1", True)], [])


def test_commands_of_items_are_refused_by_a_contact_and_the_other_way_round() -> None:
    play = Play(RULES)
    put(play, "Ada")
    for command in (UpdateItem(ONE, title="x"), HoldItem(ONE), CreateItem(ONE, pipeline="deals")):
        assert isinstance(play.submit(command), Failed)
    play.create()
    for name in ("client", "company"):
        refused = play.submit(UpdateItem("deal:1", fields={name: {"key": ONE}}))
        assert isinstance(refused, Failed)
        assert refused.code == "bad_field"
    assert play.submit(PutClient("deal:1", client=ADA)) == Failed(
        "item_exists", "an item has this key; a contact or company can't have it"
    )


def test_bad_data_of_a_contact_is_refused_with_a_word() -> None:
    play = Play(RULES)
    wrong = {
        "timezone": Client(timezone="Mars/Olympus"),
        "kind": Client(kind="robot"),
        "bytes": Client("x" * 20_000),
    }
    for said, data in wrong.items():
        refused = play.submit(PutClient(ONE, client=data))
        assert isinstance(refused, Failed)
        assert said in refused.message or said == "timezone"
    refused = play.submit(PutClient(ONE, client=ADA, company=ONE))
    assert isinstance(refused, Failed)
    assert play.drive.client(ONE) is None


def test_links_beyond_the_limit_are_refused_and_journalled() -> None:
    row = ClientRow(ONE, ADA, "", 0, 0, 0, links=LINKS_MAX)
    decision = decide_client(row, ItemLinked("deal:9", "deals", OPEN, 1, ADA), Facts({}, {}, {}), 1)
    assert decision is not None
    assert isinstance(decision.record, Record)
    [fact] = decision.record.did
    assert isinstance(fact, ClientLinked)
    assert (fact.state, decision.effects) == ("refused", [])


def test_a_message_that_comes_twice_changes_nothing_the_second_time() -> None:
    facts = Facts({}, {}, {}, position=5)
    row = ClientRow(ONE, ADA, "", 0, 0, 0)
    linked = ItemLinked("deal:9", "deals", OPEN, 1, ADA)
    first = decide_client(row, linked, facts, 1)
    assert first is not None
    assert first.row is not None
    after = decode_row(first.row)
    assert isinstance(after, ClientRow)
    assert after.links == 1
    facts.links = [Link("deal:9", True, "deals", 1, 5)]
    again = decide_client(after, linked, facts, 2)
    assert again is not None
    assert (again.row, again.effects) == (None, [])
    facts.links = []
    gone = decide_client(after, ItemLinked("deal:8", "deals", GONE, 1, ADA), facts, 3)
    assert gone is not None
    assert gone.row is None


def test_a_contacts_row_is_told_from_an_items_by_its_first_byte_and_stays_small() -> None:
    row = encode_client_row(ClientRow(ONE, ADA, FIRM, 1, 1, 1, links=LINKS_MAX))
    assert isinstance(decode_row(row), ClientRow)
    assert len(row) < 200
