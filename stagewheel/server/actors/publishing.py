"""Commands about ruleset versions: store one, make one active, and what becomes of the items in their stages.

Laws: a version with mistakes, or one that claims another ruleset's pipeline, changes nothing; what an
activation sets going in the background is stored in the same commit. Running entries keep their rules (1.6).
"""

from typing import TYPE_CHECKING

from stagewheel.protocol.messages import (
    ActivateVersion,
    Applied,
    Failed,
    Published,
    PutRuleset,
    Result,
    StopEnrolment,
)
from stagewheel.server.actors.enrolment import refuse
from stagewheel.server.limits import VERSION_ROWS_MAX
from stagewheel.server.store.tables import Table

if TYPE_CHECKING:
    from stagewheel.server.actors.turn import Owed, Turn


def put_ruleset(turn: "Turn", command: PutRuleset, owed: "Owed") -> Result:
    """Store a version; unless it is a draft, it is active from now on."""
    engine, counters = turn.engine, turn.engine.counters
    decides = engine.relay is None or engine.relay.is_directory
    if decides and turn.transaction.count(Table.RULESETS) >= VERSION_ROWS_MAX:
        return Failed("bad_value", f"{VERSION_ROWS_MAX} versions are stored, and all of them are in use")
    answer = engine.reference.put_ruleset(turn.batch, command, counters.version, turn.now_ms)
    if isinstance(answer, Published):
        counters.version += 1
        if not command.draft:
            engine.background.activated(turn, answer.ruleset)
    return answer


def activate(turn: "Turn", command: ActivateVersion, owed: "Owed") -> Result:
    """Make a stored version active, an older one included (rollback)."""
    turn.flush()
    engine = turn.engine
    stored = engine.reference.find(turn.transaction, command.ruleset, command.version)
    if isinstance(stored, Failed):
        return stored
    version = engine.reference.need(turn.transaction, stored.number)
    refused = refuse(version, command.enrol, command.moves)
    refused = refused or engine.reference.activate(turn.batch, stored, version, turn.now_ms)
    if refused is not None:
        return refused
    engine.background.activated(turn, stored.ruleset)
    number = 0
    if command.enrol or command.moves:
        position = engine.counters.position
        number = engine.background.enrolments.begin(turn.batch, command, version, position, turn.now_ms)
    return Published(stored.ruleset, stored.number, [], number)


def stop_enrolment(turn: "Turn", command: StopEnrolment, owed: "Owed") -> Result:
    """End an enrolment; what it has told stays as it is."""
    if turn.engine.background.enrolments.stop(turn.batch, command.number):
        return Applied()
    return Failed("unknown_enrolment", f"no enrolment that runs has the number {command.number}")
