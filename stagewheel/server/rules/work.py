"""What the parts of the compiler share while one ruleset is compiled."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from stagewheel.protocol.messages import ActionSpec
from stagewheel.server.core.plan import EntityPlan, TimePlan
from stagewheel.server.core.plan_actions import ActionPlan, CapPlan, Text
from stagewheel.server.core.plan_steps import WorkflowPlan
from stagewheel.server.rules.channels_doc import PROVIDER_NAME
from stagewheel.server.rules.fields import CLIENT_ENTITIES, EMPLOYEE_ENTITY, kinds_of, kinds_of_all
from stagewheel.server.rules.merge import Placed
from stagewheel.server.rules.mistakes import Log, Place, nearest
from stagewheel.server.rules.names import CLIENT_KINDS, EMPLOYEE_KINDS, Kind, Names
from stagewheel.server.rules.templates import Templates


class Shape(Struct, frozen=True):
    """A pipeline as far as others refer to it."""

    entity: str
    stages: tuple[str, ...]


class Called(Struct, frozen=True):
    """A workflow as far as others refer to it: its pipeline, and the variables that it knows."""

    pipeline: str
    vars: frozenset[str]


class Work:
    """The log, the templates, what is declared, and the actions made so far."""

    def __init__(
        self,
        log: Log,
        templates: Templates,
        entities: Mapping[str, EntityPlan],
        pipelines: Mapping[str, Shape],
    ) -> None:
        self.log = log
        self.templates = templates
        self.entities = entities
        self.pipelines = pipelines
        self.actions: list[ActionPlan] = []
        self.workflows: Mapping[str, Called] = {}
        self.files: set[str] = set()  # ids of stored files that actions name
        self.steps: dict[str, WorkflowPlan] = {}  # of the rules that hold steps
        self.times: Mapping[str, TimePlan] = {}  # by pipeline
        self.employees: frozenset[int] | None = None  # whom the rules may name; None: anybody
        self.providers: Mapping[str, list[str]] | None = None  # by channel; None: as the server has them
        self.app_actions: Mapping[str, ActionSpec] = {}  # that the ruleset declares
        self.served: Mapping[str, Sequence[str]] | None = None  # of a server (check_served)
        self.link: Placed | None = None  # template of an item's address
        self._links: dict[str, Text] = {}  # by entity
        self.caps: Mapping[str, Mapping[str, CapPlan | None]] = {}  # by pipeline, then channel
        self.caps_of_rule: Mapping[str, CapPlan | None] | None = None  # while a rule is compiled
        self.hours_of_rule: tuple[str, ...] = ()  # while the action of a rule is compiled
        self._client = {**kinds_of_all(entities, CLIENT_ENTITIES), **CLIENT_KINDS}
        self._client_extra = any(entities[e].extra for e in CLIENT_ENTITIES if e in entities)
        self._contact, self._contact_extra = self._of_client("contact")
        self._company, self._company_extra = self._of_client("company")
        employee = entities.get(EMPLOYEE_ENTITY)
        self._employee = {**kinds_of(employee), **EMPLOYEE_KINDS}
        self._employee_extra = employee is not None and employee.extra

    def names(self, entity: str, variables: Mapping[str, Kind] | None = None) -> Names:
        """The names at a place that sees items of an entity."""
        plan = self.entities.get(entity) or EntityPlan(id=entity, fields={}, extra=False, defaults={})
        return Names(
            entity=plan,
            client=self._client,
            client_extra=self._client_extra,
            employee=self._employee,
            employee_extra=self._employee_extra,
            variables=variables,
            contact=self._contact,
            contact_extra=self._contact_extra,
            company=self._company,
            company_extra=self._company_extra,
        )

    def _of_client(self, id_: str) -> tuple[Mapping[str, Kind], bool]:
        entity = self.entities.get(id_)
        return {**kinds_of(entity), **CLIENT_KINDS}, entity is not None and entity.extra

    def add(self, action: ActionPlan) -> ActionPlan:
        """Number an action: its place in the version."""
        action.index = len(self.actions)
        self.actions.append(action)
        return action

    def cap(self, pipeline: str, channel: str) -> CapPlan | None:
        """The cap on what goes to the client, at the place that is compiled (8.5)."""
        caps = self.caps.get(pipeline, {}) if self.caps_of_rule is None else self.caps_of_rule
        return caps.get(channel)

    def check_employees(self, raw: Any, place: Place) -> None:
        """A mistake for each employee by number whom `employees:` of the ruleset does not name, if it names
        any.
        """
        if self.employees is None:
            return
        for number, one in enumerate(raw if isinstance(raw, list) else [raw]):
            if isinstance(one, bool) or not str(one).isdecimal() or int(one) in self.employees:
                continue
            known = ", ".join(map(str, sorted(self.employees))) or "nobody"
            at = place / number if isinstance(raw, list) else place
            self.log.mistake(at, f"unknown employee {one}; 'employees:' names {known}")

    def check_provider(self, channel: str, name: str, place: Place) -> None:
        """A mistake if the ruleset says which providers a channel has, and this is none of them."""
        if name and not PROVIDER_NAME.fullmatch(name):
            self.log.mistake(place, "a provider's name has letters, digits, '-' and '_', at most 64")
        known = self.providers.get(channel, []) if self.providers is not None else None
        if name and known is not None and name not in known:
            hint = nearest(name, known) or f"; 'providers:' names {', '.join(known) or 'none'}"
            self.log.mistake(place, f"unknown provider '{name}' of channel {channel}{hint}")

    def check_served(self, channel: str, name: str, place: Place, key: str = "provider") -> None:
        """A mistake if the server that the ruleset is for has no such provider, or none for the channel."""
        known = self.served.get(channel) if self.served is not None else None
        if known is None:
            return
        if not known:
            section = f"[channels.{channel}.providers.NAME]"
            self.log.mistake(place, f"the server has no provider for channel {channel}; configure {section}")
        elif name and name not in known:
            hint = (
                nearest(name, known) or f"; its configuration has {', '.join(filter(None, known)) or 'none'}"
            )
            self.log.mistake(place / key, f"the server's channel {channel} has no provider '{name}'{hint}")

    def link_of(self, entity: str) -> Text | None:
        """The address of an item of this entity, if the ruleset says what it looks like."""
        if self.link is None:
            return None
        if entity not in self._links:
            made = self.templates.text(self.link.doc, self.link.place, self.names(entity))
            self._links[entity] = made
        return self._links[entity]

    def check_stage(self, pipeline: str, stage: str, place: Place) -> None:
        """A mistake if the pipeline has no such stage."""
        shape = self.pipelines.get(pipeline)
        if shape is not None and stage not in shape.stages:
            hint = nearest(stage, shape.stages) or f"; its stages are {', '.join(shape.stages)}"
            self.log.mistake(place, f"pipeline '{pipeline}' has no stage '{stage}'{hint}")

    def check_pipeline(self, pipeline: str, place: Place) -> bool:
        """A mistake if there is no such pipeline."""
        if pipeline in self.pipelines:
            return True
        hint = nearest(pipeline, self.pipelines) or f"; there are {', '.join(self.pipelines) or 'none'}"
        self.log.mistake(place, f"there is no pipeline '{pipeline}'{hint}")
        return False


def without(doc: dict[str, Any], keys: frozenset[str]) -> dict[str, Any]:
    """A mapping without some of its keys."""
    return {key: value for key, value in doc.items() if key not in keys}
