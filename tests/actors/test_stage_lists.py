"""Packed lists of stages answer as a plain list of (place, item) would, whatever is taken out and asked."""

from hypothesis import given, settings, strategies as st

from stagewheel.protocol.messages import ChangeStage, Refused, StageQuery
from stagewheel.server.actors.stage_lists import ROW_BYTES_MAX, Entry, listed, packed, take_out, unpacked
from stagewheel.server.store.base import Batch
from stagewheel.server.store.keys import pipeline_prefix, stage_prefix, u64
from stagewheel.server.store.memory import MemoryStore
from stagewheel.server.store.tables import Table
from tests.actors.shard import Peer, Shard, deal

PREFIXES = [stage_prefix(*place) for place in (("p", "a"), ("p", "ab"), ("p", "b"), ("q", "a"))]
ALL = 1 << 20

turns = st.lists(  # of each turn: (stage, how far behind the last one, key), as items come
    st.lists(
        st.tuples(
            st.sampled_from(PREFIXES),
            st.integers(1, 70_000),
            st.one_of(st.binary(min_size=1, max_size=9), st.binary(min_size=300, max_size=301)),
        ),
        max_size=60,
    ),
    max_size=6,
)


def apply(store: MemoryStore, batch: Batch) -> None:
    transaction = store.begin()
    transaction.apply(batch)
    transaction.commit()


def filled(
    work: list[list[tuple[bytes, int, bytes]]], position: int = 7 << 40
) -> tuple[MemoryStore, list[tuple[bytes, bytes]]]:
    """A store as turns write it, and the plain list: the place of each entry and its item."""
    store, plain = MemoryStore(), []
    for turn in work:
        batch = Batch()
        for prefix in PREFIXES:
            positions, keys, at = [], [], position
            for stage, ahead, key in turn:
                at += ahead
                if stage == prefix:
                    positions.append(at)
                    keys.append(key)
            batch.puts[Table.STAGES] += packed(prefix, positions, keys)
            plain += [(prefix + u64(at), key) for at, key in zip(positions, keys, strict=True)]
        position += sum(ahead for _, ahead, _ in turn)
        apply(store, batch)
    return store, sorted(plain)


def told(entries: list[Entry]) -> list[tuple[bytes, bytes]]:
    return [(entry.at, entry.item) for entry in entries]


@settings(max_examples=60, deadline=None)
@given(work=turns, data=st.data())
def test_pages_hold_what_a_plain_list_holds_while_entries_are_taken_out_between_them(
    work: list[list[tuple[bytes, int, bytes]]], data: st.DataObject
) -> None:
    store, plain = filled(work)
    prefix = data.draw(st.sampled_from([b"", pipeline_prefix("p"), *PREFIXES]))
    start, expected = b"", list(plain)
    while True:
        limit = data.draw(st.integers(1, 40))
        snapshot = store.snapshot()
        page = listed(snapshot, prefix, start, limit)
        wanted = [row for row in expected if row[0].startswith(prefix) and row[0] >= start]
        assert told(page) == wanted[:limit]
        everything = listed(snapshot, b"", b"", ALL)
        snapshot.close()
        assert told(everything) == expected
        if len(page) < limit:
            break
        start = page[-1].at + b"\x00"
        gone = data.draw(st.sets(st.sampled_from(everything), max_size=30))
        transaction, batch = store.begin(), Batch()
        take_out(transaction, batch, gone)
        transaction.apply(batch)
        transaction.commit()
        left = {entry.at for entry in gone}
        expected = [row for row in expected if row[0] not in left]


@given(work=turns, position=st.sampled_from([1, (1 << 32) - 100_000, 7 << 40]))
def test_rows_fit_into_half_a_page_are_apart_and_go_with_their_last_entry(
    work: list[list[tuple[bytes, int, bytes]]], position: int
) -> None:
    store, plain = filled(work, position)
    transaction, batch = store.begin(), Batch()
    before = b""
    for key, value in transaction.range(Table.STAGES, b"", None, ALL):
        entries = unpacked(key, value)
        assert before < entries[0].at
        assert entries[-1].at == key
        assert len(value) <= ROW_BYTES_MAX or len(entries) == 1
        before = key
    take_out(transaction, batch, listed(transaction, b"", b"", ALL))
    assert len(batch.deletes[Table.STAGES]) == transaction.count(Table.STAGES)
    assert not batch.puts[Table.STAGES]
    transaction.apply(batch)
    take_out(transaction, batch := Batch(), [Entry(row, 1, item) for row, item in plain])
    assert batch.is_empty(), "what somebody else has taken out"
    transaction.abort()


def test_who_left_and_came_back_within_a_frame_is_told_once_and_at_its_last_place() -> None:
    shard = Shard()
    peer = Peer(shard, b"peer")
    peer.submit(*(deal(f"d:{n}") for n in range(5)))
    peer.submit(ChangeStage("d:1", stage="nag"), ChangeStage("d:2", stage="nag"))
    back = [ChangeStage("d:1", stage="new"), ChangeStage("d:2", stage="new"), ChangeStage("d:1", stage="nag")]
    peer.submit(*back, ChangeStage("d:1", stage="new"))
    pages, cursor = list[str](), b""
    while True:
        reply = shard.ask(StageQuery("deals", "new", cursor=cursor, limit=2))
        assert not isinstance(reply, Refused)
        pages += reply.rows
        cursor = reply.cursor
        if not cursor:
            break
        shard.settle()
    assert pages == ["d:0", "d:3", "d:4", "d:2", "d:1"]
    assert shard.rows(StageQuery("deals", "nag")) == []
