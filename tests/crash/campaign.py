"""A campaign: a server under load is killed again and again, then the checker looks at what is left.

    load ──commands──▶ server (supervisor, shard, senders) ──mails──▶ mail sink
      └── log, fsynced ──▶ checker ◀── journal, queries ──┘ ◀── mails ──┘

Whom a kill meets: the whole group, the shard, the senders, or the supervisor, whose children must end with
it. When: at a random moment, while a process starts, or while commands are accepted and not yet applied. Both
come from the seed; what the scheduler makes of them does not: a seed names a plan, and no run.
"""

import json
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from stagewheel.cli.sink import Sink, start_sink
from stagewheel.server.channels.email import EmailSettings
from stagewheel.server.senders.config import ChannelsConfig
from tests.crash.checker import Verdict
from tests.crash.judge import Mail
from tests.crash.load import RULES, RULESET
from tests.crash.log import Undecided
from tests.crash.look import wait_quiet
from tests.server.harness import ROOT, Served, group_members, wait_ended

CLOCK_RATE: Final = 20.0
LIVE_S: Final = (0.05, 1.0)  # the server is left alone for a random time between two kills
START_S: Final = 0.8  # a process that starts is killed within this time
QUIET_S: Final = 120.0
LOAD_END_S: Final = 120.0
ACCEPTED_S: Final = 20.0  # so long an accepted command is waited for
LOOK_S: Final = 0.005

GROUP, SHARD, SENDERS, SUPERVISOR = "group", "shard", "senders", "supervisor"
RANDOM, STARTING, BETWEEN = "at random", "while it starts", "between accepted and applied"
WHOLE: Final = (
    (GROUP, RANDOM),
    (SUPERVISOR, RANDOM),
    (GROUP, STARTING),
    (GROUP, BETWEEN),
    (SUPERVISOR, STARTING),
    (SUPERVISOR, BETWEEN),
)
PARTS: Final = (
    (SHARD, RANDOM),
    (SENDERS, RANDOM),
    (SHARD, BETWEEN),
    (SHARD, STARTING),
    (SENDERS, STARTING),
    (SHARD, RANDOM),
)

Kill = tuple[str, str]


class Report(msgspec.Struct):
    """What a campaign did, and what came of it."""

    seed: int
    seconds: float
    kills: dict[str, int]
    kill_count: int
    killed_between: int  # kills that met commands which were accepted and not applied
    verdict: Verdict

    @property
    def complaints(self) -> list[str]:
        return self.verdict.complaints


def plan(seed: int, count: int) -> list[Kill]:
    """Which kills, in which order: every kind and moment in each dozen, parts and wholes in turn."""
    dice, kills = random.Random(seed), list[Kill]()
    while len(kills) < count:
        for pair in zip(dice.sample(PARTS, len(PARTS)), dice.sample(WHOLE, len(WHOLE)), strict=True):
            kills += pair
    return kills[:count]


class Campaign:
    """One server, one load, and who kills."""

    def __init__(
        self,
        folder: Path,
        seed: int,
        *,
        senders: int = 1,
        items: int = 20,
        clock_rate: float = CLOCK_RATE,
        mistakes: tuple[str, ...] = (),
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.folder = folder
        self.seed = seed
        self._say = say
        self.items = items
        self.kills: Counter[str] = Counter()
        self.killed_between = 0
        self._dice = random.Random(seed)
        self._orphaned: list[int] = []  # groups whose supervisor was killed
        self._log = folder / "load.jsonl"
        self._undecided = Undecided(self._log)
        self._senders = [f"sender-0-{number}" for number in range(senders)]
        self._sink: Sink = start_sink()
        email = EmailSettings(
            host="127.0.0.1",
            port=self._sink.port,
            default_from="desk@example.net",
            pool_size=4,
            retry_base_s=0.2,
        )
        self.served = Served(
            folder,
            clock_rate=clock_rate,
            senders=senders,
            channels=ChannelsConfig(email=email),
            child="tests.crash.planted" if mistakes else "",
            arguments=(",".join(mistakes),) if mistakes else (),
        )

    # ---------------------------------------------------------------- from its beginning to its report

    def run(self, kills: list[Kill], batches: int = 0, deaths: bool = False) -> Report:
        """Load, kill, wait until nothing moves, and let the checker judge.

        `batches`: the load ends by itself after so many; else it ends after the last kill. `deaths`: whether
        a planted shard ends by itself meanwhile.
        """
        began = time.monotonic()
        with self._sink, self.served as served:
            with served.client() as client:
                client.put_ruleset(RULESET, {"rules.yaml": RULES})
            first = {name: served.wait_ready(name) for name in ["shard-0", *self._senders]}
            load = self._start_load(batches)
            try:
                for kill in kills:
                    self._kill(load, *kill)
                if deaths:
                    served.wait_ready("shard-0", other_than=first["shard-0"])
                if not batches:
                    load.terminate()
                assert load.wait(LOAD_END_S) == 0, "the load ended early; its error stands above"
            finally:
                load.kill()
                load.wait()
            with served.client(timeout_s=60.0) as client:
                wait_quiet(client, QUIET_S)
            found = self._check(duplicates=bool(kills or deaths))
        seconds = time.monotonic() - began
        return Report(
            self.seed, round(seconds, 1), dict(self.kills), self.kills.total(), self.killed_between, found
        )

    def _start_load(self, batches: int) -> "subprocess.Popen[bytes]":
        told = ["--address", self.served.address, "--log", str(self._log), "--seed", str(self.seed)]
        told += ["--items", str(self.items), "--batches", str(batches)]
        return subprocess.Popen([sys.executable, "-m", "tests.crash.load", *told], cwd=ROOT)

    def _check(self, duplicates: bool) -> Verdict:
        """Give the mails to the checker and hear it."""
        taken = [
            Mail(m.subject, m.message_id, m.headers.get("X-Stagewheel-Rule", ""))
            for m in self._sink.messages()
        ]
        mails = self.folder / "mails.json"
        mails.write_bytes(msgspec.json.encode(taken))
        told = ["--address", self.served.address, "--log", str(self._log), "--mails", str(mails)]
        told += [] if duplicates else ["--no-duplicates"]
        checker = subprocess.run(
            [sys.executable, "-m", "tests.crash.checker", *told],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            timeout=QUIET_S,
        )
        found = msgspec.json.decode(checker.stdout, type=Verdict)
        assert checker.returncode == (1 if found.complaints else 0)
        return found

    # ---------------------------------------------------------------- kills

    def _kill(self, load: "subprocess.Popen[bytes]", who: str, when: str) -> None:
        """One kill, and what begins again after it."""
        began, served = time.monotonic(), self.served
        self._live(load, self._dice.uniform(*LIVE_S))
        if when == BETWEEN:
            deadline = time.monotonic() + ACCEPTED_S
            while not self._undecided.look() and time.monotonic() < deadline:
                self._live(load, LOOK_S)
        names = {SHARD: ["shard-0"], SENDERS: self._senders}.get(who, [])
        gone = {name: self._kill_one(who, name) for name in names or [""]}
        if when == STARTING:
            self._begin_again(who, wait=False)
            while not served.starting():
                self._live(load, LOOK_S)
            self._live(load, self._dice.uniform(0.0, START_S))
            if names:
                served.kill_starting()
            else:
                self._kill_one(who, "")
        self.kills[f"{who} {when}"] += 1
        self.killed_between += self._undecided.look() > 0
        self._begin_again(who, wait=True)
        for name in ["shard-0", *self._senders]:
            served.wait_ready(name, other_than=gone.get(name, 0))
        wait_ended(lambda: [pid for group in self._orphaned for pid in group_members(group)])
        self._orphaned.clear()
        self._say(f"{self.kills.total():3} {who} {when}; all is up after {time.monotonic() - began:.1f} s")

    def _kill_one(self, who: str, name: str) -> int:
        if who == GROUP:
            self.served.kill_group()
            return 0
        pid = self.served.kill(name)
        if who == SUPERVISOR:
            # Its children end with it. Senders end what is under way first: they may meet the next server.
            senders = {self.served.pids.get(sender) for sender in self._senders}
            wait_ended(lambda: [one for one in group_members(pid) if one not in senders])
            self._orphaned.append(pid)
        return pid

    def _begin_again(self, who: str, wait: bool) -> None:
        if who in (GROUP, SUPERVISOR):
            self.served.start(wait)

    def _live(self, load: "subprocess.Popen[bytes]", seconds: float) -> None:
        """Let everything run for so long; an end of the load is no part of the plan."""
        try:
            status = load.wait(seconds)
        except subprocess.TimeoutExpired:
            return
        raise ChildProcessError(f"the load ended with status {status}; its error stands above")


def told(report: Report) -> str:
    """The report as text for people."""
    return json.dumps(msgspec.to_builtins(report), indent=2)
