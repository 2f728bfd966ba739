"""Ruleset versions as a shard keeps them: drafts, rollback, how long one is kept, and enrolments over crashes
(1.6, 1.11, N6).
"""

import pytest

from stagewheel.protocol.messages import (
    ActivateVersion,
    Address,
    Applied,
    ChangeStage,
    Client,
    DeleteItem,
    EnrolPreview,
    EnrolPreviewQuery,
    Failed,
    HoldItem,
    Job,
    Published,
    PutRuleset,
    Refused,
    Reply,
    Report,
    Result,
    RetryDeadLetter,
    SourceQuery,
    StageMove,
    StageQuery,
    StagesQuery,
    StopEnrolment,
    VersionsQuery,
)
from stagewheel.server.actors.stage_lists import unpacked
from stagewheel.server.limits import VERSIONS_KEPT
from stagewheel.server.store.tables import Table
from tests.actors.shard import MINUTE_MS, RULES, Peer, Shard, deal, setn
from tests.actors.test_reference import OTHER, texts

HOUR_MS = 60 * MINUTE_MS
ADA = Client("Ada", [Address("ada@example.com")])
WITHOUT_NAG = RULES.replace(
    "- id: nag\n        rules: [{id: nag, run: {after: 1h}, action: {do: add_history, text: nagged}}]",
    "- {id: calm}",
)


@pytest.fixture
def shard() -> Shard:
    return Shard()


@pytest.fixture
def peer(shard: Shard) -> Peer:
    return Peer(shard, b"peer")


def with_text(text: str) -> str:
    return RULES.replace("text: nagged", f"text: {text}")


def with_new_rule(rule: str = "{id: more, action: {do: add_history, text: more}}") -> str:
    return RULES.replace("text: nagged}}]", f"text: nagged}}}}, {rule}]")


def draft(peer: Peer, rules: str) -> int:
    [answer] = peer.submit(PutRuleset("", files={"rules.yaml": rules}, draft=True))
    assert isinstance(answer, Published), answer
    return answer.version


def activate(peer: Peer, version: int = 0, **more: object) -> Result:
    command = ActivateVersion("", ruleset="sales", version=version, **more)  # type: ignore[arg-type]
    return peer.submit(command)[0]


def numbers(shard: Shard) -> list[int]:
    return [view.version for view in shard.rows(VersionsQuery())]


def active(shard: Shard) -> list[int]:
    return [view.version for view in shard.rows(VersionsQuery()) if view.active]


def code(result: Result | Reply | Refused) -> str:
    assert isinstance(result, Failed | Refused), result
    return result.code


# ---------------------------------------------------------------- drafts and rollback


@pytest.mark.parametrize("restarted", [False, True])
def test_s1_6_a_draft_is_stored_and_rules_nothing_until_it_is_activated(
    shard: Shard, peer: Peer, restarted: bool
) -> None:
    assert draft(peer, with_text("newer")) == 2
    if restarted:
        shard.restart()
        peer.hello()
    assert active(shard) == [1]
    peer.submit(deal("d:1", "nag"))
    assert activate(peer, 2) == Published("sales", 2)
    peer.submit(deal("d:2", "nag"))
    assert active(shard) == [2]
    shard.wait(HOUR_MS)
    assert sorted(texts(shard)) == ["nagged", "newer"]


@pytest.mark.parametrize("restarted", [False, True])
def test_s1_6_rollback_makes_the_version_before_active_again_and_running_entries_keep_theirs(
    shard: Shard, peer: Peer, restarted: bool
) -> None:
    shard.publish(with_text("second"))
    draft(peer, with_text("draft"))
    shard.publish(with_text("fourth"))
    peer.submit(deal("d:4", "nag"))
    shard.clock.moment_ms += MINUTE_MS
    assert activate(peer) == Published("sales", 2), "a draft was never active"
    if restarted:
        shard.restart()
        peer.hello()
    peer.submit(deal("d:2", "nag"))
    assert [shard.item(key).version for key in ("d:4", "d:2")] == [4, 2]
    shard.wait(HOUR_MS)
    assert sorted(texts(shard)) == ["fourth", "second"]
    views = {view.version: view for view in shard.rows(VersionsQuery("sales"))}
    assert views[2].activated_ms == views[4].activated_ms + MINUTE_MS
    assert views[3].activated_ms == 0
    assert activate(peer) == Published("sales", 1)
    assert code(activate(peer)) == "unknown_version", "there is none before it"


def test_a_version_can_only_become_active_under_its_own_name_and_with_its_own_pipelines(
    shard: Shard, peer: Peer
) -> None:
    assert code(activate(peer, 9)) == "unknown_version"
    shard.publish(OTHER % "elsewhere")
    assert code(activate(peer, 2)) == "unknown_version", "it is of another ruleset"
    slim = RULES[: RULES.index("  orders:")].replace(
        "do: create_from, pipeline: orders, title: Order, copy: [n]", "do: add_history, text: ordered"
    )
    shard.publish(slim)
    shard.publish(OTHER % "orders")
    assert code(activate(peer, 1)) == "bad_value", "its pipeline belongs to another ruleset now"
    assert active(shard) == [4, 3]


def test_versions_come_page_by_page_without_their_texts(shard: Shard) -> None:
    for number in range(5):
        shard.publish(with_text(f"text-{number}"))
    reply = shard.ask(VersionsQuery(limit=4))
    assert not isinstance(reply, Refused)
    assert [view.version for view in reply.rows] == [6, 5, 4, 3]
    rest = shard.rows(VersionsQuery(before=int.from_bytes(reply.cursor, "big"), limit=4))
    assert [view.version for view in rest] == [2, 1]
    [source] = shard.rows(SourceQuery(3))
    assert source.files == {"rules.yaml": with_text("text-1")}
    assert shard.rows(SourceQuery(99)) == []


# ---------------------------------------------------------------- how long a version is kept


def publish_many(shard: Shard) -> None:
    """So many that the versions before them may go."""
    for number in range(VERSIONS_KEPT):
        shard.publish(with_text(f"later-{number}"))
    shard.settle()


def test_s1_6_a_version_that_nothing_refers_to_goes_and_the_newest_stay(shard: Shard) -> None:
    publish_many(shard)
    assert numbers(shard) == list(range(VERSIONS_KEPT + 1, 1, -1))
    assert shard.count(Table.RULESET_FILES) == VERSIONS_KEPT
    assert 1 not in shard.engine.reference.facts.versions
    assert shard.rows(SourceQuery(1)) == []


@pytest.mark.parametrize("stage", ["nag", "mail"])
def test_s1_6_a_version_stays_while_an_entry_keeps_it(shard: Shard, peer: Peer, stage: str) -> None:
    peer.submit(deal("d:1", stage, client=ADA))
    publish_many(shard)
    assert 1 in numbers(shard)
    [view] = [view for view in shard.rows(VersionsQuery()) if view.version == 1]
    assert (view.items, view.others) == (1, 1 if stage == "mail" else 0)
    shard.restart()
    peer.hello()
    shard.admin.hello()
    assert [view.items for view in shard.rows(VersionsQuery())] == [-1] * (VERSIONS_KEPT + 1), (
        "not counted yet"
    )
    peer.submit(DeleteItem("d:1"))
    shard.report(*(Report(job.channel, job.number, "delivered") for job in taken(shard)))
    shard.publish(RULES)
    shard.settle()
    assert 1 not in numbers(shard)


def taken(shard: Shard) -> list[Job]:
    """What a sender would have in hand."""
    shard.engine.handout.pull(b"sender", "email", 100)
    return [job for _, jobs in shard.hand_out() for job in jobs]


def test_s1_6_a_version_stays_while_an_action_of_it_waits_or_was_given_up(shard: Shard, peer: Peer) -> None:
    """Also when it moves from one table to the next while the tables are walked."""
    peer.submit(deal("d:1", "mail", client=ADA), deal("d:2", "mail", client=ADA))
    first, second = taken(shard)
    reports = [
        Report("email", first.number, "refused", "no such mailbox"),
        Report("email", second.number, "retry", "later", 2 * HOUR_MS),
    ]
    for number in range(VERSIONS_KEPT):
        shard.publish(with_text(f"later-{number}"))
    shard.report(*reports)
    peer.submit(DeleteItem("d:1"), deal("d:3"), HoldItem("d:2", mode="stop"))
    shard.settle()
    assert 1 in numbers(shard)
    [letter] = shard.stored()[Table.DEAD]
    assert letter
    shard.publish(RULES)
    shard.settle()
    [view] = [view for view in shard.rows(VersionsQuery()) if view.version == 1]
    assert view.others == 2, "a dead letter and a parked retry"


# ---------------------------------------------------------------- enrolment


def test_s1_6_an_enrolment_goes_on_after_a_crash_and_tells_each_item_once(shard: Shard, peer: Peer) -> None:
    for start in range(0, 300, 100):
        peer.submit(*(deal(f"d:{number}", "nag") for number in range(start, start + 100)))
    number = draft(peer, with_new_rule())
    activate(peer, number, enrol="new")
    rounds = 0
    while shard.engine.background.enrolments.running() is not None:
        rounds += 1
        shard.turn()
        shard.restart()
    assert rounds > 3, "slices, each of which survived"
    assert texts(shard) == ["more"] * 300
    peer.hello()
    [view] = shard.engine.background.enrolments.all
    assert (view.state, view.looked, view.concerned) == ("done", 300, 300)
    shard.wait(HOUR_MS)
    assert sorted(texts(shard)) == ["more"] * 300 + ["nagged"] * 300


def test_s1_6_a_paused_item_is_enrolled_when_it_goes_on(shard: Shard, peer: Peer) -> None:
    peer.submit(deal("d:1", "nag"), HoldItem("d:1", mode="pause"))
    activate(peer, draft(peer, with_new_rule()), enrol="new")
    shard.settle()
    assert texts(shard) == []
    peer.submit(HoldItem("d:1", mode="resume"))
    shard.settle()
    assert texts(shard) == ["more"]


def test_s1_6_another_activation_ends_an_enrolment(shard: Shard, peer: Peer) -> None:
    peer.submit(*(deal(f"d:{number}", "nag") for number in range(200)))
    first, second = draft(peer, with_new_rule()), draft(peer, with_text("other"))
    activate(peer, first, enrol="new")
    activate(peer, second)
    shard.settle()
    [one] = shard.engine.background.enrolments.all
    assert one.state == "superseded"
    assert len(texts(shard)) < 200


def test_s1_6_an_enrolment_can_be_stopped(shard: Shard, peer: Peer) -> None:
    peer.submit(*(deal(f"d:{number}", "nag") for number in range(200)))
    activate(peer, draft(peer, with_new_rule()), enrol="new")
    assert peer.submit(StopEnrolment("", number=1)) == [Applied()]
    shard.settle()
    assert len(texts(shard)) < 200
    [again] = peer.submit(StopEnrolment("", number=1))
    assert code(again) == "unknown_enrolment"


def test_s1_6_the_preview_says_what_enrolment_would_do_and_does_none_of_it(shard: Shard, peer: Peer) -> None:
    peer.submit(*(deal(f"d:{number}", "nag", client=ADA) for number in range(120)))
    peer.submit(*(deal(f"e:{number}") for number in range(3)))
    mail = "{id: mail-2, action: {do: send_email, from: desk@example.net, subject: S, body: B}}"
    number = draft(peer, with_new_rule(mail).replace("after: 1h", "after: 2h"))
    before = shard.stored()
    total, cursor, pages = EnrolPreview(actions={}, first=[]), b"", 0
    while True:
        reply = shard.ask(EnrolPreviewQuery(number, "new", cursor=cursor))
        assert not isinstance(reply, Refused), reply
        [page] = reply.rows
        total.looked += page.looked
        total.concerned += page.concerned
        total.waits += page.waits
        for name, count in page.actions.items():
            total.actions[name] = total.actions.get(name, 0) + count
        cursor, pages = reply.cursor, pages + 1
        if not cursor:
            break
    assert pages > 2
    assert (total.looked, total.concerned, total.waits) == (123, 123, 120)
    assert total.actions == {"mail-2 email": 120}
    assert shard.stored() == before
    assert code(shard.ask(EnrolPreviewQuery(99, "new"))) == "bad_query"
    assert code(shard.ask(EnrolPreviewQuery(number, "newer"))) == "bad_query"


def test_s1_11_items_are_moved_out_of_a_stage_that_is_gone(shard: Shard, peer: Peer) -> None:
    peer.submit(deal("d:1", "nag"), deal("d:2", "nag"), deal("d:3"))
    number = draft(peer, WITHOUT_NAG)
    wrong = [StageMove("deals", "nag", "nowhere")]
    assert code(activate(peer, number, moves=wrong)) == "unknown_stage"
    assert active(shard) == [1], "a wrong wish activates nothing"
    activate(peer, number, moves=[StageMove("deals", "nag", "calm")])
    shard.settle()
    assert [shard.item(f"d:{n}").stage for n in (1, 2, 3)] == ["calm", "calm", "new"]
    assert [shard.item(f"d:{n}").version for n in (1, 2, 3)] == [2, 2, 1]


# ---------------------------------------------------------------- stages and their lists


def entry_count(shard: Shard) -> int:
    return sum(len(unpacked(*row)) for row in shard.stored().get(Table.STAGES, []))


def test_s1_11_stages_that_no_active_ruleset_has_are_told_with_their_items(shard: Shard, peer: Peer) -> None:
    peer.submit(deal("d:1", "nag"), deal("d:2"))
    shard.publish(WITHOUT_NAG)
    assert [(one.stage, one.known) for one in shard.rows(StagesQuery())] == [("nag", False), ("new", True)]
    assert shard.rows(StageQuery("deals", "nag")) == ["d:1"]
    reply = shard.ask(StagesQuery(limit=1))
    assert not isinstance(reply, Refused)
    [one] = shard.rows(StagesQuery(reply.cursor, 1))
    assert one.stage == "new"


def test_entries_of_a_stage_list_that_are_no_longer_true_are_taken_out_as_they_are_met(
    shard: Shard, peer: Peer
) -> None:
    peer.submit(*(deal(f"d:{number}") for number in range(20)))
    for number in range(15):
        peer.submit(deal("x", "nag"), DeleteItem("x")) if number % 5 == 0 else setn("x", 1)
        peer.submit(DeleteItem(f"d:{number}"))
    assert entry_count(shard) == 23
    assert len(shard.rows(StageQuery("deals", "new"))) == 5
    assert entry_count(shard) == 23, "a question writes nothing"
    shard.settle()
    assert entry_count(shard) == 8
    activate(peer, 1, enrol="restart")
    shard.settle()
    assert entry_count(shard) == 5 + 5, "what the walk of an enrolment meets, too"
    assert len(shard.rows(StageQuery("deals", "new"))) == 5
    shard.settle()
    assert entry_count(shard) == 5


def test_s1_6_a_letter_that_waits_in_the_mailbox_of_a_paused_item_finds_its_version_after_a_restart(
    shard: Shard, peer: Peer
) -> None:
    peer.submit(deal("d:1", "mail", client=ADA))
    [job] = taken(shard)
    shard.report(Report("email", job.number, "refused", "no such mailbox"))
    shard.publish(with_text("newer"))
    peer.submit(ChangeStage("d:1", stage="new"), HoldItem("d:1", mode="pause"))
    peer.submit(RetryDeadLetter("", number=job.number))
    shard.restart()
    peer.hello()
    peer.submit(HoldItem("d:1", mode="resume"))
    shard.settle()
    assert shard.count(Table.POISON) == 0
    [again] = taken(shard)
    assert again.number != job.number
