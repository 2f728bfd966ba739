"""The tree of threads of a workflow: what a `parallel` step opens, joins and gives up (W8).

Laws: a thread that waits is a token, and one that does not is ready; both name the step of the `parallel`
they are a branch of, and that step is a token too, which waits for them. So an instance is a tree, of which
the leaves move. An operation has at most one thread at a time.
"""

from typing import Any

from stagewheel.protocol.journal import WorkflowStepped, WorkflowWaits
from stagewheel.server.core.acting import CANCELLED, DONE, FAILED
from stagewheel.server.core.deciding import Deciding
from stagewheel.server.core.holding import threads_paused
from stagewheel.server.core.instances import end, is_alive
from stagewheel.server.core.item import JOINING, Instance, Token
from stagewheel.server.core.limits import STEPS_A_DECISION_MAX, STEPS_WITHOUT_WAIT_MAX, TOKENS_MAX
from stagewheel.server.core.plan_steps import Fork, Operation, Pause, Run, WaitFor, WorkflowPlan

NOWHERE = -1  # the thread waits, or has ended


class Thread:
    """A thread that can go on: the operation it is at, the `parallel` it belongs to, its last results."""

    __slots__ = ("at", "granted", "parent", "previous")

    def __init__(self, at: int, parent: int = 0, previous: dict[str, Any] | None = None) -> None:
        self.at = at
        self.parent = parent
        self.previous = previous
        self.granted = 0  # the step whose client has said that a cap leaves room (8.5)


class Running:
    """An instance while it is walked: `tokens` wait, `ready` threads go on, in this order."""

    __slots__ = (
        *("lineage", "ended", "instance", "left", "level", "plan", "ready", "rounds", "starting", "tokens"),
        "vars",
    )

    def __init__(self, d: Deciding, instance: Instance, plan: WorkflowPlan, level: int = 0) -> None:
        self.instance = instance
        self.plan = plan
        self.vars = instance.vars
        self.rounds = dict(instance.rounds)
        self.tokens = list(instance.tokens)
        self.lineage = instance.lineage
        self.ready: list[Thread] = []
        self.ended: tuple[str, str] | None = None  # outcome and reason
        self.starting = False  # whoever started it learns its end from `ended`
        self.level = level  # instances that are walked around this one
        self.left = min(STEPS_WITHOUT_WAIT_MAX, STEPS_A_DECISION_MAX - d.walked)
        if threads_paused(d, plan.rule):
            self.left = 0  # its threads wait where they are, until somebody resumes (9.3)

    @property
    def name(self) -> str:
        """Who acts: the workflow, or the rule that holds the steps."""
        return self.plan.rule or self.plan.id

    def freeze(self) -> Instance:
        """As it is stored while its tokens wait."""
        old = self.instance
        return Instance(
            old.number,
            old.workflow,
            old.version,
            self.vars,
            self.tokens,
            self.rounds,
            old.trigger,
            self.lineage,
            old.waiter,
            old.chain,
        )

    def token(self, step: int) -> Token:
        """A token of this instance."""
        return next(token for token in self.tokens if token.step == step)

    def take(self, token: Token, at: int, previous: dict[str, Any] | None) -> Thread:
        """What a token waited for is here: its thread goes on at an operation."""
        self.tokens.remove(token)
        thread = Thread(at, token.parent, previous)
        self.ready.append(thread)
        return thread


def finish(d: Deciding, run: Running, outcome: str, reason: str = "") -> None:
    """End the instance that is walked, with all its threads."""
    run.ended = (outcome, reason)
    run.ready.clear()
    if is_alive(d, run.instance.number):
        end(d, run.instance, outcome, reason, run.vars, tell=not run.starting)


def stepped(
    d: Deciding,
    run: Running,
    at: int,
    outcome: str,
    reason: str = "",
    seen: list[Any] | None = None,
    *,
    parent: int = 0,
    token: int = 0,
) -> None:
    """Journal what became of a step; `token` is the wait that is over with it."""
    op, instance = run.plan.program[at], run.instance
    branch = branch_of(run, parent, at)
    d.did.append(
        WorkflowStepped(run.plan.id, instance.number, at, op.name, outcome, reason, seen or [], token, branch)
    )


def waits(d: Deciding, run: Running, token: Token, what: str = "") -> int:
    """Let a thread wait as `token`, journalled."""
    op = run.plan.program[token.at]
    run.tokens.append(token)
    d.did.append(
        WorkflowWaits(
            run.plan.id,
            run.instance.number,
            token.at,
            op.name,
            token.step,
            token.due_ms,
            what or awaited(op),
            branch_of(run, token.parent, token.at),
        )
    )
    return NOWHERE


def branch_of(run: Running, parent: int, at: int) -> str:
    """ "2.1": the first branch of a parallel in the second branch of another; "" outside of any."""
    return path_of(run.plan.program, run.tokens, parent, at) if parent else ""


def path_of(program: tuple[Operation, ...], tokens: list[Token], parent: int, at: int) -> str:
    """See `branch_of`."""
    path = ""
    while parent:
        fork = next(token for token in tokens if token.step == parent)
        op = program[fork.at]
        assert isinstance(op, Fork), "a branch belongs to a parallel"
        number = sum(start <= at for start in op.branches)
        path = f"{number}.{path}" if path else str(number)
        parent, at = fork.parent, fork.at
    return path


def awaited(op: Operation) -> str:
    """What an operation waits for besides a moment, in the words of the journal."""
    if isinstance(op, Pause):
        return f"field {op.wait.of}" if op.wait.of else ""
    if isinstance(op, WaitFor):
        return f"change of {', '.join(op.fields)}" if op.fields else f"event {op.event} {op.code}".rstrip()
    if isinstance(op, Run):
        return f"workflow {op.action.workflow}"
    if isinstance(op, Fork):
        return f"{'the first of ' if op.first else ''}{len(op.branches)} branches"
    return ""


# ---------------------------------------------------------------- opening, joining, giving up


def fork(d: Deciding, run: Running, thread: Thread, op: Fork) -> int:
    """Open the branches; they are walked in their order, before any other thread."""
    if len(run.tokens) + len(run.ready) + len(op.branches) >= TOKENS_MAX:
        return failed(d, run, thread, f"more than {TOKENS_MAX} branches at once")
    step = d.next_step()
    waits(d, run, Token(thread.at, step, JOINING, 0, thread.parent, thread.previous))
    run.ready[:0] = [Thread(start, step, thread.previous) for start in op.branches]
    return NOWHERE


def join(d: Deciding, run: Running, thread: Thread) -> int:
    """A branch has come to its end."""
    at_fork = run.token(thread.parent)
    op = _fork_of(run, at_fork)
    if op.first or not _siblings(run, thread.parent):
        number = branch_of(run, thread.parent, thread.at).rpartition(".")[2]
        reason = f"branch {number} was first" if op.first else ""
        _close(d, run, at_fork, reason, {**(thread.previous or {}), "branch": int(number)})
    return NOWHERE


def failed(d: Deciding, run: Running, thread: Thread, reason: str) -> int:
    """A thread failed: so does the instance, unless a `parallel` around it says `on_failure: continue` — then
    it has lost a branch, and goes on when no other is left (6.7).
    """
    parent, at = thread.parent, thread.at
    while parent:
        at_fork = run.token(parent)
        op = _fork_of(run, at_fork)
        if op.on_failure_continue:
            number = branch_of(run, parent, at).rpartition(".")[2]
            stepped(d, run, at_fork.at, "branch failed", f"branch {number}: {reason}", parent=at_fork.parent)
            if not _siblings(run, parent):
                lost = {"outcome": FAILED, "reason": reason, "branch": int(number)}
                _close(d, run, at_fork, "", lost)
            return NOWHERE
        _cancel(d, run, parent, reason)
        run.tokens.remove(at_fork)
        parent, at = at_fork.parent, at_fork.at
    finish(d, run, FAILED, reason)
    return NOWHERE


def _fork_of(run: Running, token: Token) -> Fork:
    op = run.plan.program[token.at]
    assert isinstance(op, Fork), "only a parallel has branches"
    return op


def _siblings(run: Running, parent: int) -> bool:
    """Is any other branch of the `parallel` under way?"""
    return any(token.parent == parent for token in run.tokens) or any(
        thread.parent == parent for thread in run.ready
    )


def _close(d: Deciding, run: Running, at_fork: Token, reason: str, previous: dict[str, Any]) -> None:
    """The `parallel` is over: what is left of its branches ends, and one thread goes on behind it."""
    _cancel(d, run, at_fork.step, reason)
    stepped(d, run, at_fork.at, DONE, reason, parent=at_fork.parent, token=at_fork.step)
    run.tokens.remove(at_fork)
    run.ready.insert(0, Thread(_fork_of(run, at_fork).join, at_fork.parent, previous))


def _cancel(d: Deciding, run: Running, parent: int, reason: str) -> None:
    """All below a `parallel` ends; the deepest first, so that each still knows its branch."""
    for token in [one for one in run.tokens if one.parent == parent]:
        if token.state == JOINING:
            _cancel(d, run, token.step, reason)
        stepped(d, run, token.at, CANCELLED, reason, parent=parent, token=token.step)
        run.tokens.remove(token)
    run.ready = [thread for thread in run.ready if thread.parent != parent]
