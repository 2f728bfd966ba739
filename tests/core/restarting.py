"""A play whose engine does not outlive a turn: what it does not store is lost."""

from stagewheel.protocol.messages import Hello
from stagewheel.server.actors.engine import Engine, Inbound
from stagewheel.server.rules.compile import compile_ruleset
from stagewheel.server.scenarios.drive import PRODUCER, ROUTE, Drive
from stagewheel.server.store.memory import MemoryStore
from tests.core.play import MONDAY_NINE_MS, Play

HELLO = Inbound([(ROUTE, Hello(1, 1, PRODUCER, "scenario", instance=bytes(16)))], [], [])


class RestartingDrive(Drive):
    """Before each turn the engine is killed, and a new one started on what was committed."""

    restarts = 0

    def _turn(self, inbound: Inbound) -> None:
        if not inbound.hellos:
            store = self.engine.store
            assert isinstance(store, MemoryStore)
            self.engine = Engine(store.reopen(), self.clock, compile_ruleset)
            super()._turn(HELLO)
            self.restarts += 1
        super()._turn(inbound)


class RestartingPlay(Play):
    """A play whose engine does not outlive a turn."""

    def __init__(self, rules: str) -> None:
        super().__init__()
        self.drive: RestartingDrive = RestartingDrive(
            MONDAY_NINE_MS, compile_ruleset, self.recorder, self._seen
        )
        self.publish(rules)
