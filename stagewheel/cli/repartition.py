"""`stagewheel repartition`: divide the data of a stopped server among another number of shards."""

from pathlib import Path

import click
from rich.markup import escape

from stagewheel.cli.output import console, counted, emit, json_option, progress
from stagewheel.server.repartition.run import Divided, repartition

DOING = {"copy": "rows", "compare": "comparing", "swap": "changing over"}


@click.command()
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--shards", type=int, required=True, metavar="N", help="How many there are to be.")
@json_option
def command(data: Path, shards: int, as_json: bool) -> None:
    """Divide the data of a stopped server among N shards.

    DATA is the server's data folder. Needs free disk space for a second copy of it while it works. A kill at
    any moment leaves the old division or the new one, whole.
    """
    done = _run(data.absolute(), shards)
    if as_json:
        emit(done)
        return
    out, what = console(), escape(str(data))
    if done.before == done.after:
        out.print(f"{what} is divided into {counted(done.after, 'shard')} already; nothing was changed")
        return
    rows, before = counted(done.rows, "row"), counted(done.before, "shard")
    out.print(
        f"{what}: {rows} of {before} are now divided among {done.after}; serve it with --shards {done.after}",
        soft_wrap=True,
    )


def _run(data: Path, shards: int) -> Divided:
    with progress() as bar:
        task = bar.add_task(DOING["copy"], total=None, note="")

        def tell(what: str, rows: int, total: int) -> None:
            bar.update(task, description=DOING[what], completed=rows, total=total)

        return repartition(data, shards, tell)
