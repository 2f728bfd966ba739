"""`stagewheel file`: files that a server keeps for attachments and messages of the stream."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

import click
from rich.markup import escape

from stagewheel.cli.connection import connected, server_options
from stagewheel.cli.dead_letters import ListFirst
from stagewheel.cli.output import console, counted, emit, json_option, moment, progress, table
from stagewheel.client.files import Progress
from stagewheel.errors import CallerError

COLUMNS: Final = ("id", "name", "type", "bytes", "stored")


@click.group(cls=ListFirst)
def command() -> None:
    """Store, fetch, list and drop files: attachments of mails and chat messages, files of stream messages.

    A ruleset names one by its id, {file: ID}; a field of type file by {file: ID, name: …}.
    """


@command.command()
@click.argument("path", type=click.Path(exists=True, dir_okay=False))
@click.option("--name", default="", help="How receivers see it.  [default: the file's own]")
@click.option("--id", "id_", default="", help="Under which it is stored.  [default: its name]")
@click.option("--type", "type_", default="", metavar="TYPE", help="Content type.  [default: by the name]")
@server_options
@json_option
def put(path: str, name: str, id_: str, type_: str, server: str, timeout_s: float, as_json: bool) -> None:
    """Store a file. What stood under its id is replaced; one that was broken off goes on where it stopped."""
    with connected(server, timeout_s) as client, _bar(f"storing {Path(path).name}") as seen:
        view = client.put_file(path, name, file=id_, type=type_, progress=seen)
    if as_json:
        emit(view)
    else:
        console().print(f"stored {escape(view.file)} ({counted(view.size, 'byte')}, {view.type})")


@command.command()
@click.argument("file", metavar="ID")
@click.option("-o", "--output", default="", metavar="PATH", help="Where to write it; - is standard output.")
@server_options
@json_option
def get(file: str, output: str, server: str, timeout_s: float, as_json: bool) -> None:
    """Fetch a file, into a file of its name where --output does not say otherwise."""
    with connected(server, timeout_s, role="read") as client:
        view = next((one for one in client.files(file) if one.file == file), None)
        if view is None:
            raise CallerError(f"there is no stored file {file!r}; 'stagewheel file list' shows them")
        if as_json and output == "-":
            raise CallerError("--json and --output - both want standard output")
        path = output or Path(view.name).name
        with _bar(f"fetching {file}") as seen, _written(path) as into:
            client.get_file(file, into, seen)
    if as_json:
        emit({"path": path, "size": view.size, "sha256": view.sha256})
    elif path != "-":
        console().print(f"wrote {escape(path)} ({counted(view.size, 'byte')})")


@command.command("list")
@click.argument("prefix", default="")
@server_options
@json_option
def list_(prefix: str, server: str, timeout_s: float, as_json: bool) -> None:
    """List files by id, those whose ids begin with PREFIX (the default)."""
    with connected(server, timeout_s, role="read") as client:
        found = list(client.files(prefix))
    if as_json:
        emit(found)
        return
    rows = [(escape(f.file), escape(f.name), f.type, f"{f.size:,}", moment(f.at_ms)) for f in found]
    if rows:
        console().print(table(COLUMNS, rows, right="bytes"))
    console().print(counted(len(rows), "file"))


@command.command()
@click.argument("file", metavar="ID")
@click.option("--force", is_flag=True, help="Also one that an active ruleset names.")
@server_options
@json_option
def drop(file: str, force: bool, server: str, timeout_s: float, as_json: bool) -> None:
    """Forget a file. A mail that still names it becomes a dead letter, to be retried when it is back."""
    with connected(server, timeout_s) as client:
        client.drop_file(file, force=force)
    if as_json:
        emit({"dropped": file})
    else:
        console().print(f"dropped {escape(file)}")


@contextmanager
def _bar(what: str) -> Iterator[Progress]:
    """A progress bar of bytes, on a terminal."""
    with progress() as bar:
        task = bar.add_task(escape(what), total=None, note="")

        def seen(there: int, size: int) -> None:
            bar.update(task, completed=there, total=size)

        yield seen


@contextmanager
def _written(path: str) -> Iterator[BinaryIO]:
    """A file that is there whole or not at all; - is standard output."""
    if path == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    part = f"{path}.part"
    try:
        with open(part, "wb") as into:
            yield into
        os.replace(part, path)
    except OSError as error:
        raise CallerError(f"cannot write {path}: {error.strerror}") from None
    finally:
        if os.path.exists(part):
            os.unlink(part)
