"""A server of few lines that keeps the protocol's promises: the real admission over dictionaries, no engine.

Rows (`producers`, `answers`, `applied`, `records`) survive `restart`, sessions do not: as with a real server
and its store. Commands are applied by appending their items to `applied`.
"""

from collections import deque

from msgspec import Raw

from stagewheel.protocol import frames, messages as m
from stagewheel.protocol.codec import Message, encode_record
from stagewheel.protocol.errors import FrameError
from stagewheel.protocol.journal import NothingChanged, Record
from stagewheel.server.ingress.admission import (
    AdmissionLimits,
    Admit,
    ProducerState,
    Repeat,
    forgotten,
    judge,
)
from stagewheel.server.ingress.sessions import Sessions

Sent = tuple[bytes, bytes, bytes]


class ReferenceServer:
    """`handle` takes a frame and returns the frames that answer it."""

    def __init__(self, own: AdmissionLimits | None = None) -> None:
        self.own = own or AdmissionLimits()
        self.producers: dict[bytes, ProducerState] = {}
        self.answers: dict[tuple[bytes, int], m.Answer] = {}
        self.applied: list[tuple[bytes, str]] = []  # (producer, item) in the order of application
        self.records: list[Record] = []  # position 1 is records[0]
        self.paused: deque[tuple[bytes, int, int, m.AnyCommand]] = deque()
        self.pressure: deque[str] = deque()  # codes that refuse the next new Submits
        self.refused: list[str] = []
        self.pages = 3
        self.restart()

    def restart(self) -> None:
        """The process ends and begins again."""
        self.sessions = Sessions(admission=self.own)
        self.subscribed: dict[tuple[bytes, int], m.Subscribe] = {}

    def handle(self, route: bytes, header: bytes, payload: bytes, now_ms: int = 0) -> list[Sent]:
        try:
            message = frames.decode(header, payload, self.own.frame_bytes_max)
        except FrameError as error:
            return self._send(route, m.Refused(error.code, str(error)))
        if isinstance(message, m.Hello):
            return self._hello(route, message, now_ms)
        if isinstance(message, m.Submit):
            return self._submit(route, message, len(payload), now_ms)
        if self.sessions.get(route, now_ms) is None:
            query = message.id if isinstance(message, m.Query | m.Subscribe | m.Credit) else -1
            return self._send(route, m.Refused("hello_first", "no session", query=query))
        if isinstance(message, m.Query):
            return self._send(route, self._reply(message))
        if isinstance(message, m.Subscribe):
            self.subscribed[route, message.id] = message
        elif isinstance(message, m.Credit):
            if (route, message.id) not in self.subscribed:
                return self._send(route, m.Refused("unknown_subscription", query=message.id))
            self.subscribed[route, message.id].credit += message.credit
        elif isinstance(message, m.Unsubscribe):
            self.subscribed.pop((route, message.id), None)
        return self._publish()

    def resume(self) -> list[Sent]:
        """Apply what was accepted for paused items (those whose key ends in `!`)."""
        sent: list[Sent] = []
        while self.paused:
            producer, seq, index, command = self.paused.popleft()
            result = self._apply(producer, command)
            answer = self.answers.get((producer, seq))
            if answer is not None:
                answer.results[index] = result
            route = self.sessions.route_of(producer)
            if route is not None:
                sent += self._send(route, m.Completed(seq, index, result))
        return sent + self._publish()

    def _hello(self, route: bytes, hello: m.Hello, now_ms: int) -> list[Sent]:
        opened = self.sessions.hello(route, hello, self.producers.get(hello.producer), now_ms, ["here"])
        if isinstance(opened, m.Refused):
            return self._send(route, opened)
        welcome, state = opened
        if state is not None:
            self.producers[hello.producer] = state
        return self._send(route, welcome)

    def _submit(self, route: bytes, submit: m.Submit, size: int, now_ms: int) -> list[Sent]:
        session = self.sessions.get(route, now_ms)
        producer = session.producer if session is not None else b""
        verdict = judge(
            self.producers.get(producer),
            session,
            submit,
            size,
            now_ms,
            self.own,
            self.pressure[0] if self.pressure else "",
        )
        if isinstance(verdict, Repeat):
            return self._send(route, self.answers.get((producer, verdict.seq)) or forgotten(verdict.seq))
        if not isinstance(verdict, Admit):
            if self.pressure and verdict.code == self.pressure[0]:
                self.pressure.popleft()
            return self._send(route, verdict)
        self.producers[producer] = verdict.state
        for key in [k for k in self.answers if k[0] == producer and k[1] < verdict.trim_below]:
            del self.answers[key]
        answer = m.Answer(submit.seq, [])
        for index, command in enumerate(submit.commands):
            if command.item.endswith("!"):
                self.paused.append((producer, submit.seq, index, command))
                answer.results.append(m.Accepted())
            else:
                answer.results.append(self._apply(producer, command))
        self.answers[producer, submit.seq] = answer
        return self._send(route, answer) + self._publish()

    def _apply(self, producer: bytes, command: m.AnyCommand) -> m.Result:
        if command.item.startswith("?"):
            return m.Failed("unknown_item", "no item has this key")
        self.applied.append((producer, command.item))
        self.records.append(
            Record(command.item, 0, command.at_ms, "sales", 1, type(command).__name__, [NothingChanged()])
        )
        return m.Applied(len(self.records))

    def _reply(self, query: m.Query) -> m.Reply | m.Refused:
        asked = query.query
        if isinstance(asked, m.StageQuery):
            start = int(asked.cursor or b"0")
            rows = [record.item for record in self.records][start : start + self.pages]
            end = start + len(rows)
            return m.Reply(query.id, rows, str(end).encode() if end < len(self.records) else b"")
        if isinstance(asked, m.TimelineQuery):
            found = [(p, r) for p, r in enumerate(self.records, 1) if r.item == asked.item]
            older = [row for row in reversed(found) if not asked.before or row[0] < asked.before]
            page = older[: min(asked.limit, self.pages)]
            return m.Reply(query.id, list(page), b"more" if len(older) > len(page) else b"")
        if isinstance(asked, m.StatisticsQuery):
            return m.Reply(query.id, [{"applied": len(self.applied)}])
        if isinstance(asked, m.ItemQuery):
            return m.Reply(query.id, [self._view(asked.item)] if asked.item in self._keys() else [])
        return m.Refused("bad_query", "the reference server does not know this", query=query.id)

    def _keys(self) -> set[str]:
        return {record.item for record in self.records}

    def _view(self, key: str) -> m.ItemView:
        waiting = [m.WaitingView(1, "welcome", "waiting", 5000)]
        return m.ItemView(
            *(key, "lead", "sales", "NEW", 1, 0, 1, "A lead", 7, {"amount": 5}, None, "", [], "", "", 0, 0),
            waiting=waiting,
            mailbox=0,
            head=len(self.records),
        )

    def _publish(self) -> list[Sent]:
        sent: list[Sent] = []
        for (route, _), one in self.subscribed.items():
            rows: list[tuple[int, Raw]] = []
            while one.credit > 0 and one.cursor < len(self.records):
                record = self.records[one.cursor]
                one.cursor += 1
                if one.item in ("", record.item):
                    one.credit -= 1
                    rows.append((one.cursor, Raw(encode_record(record))))
            if rows:
                sent += self._send(route, m.Journal(one.id, one.cursor, rows))
        return sent

    def _send(self, route: bytes, message: Message) -> list[Sent]:
        if isinstance(message, m.Refused):
            self.refused.append(message.code)
        return [(route, *frames.encode(message))]
