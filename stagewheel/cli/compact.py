"""`stagewheel compact`: rewrite the store of a server that is stopped, and remove the mails of erased items
from its spool, so that nothing keeps what was erased.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from rich.markup import escape

from stagewheel.cli.output import console, emit, json_option, progress
from stagewheel.errors import CallerError
from stagewheel.server.channels.spool_erasing import remove_mails
from stagewheel.server.config import load
from stagewheel.server.core.item import Tombstone, decode_row
from stagewheel.server.store.backup import StoreCopy
from stagewheel.server.store.compacting import Compacted, compact
from stagewheel.server.store.folder import Claim
from stagewheel.server.store.layout import WORK_NAME, folder_of, settle, stored
from stagewheel.server.store.tables import Table

ROWS_A_READ = 10_000
MIB = 1 << 20


@click.command()
@click.option("--data", metavar="FOLDER", help="The server's data folder  [default: ./stagewheel-data]")
@click.option("--config", metavar="FILE", type=click.Path(), help="The server's settings in TOML.")
@click.option(
    "--item", "items", multiple=True, metavar="KEY", help="Mails of this item go as well; repeatable."
)
@json_option
def command(data: str | None, config: str | None, items: tuple[str, ...], as_json: bool) -> None:
    """Rewrite a stopped server's store, so that no old page keeps what was removed.

    Needs free disk space for a second store while it works. The mails of erased items are removed from the
    server's spool, if it has one. Backups are yours: make new ones, and throw away the old.
    """
    settings = load(config, {"data": data})
    folder = Path(settings.data).absolute()
    if not stored(folder) and not (folder / WORK_NAME).is_dir():
        raise CallerError(f"there is no store in {folder}: name a server's data folder with --data")
    told: list[dict[str, Any]] = []
    erased = list(items)
    claim = Claim.take(folder)
    try:
        settle(folder)  # a division that was killed keeps whole old stores
        for shard in stored(folder):
            done = _compacted(folder_of(folder, shard))
            erased += _erased(folder_of(folder, shard))
            told.append({"store": str(folder_of(folder, shard)), "rows": done.rows} | _sizes(done))
    finally:
        claim.release()
    spool = Path(settings.channels.email.spool)
    mails = remove_mails(spool, erased)
    if as_json:
        emit({"stores": told, "mails_removed": mails})
        return
    out = console()
    for one in told:
        before, after = (f"{one[name] / MIB:.1f}" for name in ("before_bytes", "after_bytes"))
        out.print(f"{escape(one['store'])}: {one['rows']} rows, {before} MiB became {after} MiB")
    if spool.is_dir():
        out.print(f"{mails} mails of erased items removed from {escape(str(spool))}")


def _compacted(shard: Path) -> Compacted:
    with progress() as bar:
        task = bar.add_task(shard.name, total=None, note="")
        return compact(shard, lambda done, total: bar.update(task, completed=done, total=total))


def _sizes(done: Compacted) -> dict[str, int]:
    return {"before_bytes": done.before_bytes, "after_bytes": done.after_bytes}


def _erased(shard: Path) -> Iterator[str]:
    """The keys of what was erased, and is not there again."""
    store = StoreCopy.open(shard)
    reads = store.snapshot()
    try:
        start = b""
        while rows := reads.range(Table.ITEMS, start, None, ROWS_A_READ):
            for key, value in rows:
                row = decode_row(value)
                if isinstance(row, Tombstone) and row.erased_ms:
                    yield key.decode()
            start = rows[-1][0] + b"\x00"
    finally:
        reads.close()
        store.close()
