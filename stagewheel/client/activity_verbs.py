"""Verbs for activities, calls and meetings. Laws: those of `verbs.py`."""

from collections.abc import Mapping, Sequence
from typing import Any, Unpack

from stagewheel.client.said import Common
from stagewheel.client.verbs import R, Verbs
from stagewheel.protocol import messages as m


class ActivityVerbs(Verbs[R]):
    """What people do with activities. A number is that of `ActivityPut`, the result of planning one."""

    def put_activity(
        self,
        key: str,
        text: str,
        kind: str = "call",
        *,
        deadline_ms: int = 0,
        duration_ms: int = 0,
        responsible: int = 0,
        colour: str = "",
        calendar: bool = False,
        clients: str = "one",
        invited: Sequence[int] = (),
        address: str = "",
        room: str = "",
        link: str = "",
        files: Sequence[Mapping[str, Any]] = (),
        complete_on_leave: bool = True,
        **common: Unpack[Common],
    ) -> R:
        """Plan an activity (call, meeting, other) of an item; a room that is taken is `room_taken`."""
        return self.do(
            m.PutActivity(
                key,
                **common,
                kind=kind,
                text=text,
                deadline_ms=deadline_ms,
                duration_ms=duration_ms,
                responsible=responsible,
                colour=colour,
                calendar=calendar,
                clients=clients,
                invited=list(invited),
                address=address,
                room=room,
                link=link,
                files=[dict(one) for one in files],
                complete_on_leave=complete_on_leave,
            )
        )

    def complete_activity(self, key: str, activity: int, result: str = "", **common: Unpack[Common]) -> R:
        """It took place; `result` says what came of it."""
        return self.do(
            m.UpdateActivity(key, **common, activity=activity, status="completed", result=result or None)
        )

    def cancel_activity(self, key: str, activity: int, **common: Unpack[Common]) -> R:
        """It does not take place: calendars and rooms are free of it."""
        return self.do(m.UpdateActivity(key, **common, activity=activity, status="cancelled"))

    def postpone_activity(self, key: str, activity: int, deadline_ms: int, **common: Unpack[Common]) -> R:
        """Another moment; its room is booked for that."""
        return self.do(m.UpdateActivity(key, **common, activity=activity, deadline_ms=deadline_ms))

    def reopen_activity(self, key: str, activity: int, **common: Unpack[Common]) -> R:
        """It has still to take place."""
        return self.do(m.UpdateActivity(key, **common, activity=activity, status="planned"))
