"""What the three shells share, without IO: commands, questions and subscriptions over a line to each shard.

Laws:
- A client knows one address. The Welcome there tells how many shards the server has; until then commands
  wait on the first line, questions and subscriptions with us. With one shard the first line stays the only
  one, and a batch goes on it as it was given.
- With several each has a line of its own: a session with its own numbers, credit and reconnects. A batch is
  divided by the owners of its items (`dividing.py`), a question is asked where its answer is (`asking.py`), a
  subscription follows every shard. A shard that is full or away holds up only what is for it.
- A line that is over for good (fenced, a server that breaks the protocol) ends the client, as the only one
  would.
- The first line's Welcome counts, until another tells of newer lanes: then the data was divided anew. What
  was never sent (or has a `dedupe_key`) is divided anew as well, what else was under way ends with an error
  that says so, subscriptions go on; and who told it is the first line then: the old one's shard may be gone.
- Several addresses are tried in turn until one answers. From then on the server tells where its shards are.

A shell moves the `lines`, each over a wire of its own; it looks for new ones after every move.
"""

import os
from collections import Counter, deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, TypeVar

from msgspec import Raw

from stagewheel import __version__
from stagewheel.client.asking import DIVIDED, Asking
from stagewheel.client.dividing import Part, Share, Whole, divide, rests, undivided
from stagewheel.client.line import QUERIES_MAX, Line, call, saying
from stagewheel.client.opening import Opening
from stagewheel.client.outstanding import Cursor, Feed, producer_of
from stagewheel.client.questions import Question
from stagewheel.client.shards import ShardMap, map_of
from stagewheel.errors import CallerError, StagewheelError
from stagewheel.protocol import messages as m
from stagewheel.protocol.codec import decode_command, encode_payload
from stagewheel.protocol.errors import Expired, ProtocolBroken, TooMuchOutstanding
from stagewheel.protocol.routing import NOT_HERE
from stagewheel.protocol.session import DIVIDED_ANEW, ClientSession
from stagewheel.protocol.ticket import SubmitTicket
from stagewheel.protocol.window import COMMANDS_KEPT_MAX, Waiting

FEEDS_MAX: Final = 64
Address = str | Sequence[str]
"""Of any shard; or several, which are tried in turn until one answers."""
T = TypeVar("T")


class ClientCore:
    """One client object, whichever shell it wears."""

    def __init__(self, address: Address, name: str | None = None, role: str = "feed") -> None:
        self._producer, self._instance, self._role = producer_of(name), os.urandom(16), role
        self.known = False  # how many shards there are
        self.shards: ShardMap | None = None  # None: one
        self._lanes: tuple[int, ...] = ()  # of the division that we know
        self._given = 0  # batches, as a number for each
        self.error: StagewheelError | None = None  # why the client is over
        self._addresses = deque([address] if isinstance(address, str) else address)
        self._first = self._line(self._addresses[0])
        self.lines: list[Line] = [self._first]  # replaced, never changed
        self._by_shard: dict[int, Line] = {0: self._first}
        self._openings: list[Opening] = []
        self._askings: list[Asking[Any]] = []  # that wait until it is known
        self._feeds: list[Feed] = []

    # ---- what the user gives ----

    def submit(self, commands: Sequence[m.AnyCommand], wait_applied: bool = False) -> SubmitTicket:
        """Take commands, each encoded now: what the caller changes later does not change them. Raises
        `CallerError` for a value that cannot be encoded, and takes none of them then.
        """
        try:
            encoded = [Raw(encode_payload(command)) for command in commands]
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise CallerError(f"a command holds a value that cannot be sent: {error}") from None
        self._given += 1
        whole = Whole(len(encoded), wait_applied, self._given)
        if self.shards is not None:
            return self._divided(whole, commands, encoded)
        return self._first.session.submit(encoded, wait_applied, whole)

    def asking(self, question: Question[T]) -> Asking[T]:
        """The rows of a question, to be asked for."""
        return Asking(self, question)

    def subscribe(self, cursor: Cursor = 0, item: str = "", pipeline: str = "") -> Feed:
        """Follow the journal from a position (exclusive), or from one a lane."""
        self.raise_if_ended()
        if len(self._feeds) >= FEEDS_MAX:
            raise TooMuchOutstanding(f"{FEEDS_MAX} subscriptions are open; end one")
        feed = Feed(cursor, item, pipeline)
        self._feeds.append(feed)
        if self.known:
            self._follow(feed)
        return feed

    def unsubscribe(self, feed: Feed) -> None:
        """The user takes no more of this subscription."""
        if feed in self._feeds:
            self._feeds.remove(feed)
            for shard, source in feed.sources.items():
                self._by_shard[shard].unfollow(source)

    def opening(self, every: bool = True) -> Opening:
        """Settles when the sessions stand: with every shard, or the first one."""
        opening = Opening(self, every)
        self._openings.append(opening)
        return opening

    def room_for(self, commands: Sequence[m.AnyCommand]) -> Callable[[], bool]:
        """Asks whether commands can be taken. (More than a client ever keeps raise in `submit` instead.)"""
        shards = self.shards
        if shards is None:
            return partial(self._first.has_room, len(commands))
        if all(line.has_room(len(commands)) for line in self.lines):
            return lambda: True
        counts = Counter(self._by_shard[shards.of_command(command)[0]] for command in commands)
        return lambda: all(line.has_room(count) for line, count in counts.items())

    def sent_before(self) -> Callable[[m.AnyCommand], bool]:
        """For whoever gives the same commands in the same order under one name: asked of each of them in
        turn, was it sent by a client of this name before? Known once `opening` has settled.
        """
        left = {line: line.session.next_seq for line in self.lines}

        def sent(command: m.AnyCommand) -> bool:
            at = self.shards.of_command(command)[0] if self.shards is not None else None
            line = self._first if at is None else self._by_shard[at]
            left[line] -= 1
            return left[line] >= 0

        return sent

    @property
    def next_seq(self) -> int:
        """How many commands of this name were numbered so far, over all its client objects and all shards."""
        return sum(line.session.next_seq for line in self.lines)

    def close(self) -> None:
        """End everything that is open with `Closed`."""
        for line in self.lines:
            line.close()

    # ---- for questions ----

    def line_of(self, shard: int) -> Line:
        """The way to a shard."""
        return self._by_shard[shard]

    def when_known(self, asking: Asking[Any]) -> None:
        """Let it `ask` when it is known how many shards there are."""
        if asking in self._askings:
            return
        if len(self._askings) >= QUERIES_MAX:
            raise TooMuchOutstanding(f"{QUERIES_MAX} questions wait for a server; none is there yet")
        self._askings.append(asking)

    # ---- what lines tell ----

    def opened(self, line: Line, welcome: m.Welcome) -> None:
        """A session stands. The first one's Welcome says what there is."""
        try:
            told = map_of(welcome)
        except ProtocolBroken as error:
            line.peer_erred(str(error))
            return
        if self.known and max(welcome.lanes, default=0) > max(self._lanes, default=0):
            self._first = line  # lanes only grow: this one is the first to tell of a newer division
        if line is not self._first:
            if told != self.shards or welcome.shard != line.shard:
                line.outdated = True
                self._first.session.begin_again()  # its word counts
        elif not self.known or self._is_other(told, welcome):
            self._adopt(told, welcome)
        else:
            for other in self.lines:
                other.outdated = False
        self._call_openings()

    def ended(self, line: Line, error: StagewheelError) -> None:
        """One line is over for good, and so is the client."""
        if self.error is not None:
            return
        self.error = error
        for other in self.lines:
            if other is not line:
                other.fail(error, saying(error))
        for feed in self._feeds:
            feed.fail(error)
        askings, self._askings = self._askings, []
        for asking in askings:
            asking.fail(error)
        self._call_openings()

    def look_elsewhere(self) -> None:
        """Nobody is at the address that we tried: the next one, if no server is known yet."""
        if self.known or self.error is not None or len(self._addresses) == 1:
            return
        self._addresses.rotate(-1)
        old, self._first = self._first, self._line(self._addresses[0])
        for ticket, _, commands in old.session.recall():
            self._first.session.submit(commands, ticket.wait_applied, ticket)
        self.lines, self._by_shard = [self._first], {0: self._first}

    # ---- shards ----

    def _line(self, address: str) -> Line:
        software = f"stagewheel {__version__}"
        return Line(address, ClientSession(self._producer, self._instance, self._role, software), self)

    def _is_other(self, told: ShardMap | None, welcome: m.Welcome) -> bool:
        """Does the first line tell of another division than we know, or of other addresses?"""
        if told != self.shards or tuple(welcome.lanes) != self._lanes:
            return True
        return told is not None and self._by_shard.get(welcome.shard) is not self._first

    def _adopt(self, shards: ShardMap | None, welcome: m.Welcome) -> None:
        """There are these shards from now on."""
        lanes, first = tuple(welcome.lanes), welcome.shard
        waiting: list[Waiting] = []
        if self.known and lanes != self._lanes:
            waiting = [one for line in self.lines for one in line.recall()]
        elif shards is not None:
            waiting = self._first.session.recall()
        self._lanes = lanes
        old = [line for line in self.lines if line is not self._first]
        if self.known:
            self._first.drop_questions(DIVIDED)
            self._first.drop_held(_expired)
        for feed in self._feeds:
            for shard, source in feed.sources.items():
                self._by_shard[shard].unfollow(source)
        self.known, self.shards = True, shards
        self._first.shard = first if shards is not None else 0
        addresses = shards.addresses if shards is not None else (self._first.address,)
        self._by_shard = {
            shard: self._first if shard == self._first.shard else self._line(address)
            for shard, address in enumerate(addresses)
        }
        for shard, line in self._by_shard.items():
            line.shard = shard
        self.lines = [self._first, *(line for line in self._by_shard.values() if line is not self._first)]
        for line in old:
            line.fail(DIVIDED, _expired)
        for whole, left in rests(waiting):
            self._give_again(whole, left)
        for feed in self._feeds:
            self._follow(feed)
        askings, self._askings = self._askings, []
        for asking in askings:
            if not asking.over:
                try:
                    asking.ask()
                except StagewheelError as error:
                    asking.fail(error)

    def _give_again(self, whole: Whole, left: dict[int, Raw]) -> None:
        """What was given before these shards were known, by its place in the batch."""
        whole.keep(left)
        places, encoded = list(left), list(left.values())
        if self.shards is None:
            self._give_all([undivided(whole, encoded, places)])
        else:
            commands = [decode_command(one) for one in encoded]
            self._give_all(divide(whole, commands, encoded, self.shards, places))

    def _follow(self, feed: Feed) -> None:
        shards = self.shards
        if shards is None:
            welcome = self._first.session.welcome
            lanes = tuple(welcome.lanes) if welcome is not None and welcome.lanes else (0,)
            sources = feed.begin((0,), lanes)
        else:
            of_item = (shards.of_key(feed.item),) if feed.item else range(shards.count)
            sources = feed.begin(of_item, shards.lanes)
        for shard, source in sources.items():
            self._by_shard[shard].follow(source)

    # ---- batches of several shards ----

    def _divided(
        self, whole: Whole, commands: Sequence[m.AnyCommand], encoded: Sequence[Raw]
    ) -> SubmitTicket:
        assert self.shards is not None
        self._first.session.raise_if_silent()
        shares = divide(whole, commands, encoded, self.shards)
        counts: Counter[Line] = Counter()
        for share in shares:
            counts[self._by_shard[share.shard]] += len(share.commands)
        for line, count in counts.items():
            if line.kept + count > COMMANDS_KEPT_MAX:
                raise TooMuchOutstanding(
                    f"{line.kept} commands for shard {line.shard} wait for their end, {COMMANDS_KEPT_MAX} is "
                    f"the most a client keeps for one; wait for results before giving {count} more"
                )
        self._give_all(shares)
        return whole

    def _give_all(self, shares: list[Share]) -> None:
        for share in shares:
            share.part.on_settled.append(partial(self._settled, share))
        for share in shares:
            self._give(share)

    def _give(self, share: Share) -> None:
        """To its line, or behind what waits there."""
        line = self._by_shard[share.shard]
        if line.held or (share.behind is not None and not share.behind.settled):
            line.held.append(share)
        else:
            self._send(line, share)

    def _send(self, line: Line, share: Share) -> None:
        try:
            line.session.submit(share.commands, share.part.wait_applied, share.part)
        except StagewheelError as error:  # the line is over, or full of what is asked for at every shard
            share.part.error = error
            call(share.part.on_settled)

    def _settled(self, share: Share) -> None:
        if share.others and share.part.error is None and _is_elsewhere(share.part):
            self._try_next(share)
            return
        whole = share.part.whole
        if whole.took(share.part):
            if whole.error is not None:
                self._withdraw(whole)
            call(whole.on_settled)
        self._release()

    def _try_next(self, share: Share) -> None:
        """The number is not known there: the next one is asked."""
        whole, old = share.part.whole, share.part
        part = Part(whole, old.places, old.wait_applied)
        part.results, part.open, part.unsent = [None], 1, 1
        whole.parts[whole.parts.index(old)] = part
        again = Share(share.others[0], part, share.places, share.commands, None, share.others[1:])
        part.on_settled.append(partial(self._settled, again))
        self._give(again)

    def _withdraw(self, whole: Whole) -> None:
        """Its other parts: what was not sent never is."""
        error = whole.error
        assert error is not None
        for line in self.lines:
            kept = [share for share in line.held if share.part.whole is not whole]
            line.held.clear()
            line.held.extend(kept)
            for part in whole.parts:
                line.session.withdraw(part, lambda _: error)

    def _release(self) -> None:
        """Give what waited for others to know."""
        for line in self.lines:
            while line.held and self.error is None:
                behind = line.held[0].behind
                if behind is not None and not behind.settled:
                    break
                self._send(line, line.held.popleft())

    # ---- inside ----

    def raise_if_ended(self) -> None:
        """Raises why the client is over."""
        if self.error is not None:
            raise self.error

    def _call_openings(self) -> None:
        settled = [opening for opening in self._openings if opening.settled]
        self._openings = [opening for opening in self._openings if opening not in settled]
        for opening in settled:
            call(opening.on_settled)


def _is_elsewhere(part: Part) -> bool:
    result = part.results[0]
    return isinstance(result, m.Failed) and result.code in NOT_HERE


def _expired(fate: str) -> StagewheelError:
    return Expired(f"{DIVIDED_ANEW}; {fate}")
