"""Reference data of a shard: ruleset versions and employees, as rows and as `Facts`.

Laws: what is not committed is not reference data: after a failed turn everything is read again. An old
version is compiled when the first item that keeps it is loaded. A version is stored first and activated
after, in one turn or in two (a draft); its number says when it was stored, not whether it was the last to
become active. What leaves an outbox or a dead letter with an old version goes through `need`, so that whoever
looks for versions that nobody uses (`retention.py`) does not overlook what moves meanwhile.
"""

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct

from stagewheel.errors import RuleError
from stagewheel.protocol.commands import PutEmployee, PutRuleset
from stagewheel.protocol.messages import Applied, Employee, Failed, Published
from stagewheel.server.core.facts import Facts
from stagewheel.server.core.hours import refuse_employee
from stagewheel.server.core.item import Item
from stagewheel.server.core.plan import Version
from stagewheel.server.store.base import Batch, Reads
from stagewheel.server.store.keys import read_u64, u64
from stagewheel.server.store.tables import Table

ACTIVE_KEY = b"active"
PAGE_ROWS = 1000

Compile = Callable[[dict[str, str], int], tuple[Version, list[Any]]]
"""`rules.compile.compile_ruleset`: (files, version number) -> (plans, warnings); raises RulesetInvalid."""


class StoredVersion(Struct, array_like=True):
    """A row of RULESETS; the texts stand in RULESET_FILES."""

    number: int
    ruleset: str
    at_ms: int
    note: str
    by: int = 0
    activated_ms: int = 0  # when it last became active; 0: it never was


_encode = msgspec.msgpack.Encoder().encode
decode_version = msgspec.msgpack.Decoder(StoredVersion).decode
decode_files = msgspec.msgpack.Decoder(dict[str, str]).decode
_decode_employee = msgspec.msgpack.Decoder(Employee).decode
_decode_active = msgspec.msgpack.Decoder(dict[str, int]).decode


class Reference:
    """Reads, keeps and changes reference data; `facts` is what decisions see of it."""

    def __init__(self, compile_ruleset: Compile, compile_new: Compile | None = None) -> None:
        self._compile = compile_ruleset
        self._compile_new = compile_new or compile_ruleset  # which knows what the server is configured for
        self.facts = Facts({}, {}, {})
        self.active: dict[str, int] = {}  # ruleset -> its active version
        self.used: set[int] | None = None  # numbers that were needed since somebody began to look (retention)

    def load(self, reads: Reads) -> None:
        """Employees, turns, and the active version of every ruleset. Versions compiled before stay: they
        never change.
        """
        facts = Facts(self.facts.versions, {}, {}, turns={})
        start = b""
        while rows := reads.range(Table.EMPLOYEES, start, None, PAGE_ROWS):
            for _, value in rows:
                employee = _decode_employee(value)
                facts.employees[employee.id] = employee
            start = rows[-1][0] + b"\x00"
        start = b""
        while rows := reads.range(Table.TURNS, start, None, PAGE_ROWS):
            facts.turns.update((key.decode(), read_u64(value)) for key, value in rows)
            start = rows[-1][0] + b"\x00"
        self.facts = facts
        row = reads.get(Table.META, ACTIVE_KEY)
        self.active = _decode_active(row) if row is not None else {}
        for number in self.active.values():
            self._activate(self.need(reads, number))

    def need(self, reads: Reads, number: int) -> Version:
        """The version with this number, compiled now if it was not."""
        if self.used is not None:
            self.used.add(number)
        version = self.facts.versions.get(number)
        if version is None:
            version = self.facts.versions[number] = self.compiled(reads, number)
        return version

    def need_of(self, reads: Reads, item: Item) -> None:
        """The versions that an item refers to."""
        self.need(reads, item.version)
        if item.more is not None:
            for instance in item.more.instances:
                self.need(reads, instance.version)

    def has(self, reads: Reads, number: int) -> bool:
        """Is there such a version?"""
        return number > 0 and reads.get(Table.RULESETS, u64(number)) is not None

    def compiled(self, reads: Reads, number: int) -> Version:
        """A stored version, compiled anew."""
        row = reads.get(Table.RULESET_FILES, u64(number))
        assert row is not None, f"ruleset version {number} is referred to and must be stored"
        return self._compile(decode_files(row), number)[0]

    def _activate(self, version: Version) -> None:
        active = self.facts.active
        for pipeline in [p for p, v in active.items() if v.ruleset == version.ruleset]:
            del active[pipeline]
        for pipeline in version.pipelines:
            active[pipeline] = version

    def put_employee(self, batch: Batch, command: PutEmployee) -> Applied | Failed:
        """Add or replace an employee."""
        employee = command.employee
        if employee.id <= 0:
            return Failed("bad_value", "an employee's id is a number above 0")
        wrong = refuse_employee(employee)
        if wrong:
            return Failed("bad_value", wrong)
        batch.put(Table.EMPLOYEES, u64(employee.id), _encode(employee))
        self.facts.employees[employee.id] = employee
        return Applied()

    def put_ruleset(self, batch: Batch, command: PutRuleset, number: int, now_ms: int) -> Published | Failed:
        """Store a version, and make it active unless it is a draft: every mistake is named, and a bad ruleset
        changes nothing.
        """
        try:
            version, warnings = self._compile_new(command.files, number)
        except RuleError as error:
            return Failed("ruleset_invalid", str(error))
        name = version.ruleset
        if command.ruleset and command.ruleset != name:
            return Failed("bad_value", f"the files are of ruleset {name!r}, not {command.ruleset!r}")
        refused = self._refuse_pipelines(version)
        if refused is not None:
            return refused
        stored = StoredVersion(number, name, now_ms, command.note, command.by)
        batch.put(Table.RULESET_FILES, u64(number), _encode({**command.files, **version.generated}))
        batch.put(Table.RULESETS, u64(number), _encode(stored))
        self.facts.versions[number] = version
        if not command.draft:
            self._make_active(batch, stored, version, now_ms)
        return Published(name, number, [str(warning) for warning in warnings])

    def find(self, reads: Reads, ruleset: str, number: int) -> StoredVersion | Failed:
        """A stored version of a ruleset; 0 is the last one before the active one that ever was active."""
        wanted = number or self._before(reads, ruleset)
        row = reads.get(Table.RULESETS, u64(wanted)) if wanted > 0 else None
        stored = decode_version(row) if row is not None else None
        if stored is None or stored.ruleset != ruleset:
            which = f"version {number}" if number else "version before the active one"
            return Failed("unknown_version", f"ruleset {ruleset!r} has no {which} (any more)")
        return stored

    def activate(self, batch: Batch, stored: StoredVersion, version: Version, now_ms: int) -> Failed | None:
        """Make a stored version active, unless its pipelines belong to another ruleset."""
        refused = self._refuse_pipelines(version)
        if refused is None:
            self._make_active(batch, stored, version, now_ms)
        return refused

    def forget(self, batch: Batch, number: int) -> None:
        """Nobody refers to a version any more."""
        batch.delete(Table.RULESETS, u64(number))
        batch.delete(Table.RULESET_FILES, u64(number))
        self.facts.versions.pop(number, None)

    def _make_active(self, batch: Batch, stored: StoredVersion, version: Version, now_ms: int) -> None:
        stored.activated_ms = now_ms
        batch.put(Table.RULESETS, u64(stored.number), _encode(stored))
        self.active[stored.ruleset] = stored.number
        batch.put(Table.META, ACTIVE_KEY, _encode(self.active))
        self._activate(version)

    def _refuse_pipelines(self, version: Version) -> Failed | None:
        """A pipeline belongs to one ruleset (1.6)."""
        for pipeline in version.pipelines:
            owner = self.facts.active.get(pipeline)
            if owner is not None and owner.ruleset != version.ruleset:
                return Failed("bad_value", f"pipeline {pipeline} belongs to ruleset {owner.ruleset!r} (1.6)")
        return None

    def _before(self, reads: Reads, ruleset: str) -> int:
        """The newest version older than the active one that was active once; 0: there is none."""
        end = u64(self.active.get(ruleset, 0))
        while rows := reads.range(Table.RULESETS, b"", end, PAGE_ROWS, reverse=True):
            for _, value in rows:
                stored = decode_version(value)
                if stored.ruleset == ruleset and stored.activated_ms:
                    return stored.number
            end = rows[-1][0]
        return 0
