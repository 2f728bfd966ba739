"""Reference data of a shard: ruleset versions and employees, as rows and as `Facts`.

Laws: what is not committed is not reference data: after a failed turn everything is read again. An old
version is compiled when the first item that keeps it is loaded.
"""

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct

from stagewheel.errors import RuleError
from stagewheel.protocol.commands import PutEmployee, PutRuleset
from stagewheel.protocol.messages import Applied, Employee, Failed, Published
from stagewheel.server.core.facts import Facts
from stagewheel.server.core.plan import Version
from stagewheel.server.store.base import Batch, Reads
from stagewheel.server.store.keys import u64
from stagewheel.server.store.tables import Table

ACTIVE_KEY = b"active"
PAGE_ROWS = 1000

Compile = Callable[[dict[str, str], int], tuple[Version, list[Any]]]
"""`rules.compile.compile_ruleset`: (files, version number) -> (plans, warnings); raises RulesetInvalid."""


class StoredVersion(Struct, array_like=True):
    """A row of RULESETS."""

    number: int
    ruleset: str
    at_ms: int
    note: str
    files: dict[str, str]


_encode = msgspec.msgpack.Encoder().encode
decode_version = msgspec.msgpack.Decoder(StoredVersion).decode
_decode_employee = msgspec.msgpack.Decoder(Employee).decode
_decode_active = msgspec.msgpack.Decoder(dict[str, int]).decode


class Reference:
    """Reads, keeps and changes reference data; `facts` is what decisions see of it."""

    def __init__(self, compile_ruleset: Compile) -> None:
        self._compile = compile_ruleset
        self.facts = Facts({}, {}, {})
        self.active: dict[str, int] = {}  # ruleset -> its active version

    def load(self, reads: Reads) -> None:
        """Employees, and the active version of every ruleset. Versions compiled before stay: they never
        change.
        """
        facts = Facts(self.facts.versions, {}, {})
        start = b""
        while rows := reads.range(Table.EMPLOYEES, start, None, PAGE_ROWS):
            for _, value in rows:
                employee = _decode_employee(value)
                facts.employees[employee.id] = employee
            start = rows[-1][0] + b"\x00"
        self.facts = facts
        row = reads.get(Table.META, ACTIVE_KEY)
        self.active = _decode_active(row) if row is not None else {}
        for number in self.active.values():
            self._activate(self.need(reads, number))

    def need(self, reads: Reads, number: int) -> Version:
        """The version with this number, compiled now if it was not."""
        version = self.facts.versions.get(number)
        if version is None:
            row = reads.get(Table.RULESETS, u64(number))
            assert row is not None, f"ruleset version {number} is referred to and must be stored"
            version, _ = self._compile(decode_version(row).files, number)
            self.facts.versions[number] = version
        return version

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
        batch.put(Table.EMPLOYEES, u64(employee.id), _encode(employee))
        self.facts.employees[employee.id] = employee
        return Applied()

    def put_ruleset(self, batch: Batch, command: PutRuleset, number: int, now_ms: int) -> Published | Failed:
        """Publish a version: every mistake is named, and a bad ruleset changes nothing."""
        try:
            version, warnings = self._compile(command.files, number)
        except RuleError as error:
            return Failed("ruleset_invalid", str(error))
        name = version.ruleset
        if command.ruleset and command.ruleset != name:
            return Failed("bad_value", f"the files are of ruleset {name!r}, not {command.ruleset!r}")
        for pipeline in version.pipelines:
            owner = self.facts.active.get(pipeline)
            if owner is not None and owner.ruleset != name:
                return Failed("bad_value", f"pipeline {pipeline} belongs to ruleset {owner.ruleset!r} (1.6)")
        stored = StoredVersion(number, name, now_ms, command.note, command.files)
        batch.put(Table.RULESETS, u64(number), _encode(stored))
        self.active[name] = number
        batch.put(Table.META, ACTIVE_KEY, _encode(self.active))
        self.facts.versions[number] = version
        self._activate(version)
        return Published(name, number, [str(warning) for warning in warnings])
