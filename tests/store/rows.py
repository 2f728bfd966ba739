"""Short words for tests: one batch in one transaction, and all rows of a table."""

from collections.abc import Mapping

from stagewheel.server.store.base import Batch, Store
from stagewheel.server.store.tables import Table


def write(store: Store, batch: Batch) -> None:
    """Apply and commit; nothing stays open when either of them raises."""
    transaction = store.begin()
    try:
        transaction.apply(batch)
        transaction.commit()
    finally:
        transaction.abort()


def put(store: Store, table: Table, rows: Mapping[bytes, bytes]) -> None:
    batch = Batch()
    batch.puts[table].extend(rows.items())
    write(store, batch)


def all_rows(store: Store, table: Table) -> dict[bytes, bytes]:
    snapshot = store.snapshot()
    try:
        return dict(snapshot.range(table, b"", None, 1_000_000))
    finally:
        snapshot.close()
