"""One method for each command, the same in all three shells: `R` is a result, or what is awaited for one.

Laws: a method here sends one command and waits for its result; a `Failed` becomes `CommandFailed`. Who sends
many uses `submit` or `send` with the commands themselves, where `Failed` is a value among the others.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar, Unpack

from stagewheel.client.said import Common as Common, TaskChanges, TaskValues
from stagewheel.protocol import messages as m

R = TypeVar("R", covariant=True)


class Verbs(Generic[R]):
    """Commands on items and on reference data."""

    @abstractmethod
    def do(self, command: m.AnyCommand) -> R:
        """Send one command and wait for its result; raises `CommandFailed` and the errors of `submit`."""

    def create_item(
        self,
        key: str,
        pipeline: str,
        stage: str = "",
        *,
        title: str = "",
        fields: Mapping[str, Any] | None = None,
        client: m.Client | None = None,
        responsible: int = 0,
        source: str = "",
        timezone: str = "",
        automation: bool = True,
        entered_at_ms: int = 0,
        company: m.Client | None = None,
        imported: bool = False,
        repeat: Mapping[str, tuple[int, int]] | None = None,
        **common: Unpack[Common],
    ) -> R:
        """Create an item in a stage (empty: the pipeline's first), which begins its first entry.

        `imported`: moments of this entry that have passed skip their rules, unless these say otherwise.
        `repeat`: what its rules did elsewhere, rule id -> (how often, when last in ms).
        """
        return self.do(
            m.CreateItem(
                key,
                **common,
                pipeline=pipeline,
                stage=stage,
                title=title,
                fields=dict(fields or {}),
                client=client,
                responsible=responsible,
                source=source,
                timezone=timezone,
                automation=automation,
                entered_at_ms=entered_at_ms,
                company=company,
                imported=imported,
                repeat=dict(repeat or {}),
            )
        )

    def update_item(
        self,
        key: str,
        fields: Mapping[str, Any] | None = None,
        *,
        title: str | None = None,
        responsible: int | None = None,
        client: m.Client | None = None,
        company: m.Client | None = None,
        **common: Unpack[Common],
    ) -> R:
        """Change fields and built-in values; what is None stays."""
        return self.do(
            m.UpdateItem(
                key,
                **common,
                fields=dict(fields or {}),
                title=title,
                responsible=responsible,
                client=client,
                company=company,
            )
        )

    def change_stage(
        self,
        key: str,
        stage: str,
        fields: Mapping[str, Any] | None = None,
        *,
        restart: bool = False,
        pipeline: str = "",
        **common: Unpack[Common],
    ) -> R:
        """Move an item to a stage, with new field values on the way."""
        return self.do(
            m.ChangeStage(
                key, **common, stage=stage, fields=dict(fields or {}), restart=restart, pipeline=pipeline
            )
        )

    def raise_event(
        self,
        key: str,
        type: str = "app",
        code: str = "",
        payload: Mapping[str, Any] | None = None,
        **common: Unpack[Common],
    ) -> R:
        """Something happened; the result tells whether a trigger moved the item (`Moved`, `NotMoved`)."""
        return self.do(m.RaiseEvent(key, **common, type=type, code=code, payload=dict(payload or {})))

    def delete_item(self, key: str, *, erase: bool = False, **common: Unpack[Common]) -> R:
        """Delete an item; what waits for it is cancelled. `erase` removes its personal data as well."""
        return self.do(m.DeleteItem(key, **common, erase=erase))

    def erase_client(self, key: str, **common: Unpack[Common]) -> R:
        """Remove the personal data of a contact or company, and of all its items."""
        return self.do(m.EraseClient(key, **common))

    def alias_item(self, key: str, alias: str, **common: Unpack[Common]) -> R:
        """Let an item, contact or company be named by the CRM's own id as well."""
        return self.do(m.AliasItem(key, **common, alias=alias))

    def start_workflow(
        self, key: str, workflow: str, vars: Mapping[str, Any] | None = None, **common: Unpack[Common]
    ) -> R:
        """Start a workflow by hand."""
        return self.do(m.StartWorkflow(key, **common, workflow=workflow, vars=dict(vars or {})))

    def try_rule(self, key: str, rule: str, to: str, **common: Unpack[Common]) -> R:
        """Send the message of a rule, as it would be now, to `to`, marked as a test; the item's timeline
        (`RuleTried`) tells what became of it.
        """
        return self.do(m.TryRule(key, **common, rule=rule, to=to))

    def pause(self, key: str, *, stage: str = "", **common: Unpack[Common]) -> R:
        """Let the item's messages wait in its mailbox, or the steps of one stage of it where they are."""
        return self.do(m.HoldItem(key, **common, mode="pause", stage=stage))

    def resume(self, key: str, *, restart: bool = False, stage: str = "", **common: Unpack[Common]) -> R:
        """End a pause or a stop; `restart` begins a new entry."""
        return self.do(m.HoldItem(key, **common, mode="resume", restart=restart, stage=stage))

    def stop(self, key: str, *, stage: str = "", **common: Unpack[Common]) -> R:
        """Stop the item's automation, or that of one stage of it: its waiting steps are cancelled."""
        return self.do(m.HoldItem(key, **common, mode="stop", stage=stage))

    def hold(
        self,
        kind: str,
        target: str,
        mode: str,
        *,
        ruleset: str = "",
        restart: bool = False,
        **common: Unpack[Common],
    ) -> R:
        """Pause, stop or resume (`mode`) a rule or a pipeline (`kind`) for all items."""
        return self.do(
            m.Hold("", **common, kind=kind, target=target, mode=mode, ruleset=ruleset, restart=restart)
        )

    def reply_stream(
        self, key: str, message: int, text: str, *, to: Sequence[int] = (), **common: Unpack[Common]
    ) -> R:
        """Answer a message of the item's activity stream; without `to`, all whom that message concerns."""
        return self.do(m.ReplyStream(key, **common, message=message, text=text, to=list(to)))

    def write_chat(
        self,
        key: str,
        text: str,
        *,
        files: Sequence[str] = (),
        hidden: bool = False,
        provider: str = "",
        **common: Unpack[Common],
    ) -> R:
        """Write to the client in the item's chat; `files` are ids of stored files, `hidden` keeps it among
        employees.
        """
        return self.do(
            m.SendChat(key, **common, text=text, files=list(files), hidden=hidden, provider=provider)
        )

    def suppress(
        self,
        channel: str,
        address: str,
        kind: str = "unsubscribed",
        *,
        item: str = "",
        reason: str = "",
        **common: Unpack[Common],
    ) -> R:
        """Write nothing of a channel to this address any more: unsubscribed | complained | bounced. `item` is
        where that was said.
        """
        return self.do(m.Suppress(item, **common, channel=channel, address=address, kind=kind, reason=reason))

    def unsuppress(
        self, channel: str, address: str, kind: str = "", *, item: str = "", **common: Unpack[Common]
    ) -> R:
        """The address may be written to again; with `kind`, only that one is taken back."""
        return self.do(m.Unsuppress(item, **common, channel=channel, address=address, kind=kind))

    def put_task(self, key: str, name: str, *, task: int = 0, **values: Unpack[TaskValues]) -> R:
        """Create a task of an item; or replace the one that `task` (its number) or `ref` names."""
        return self.do(m.PutTask(key, task=task, name=name, **values))

    def update_task(self, key: str, task: int | str, **changes: Unpack[TaskChanges]) -> R:
        """Change a task of an item, named by its number, or by its ref. A new status is an event of the item;
        the result says whether it moved (`Moved`, `NotMoved`).
        """
        number, ref = (task, "") if isinstance(task, int) else (0, task)
        return self.do(m.UpdateTask(key, task=number, ref=ref, **changes))

    def settle_poison(self, number: int, *, retry: bool = False, **common: Unpack[Common]) -> R:
        """Decide a message once more that was put aside as poison, or forget it."""
        return self.do(m.SettlePoison("", **common, number=number, retry=retry))

    def put_client(self, key: str, client: m.Client, *, company: str = "", **common: Unpack[Common]) -> R:
        """Create or replace a contact or company; the items linked to it follow. `company` is the key of a
        contact's company.
        """
        return self.do(m.PutClient(key, **common, client=client, company=company))

    def put_employee(self, employee: m.Employee, **common: Unpack[Common]) -> R:
        """Add or replace an employee."""
        return self.do(m.PutEmployee("", **common, employee=employee))

    def put_ruleset(
        self,
        ruleset: str,
        files: Mapping[str, str],
        note: str = "",
        *,
        draft: bool = False,
        **common: Unpack[Common],
    ) -> R:
        """Publish a new version of a ruleset; `files` maps relative paths to texts. The result is
        `Published`. A draft is stored and not active.
        """
        files = dict(files)
        return self.do(m.PutRuleset("", **common, ruleset=ruleset, files=files, note=note, draft=draft))

    def activate_version(
        self,
        ruleset: str,
        version: int = 0,
        *,
        enrol: str = "",
        from_entry: bool = False,
        moves: Sequence[m.StageMove] = (),
        **common: Unpack[Common],
    ) -> R:
        """Make a stored version active; 0: the one before the active one. `enrol` (new, restart) and `moves`
        say what becomes of items that sit in a stage; the result, `Published`, has the enrolment's number.
        """
        return self.do(
            m.ActivateVersion(
                "",
                **common,
                ruleset=ruleset,
                version=version,
                enrol=enrol,
                from_entry=from_entry,
                moves=list(moves),
            )
        )

    def enrol_item(
        self, key: str, mode: str = "new", *, from_entry: bool = False, **common: Unpack[Common]
    ) -> R:
        """Let the entry of one item take the active version's rules (mode new), or begin again (restart)."""
        return self.do(m.EnrolItem(key, **common, mode=mode, from_entry=from_entry))

    def stop_enrolment(self, number: int, **common: Unpack[Common]) -> R:
        """End an enrolment before its end."""
        return self.do(m.StopEnrolment("", **common, number=number))

    def drop_file(self, file: str, *, force: bool = False, **common: Unpack[Common]) -> R:
        """Forget a stored file; one that an active ruleset names only with `force`."""
        return self.do(m.DropFile("", **common, file=file, force=force))

    def retry_dead_letter(self, number: int, **common: Unpack[Common]) -> R:
        """Deliver a dead letter again, with the same key."""
        return self.do(m.RetryDeadLetter("", **common, number=number))

    def drop_dead_letter(self, number: int, **common: Unpack[Common]) -> R:
        """Forget a dead letter."""
        return self.do(m.DropDeadLetter("", **common, number=number))

    def advance_clock(self, at_ms: int) -> R:
        """Move a replay clock on; everything due until then happens."""
        return self.do(m.AdvanceClock("", at_ms=at_ms))
