"""Any batches on LMDB and on the twin in memory: both hold what a sorted dict would hold, byte for byte."""

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings, strategies as st

from stagewheel.server.store.backup import StoreCopy
from stagewheel.server.store.base import Batch, Store
from stagewheel.server.store.lmdb_store import LmdbStore
from stagewheel.server.store.memory import MemoryStore
from stagewheel.server.store.tables import Table
from tests.store.rows import all_rows, write

TABLE = Table.ITEMS  # `Batch.items` are rows of it
Model = dict[bytes, bytes]

# Keys of a few lengths and values of up to a third of a page, so that leaves split, merge and overflow.
keys = st.integers(0, 600).map(lambda n: b"%d" % n * (1 + n % 3))
values = st.integers(0, 255).map(lambda n: bytes((n,)) * (n * 23))
rows = st.lists(st.tuples(keys, values), max_size=60)
spans = st.tuples(st.one_of(st.just(b""), keys), st.one_of(st.none(), keys))


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    batch = Batch()
    batch.deletes[TABLE].extend(draw(st.lists(keys, max_size=40)))
    batch.delete_ranges.extend((TABLE, start, end) for start, end in draw(st.lists(spans, max_size=2)))
    batch.puts[TABLE].extend(draw(rows))
    batch.items = dict(draw(rows))
    return batch


def applied(model: Model, batch: Batch) -> Model:
    gone = set(batch.deletes[TABLE])
    left = {
        key: value
        for key, value in model.items()
        if key not in gone
        and not any(key >= start and (end is None or key < end) for _, start, end in batch.delete_ranges)
    }
    return left | dict(batch.appends[TABLE]) | dict(batch.puts[TABLE]) | batch.items


def filled() -> Batch:
    batch = Batch()
    batch.appends[TABLE].extend((b"%06d" % n, b"v" * (n % 700)) for n in range(600))
    return batch


ROWS_MAX = {"follow late": 100_000, "follow soon": 200, "follow at once": 0}


@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(steps=st.lists(st.tuples(batches(), st.booleans()), min_size=1, max_size=6), span=spans)
def test_all_stores_hold_what_a_dict_would_hold(
    steps: list[tuple[Batch, bool]], span: tuple[bytes, bytes | None]
) -> None:
    with tempfile.TemporaryDirectory() as name:
        opened = {
            Path(name, rows): LmdbStore.open(Path(name, rows), redo_rows_max=rows_max)
            for rows, rows_max in ROWS_MAX.items()
        }
        model = compared([*opened.values(), MemoryStore()], steps, span)
        for folder, store in opened.items():
            store.close()
            again = StoreCopy.open(folder)
            snapshot = again.snapshot()
            assert snapshot.range(TABLE, b"", None, 10_000) == sorted(model.items()), "after a start"
            assert snapshot.count(TABLE) == len(model)
            snapshot.close()
            again.close()


def compared(stores: list[Store], steps: list[tuple[Batch, bool]], span: tuple[bytes, bytes | None]) -> Model:
    """Take the steps on every store and look at what they hold; what a dict holds at the end."""
    emptied = Batch()
    emptied.delete_range(TABLE, b"", None)
    model = applied({}, filled())
    for store in stores:
        write(store, emptied)
        write(store, filled())
    start, end = span
    for batch, is_committed in steps:
        after = applied(model, batch)
        expected = sorted(row for row in after.items() if row[0] >= start and (end is None or row[0] < end))
        for store in stores:
            transaction = store.begin()
            transaction.apply(batch)
            assert transaction.count(TABLE) == len(after)
            assert transaction.range(TABLE, start, end, 50) == expected[:50]
            assert transaction.range(TABLE, start, end, 50, reverse=True) == expected[::-1][:50]
            if is_committed:
                transaction.commit()
            else:
                transaction.abort()
        model = after if is_committed else model
        for store in stores:
            assert list(all_rows(store, TABLE).items()) == sorted(model.items())
    return model
