"""Plays a history on the real engine; a cut world restarts its engine from the store, as after a kill."""

from random import Random
from typing import Any

from stagewheel.protocol.journal import Record
from stagewheel.protocol.messages import Address, Employee, Hello, PutEmployee, PutRuleset
from stagewheel.server.actors.engine import Engine, Inbound
from stagewheel.server.rules.compile import compile_ruleset
from stagewheel.server.scenarios.drive import PRODUCER, ROUTE, Drive
from stagewheel.server.scenarios.recorder import Recorder
from stagewheel.server.scenarios.runner import Compiler
from stagewheel.server.scenarios.steps import ChannelDoc
from stagewheel.server.timers.far import Level
from tests.laws.generate import ITEMS, Happening

START_MS = 1_772_438_400_000  # 2026-03-02T09:00:00+01:00
FARES = {
    "refused": ChannelDoc(refuse="550 no such user"),
    "unknown": ChannelDoc(unknown="timed out", after="20m", times=2),
    "delivered": ChannelDoc(),
}
Journal = list[tuple[int, bytes, Record]]


class World(Drive):
    """An engine, its journal, and cuts between turns where `cuts` says so."""

    def __init__(
        self,
        files: dict[str, str],
        cuts: Random | None = None,
        compiler: Compiler | None = None,
        levels: tuple[Level, ...] = (),
    ) -> None:
        self.levels = levels
        self.met_far = False
        self.journal: Journal = []
        self.cuts: Random | None = None
        self.cut_count = 0
        self.greets = False  # a new engine has not heard of this client yet
        super().__init__(START_MS, compiler or Compiler(), Recorder({}), self.journal.extend)
        self.submit(
            PutEmployee("", employee=Employee(7, "Ines", [Address("ines@example.com")], supervisor=9))
        )
        self.submit(PutEmployee("", employee=Employee(9, "Boss", [Address("boss@example.com")])))
        self.submit(PutRuleset("", files=files))
        self.cuts = cuts

    def play(self, history: list[Happening]) -> None:
        """Everything in order."""
        for one in history:
            if isinstance(one, int):
                self.advance_to(self.engine.now_ms() + one)
            elif isinstance(one, dict):
                self.submit(PutRuleset("", files=one))
            elif isinstance(one, str):
                self.recorder.channels["email"] = FARES[one]
            else:
                self.submit(one)

    def end(self) -> None:
        """Two months pass, and every item that still is there is released from a pause."""
        self.recorder.channels.clear()
        self.advance_to(self.engine.now_ms() + 60 * 24 * 3_600_000)

    def _turn(self, inbound: Inbound) -> None:
        if self.greets:  # with what comes next, so that a cut adds no turn in which something could happen
            inbound.hellos = [(ROUTE, Hello(1, 1, PRODUCER, "scenario", instance=bytes(16)))]
            self.greets = False
        self.engine.timers.far.levels = self.levels
        super()._turn(inbound)
        self.met_far = self.met_far or self.engine.timers.far.rows > 0
        if self.cuts is not None and self.cuts.random() < 0.2:
            self.cut_count += 1
            self.greets = True
            self.engine = Engine(self.engine.store, self.engine.clock, compile_ruleset)

    def records_of(self, item: str) -> list[Record]:
        """Its records, oldest first."""
        return [record for _, _, record in self.journal if record.item == item]

    def state(self) -> dict[str, Any]:
        """Stage and waiting steps of each item, as a query shows them; what is held, paused or asks waits."""
        found: dict[str, Any] = {}
        for key in ITEMS:
            view = self.item(key)
            if view is not None:
                steps = [
                    (w.step, w.rule, w.due_ms, "waiting_field" if w.state == "waiting_field" else "waiting")
                    for w in view.waiting
                    if not w.workflow and w.state not in ("sending", "running")
                ]
                steps.sort()
                found[key] = (view.pipeline, view.stage, view.entry, steps)
        return found
