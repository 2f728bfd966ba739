"""Where an action stands, which is all that the compiler of an action needs to know of its surroundings."""

from typing import Any

from stagewheel.server.core.plan_actions import People, Value
from stagewheel.server.rules.mistakes import Place
from stagewheel.server.rules.names import Names
from stagewheel.server.rules.people import compile_people
from stagewheel.server.rules.work import Work


class Where:
    """Where an action stands: its place, the names there, its pipeline, and whether it is a step of a
    workflow.
    """

    __slots__ = ("in_workflow", "names", "pipeline", "place", "work")

    def __init__(self, place: Place, names: Names, pipeline: str, work: Work, *, in_workflow: bool) -> None:
        self.place = place
        self.names = names
        self.pipeline = pipeline
        self.work = work
        self.in_workflow = in_workflow

    def mistake(self, key: str, message: str) -> None:
        """A mistake at a key of the action."""
        self.work.log.mistake(self.place / key if key else self.place, message)

    def value(self, raw: Any, *keys: str) -> Value:
        """A value at a key."""
        place = self.place
        for key in keys:
            place = place / key
        return self.work.templates.value(raw, place, self.names)

    def people(self, raw: Any, key: str = "to", *keys: str) -> People:
        """Recipients at a key."""
        place = self.place / key
        for one in keys:
            place = place / one
        self.work.check_employees(raw, place)
        return compile_people(raw, place, self.names, self.work.templates, self.work.log)
