"""DBOS on PostgreSQL: a durable workflow an event, a durable queue, a workflow that sleeps for a timer.

PostgreSQL runs on a folder of its own with its defaults (`synchronous_commit = on`, `fsync = on`). An event
is a workflow with one transaction that reads and writes the deal's state, its outbox and its timer; an in-
process pool starts them, as many at once as the pool of connections allows. A timer is a workflow that is put
into the durable queue with a delay: known when it is enqueued.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import msgspec

from bench import deals, report
from bench.peers import work
from bench.peers.work import Missing, Peer

THREADS: Final = 16
POSTGRES_DIRS: Final = ("/usr/lib/postgresql/*/bin", "/usr/local/bin")
START_S: Final = 30.0
TABLES: Final = """
create table states
  (item text primary key, stage text not null, amount bigint not null, entry bigint not null);
create table outbox (id bigserial primary key, key text not null, text text not null);
create table timers (item text primary key, due_ms bigint not null, entry bigint not null);
"""
MOVE: Final = """
with moved as (
  insert into states as s values (:item, :stage, :amount, 1)
  on conflict (item) do update set stage = :stage, amount = :amount, entry = s.entry + 1 returning entry),
timed as (
  insert into timers select :item, :due_ms, entry from moved
  on conflict (item) do update set due_ms = excluded.due_ms, entry = excluded.entry)
insert into outbox (key, text)
  select :item || '/' || entry, 'We moved ' || :item || ' to ' || :stage from moved
"""


def run(folder: Path, seconds: float, batch: int) -> Peer:
    """Start PostgreSQL, run the worker in a process of its own, compare states. An event is a workflow."""
    programs = _programs()
    try:
        import dbos  # noqa: F401  # the worker needs it
    except ImportError:
        raise Missing("the Python package dbos is not installed") from None
    data = folder / "postgres"
    as_user = (
        ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []
    )
    if as_user:
        shutil.chown(folder, "postgres")
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder}
    subprocess.run(
        [*as_user, programs["initdb"], "-D", str(data), "-U", "bench", "-A", "trust"], check=True, **quiet
    )
    options = ["-D", str(data), "-c", "listen_addresses=", "-c", f"unix_socket_directories={folder}"]
    with subprocess.Popen([*as_user, programs["postgres"], *options], **quiet) as server:
        try:
            url = f"postgresql+psycopg://bench@/postgres?host={folder}"
            _wait_ready(programs["pg_isready"], folder)
            said = subprocess.run(
                [sys.executable, "-m", "bench.peers.dbos_postgres", url, str(seconds)],
                capture_output=True,
                text=True,
            )
            if said.returncode:
                raise report.Failed(f"the worker of DBOS failed: {said.stderr[-1500:]}")
            told = msgspec.json.decode(said.stdout.splitlines()[-1])
            return Peer(
                "DBOS on PostgreSQL",
                told["version"],
                "synchronous_commit = on",
                f"a workflow with one transaction an event, {THREADS} at once",
                told["events_per_s"],
                told["timers_per_s"],
            )
        finally:
            server.terminate()


def _programs() -> dict[str, str]:
    folders = [str(one) for pattern in POSTGRES_DIRS for one in sorted(Path("/").glob(pattern[1:]))]
    path = os.pathsep.join([os.environ.get("PATH", ""), *folders])
    found = {name: shutil.which(name, path=path) for name in ("initdb", "postgres", "pg_isready")}
    if None in found.values():
        raise Missing("PostgreSQL is not installed")
    return {name: str(where) for name, where in found.items()}


def _wait_ready(pg_isready: str, folder: Path) -> None:
    until_s = time.monotonic() + START_S
    while subprocess.run([pg_isready, "-h", str(folder)], stdout=subprocess.DEVNULL).returncode:
        if time.monotonic() > until_s:
            raise report.Failed("PostgreSQL does not answer")
        time.sleep(0.1)


# ---------------------------------------------------------------- the worker's process


def main(url: str, seconds: float) -> dict[str, Any]:
    """Figures of a worker that has the database at `url`."""
    from importlib import metadata

    import sqlalchemy
    from dbos import DBOS, SetEnqueueOptions, SQLAlchemyDatasource

    engine = sqlalchemy.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text(TABLES))
    move = sqlalchemy.text(MOVE)
    config: Any = {"name": "bench", "system_database_url": url, "sys_db_pool_size": THREADS}
    DBOS(config=config)
    source = SQLAlchemyDatasource.create(url, {"pool_size": THREADS})

    @source.transaction(isolation_level="READ COMMITTED")
    def store(item: str, stage: str, amount: int) -> None:
        due_ms = time.time_ns() // 1_000_000 + work.DAY_MS
        values = {"item": item, "stage": stage, "amount": amount, "due_ms": due_ms}
        source.sql_session().execute(move, values)

    @DBOS.workflow()
    def moved(item: str, stage: str, amount: int) -> bool:
        store(item, stage, amount)
        return amount > deals.AMOUNT_MAX

    @DBOS.workflow()
    def later(item: str) -> str:
        return item

    DBOS.launch()
    queue = DBOS.register_queue("timers")
    drawn = work.events(1 << 40)
    sent: list[work.Event] = []

    def one(_: int) -> None:
        until_s = started_s + seconds
        while time.perf_counter() < until_s:
            event = next(drawn)
            sent.append(event)
            moved(event.item, event.stage, event.amount)

    started_s = time.perf_counter()
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(one, range(THREADS)))
    events_per_s = len(sent) / (time.perf_counter() - started_s)
    _check(engine, sqlalchemy, sent)
    count = itertools.count()

    def schedule(_: int) -> int:
        done = 0
        while time.perf_counter() < timers_s + seconds / 2:
            with SetEnqueueOptions(delay_seconds=work.DAY_MS / 1000):
                queue.enqueue(later, f"timer-{next(count)}")
            done += 1
        return done

    timers_s = time.perf_counter()
    with ThreadPoolExecutor(THREADS) as pool:
        total = sum(pool.map(schedule, range(THREADS)))
    timers_per_s = total / (time.perf_counter() - timers_s)
    DBOS.destroy()
    return {"version": metadata.version("dbos"), "events_per_s": events_per_s, "timers_per_s": timers_per_s}


def _check(engine: Any, sqlalchemy: Any, sent: list[work.Event]) -> None:
    """Of items that had one event only: with several at once their order is open."""
    times: dict[str, int] = {}
    for event in sent:
        times[event.item] = times.get(event.item, 0) + 1
    names = [item for item in work.looked_at(sent) if times[item] == 1]
    with engine.connect() as connection:
        rows = connection.execute(sqlalchemy.text("select item, stage from states")).all()
    held = dict(tuple(row) for row in rows)
    work.check("dbos", sent, {item: held.get(item, "nowhere") for item in names})


if __name__ == "__main__":
    print(msgspec.json.encode(main(sys.argv[1], float(sys.argv[2]))).decode())
