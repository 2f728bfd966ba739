"""What `check --server` and `apply` say of application actions: those that the ruleset declares, held against
those that the server knows (H8).

Laws: a difference is a warning: jobs wait until somebody registers the action, but one that is registered
with other parameters or results does not do what the rules mean.
"""

from collections.abc import Iterable, Mapping

from stagewheel.cli.actions import shown
from stagewheel.protocol.messages import ActionSpec, ValueSpec


def action_warnings(declared: Iterable[ActionSpec], registered: Mapping[str, ActionSpec]) -> list[str]:
    """A sentence for each action that the server does not know, or knows otherwise."""
    told = []
    for spec in declared:
        known = registered.get(spec.name)
        if known is None:
            told.append(f"application action {spec.name} is not registered on the server; its jobs wait")
            continue
        for what, ours, theirs in (
            ("parameters", spec.parameters, known.parameters),
            ("results", spec.results, known.results),
        ):
            if _plain(ours) != _plain(theirs):
                told.append(
                    f"application action {spec.name} is registered with other {what}: the ruleset declares "
                    f"({shown(ours)}), the server knows ({shown(theirs)})"
                )
    return told


def _plain(values: list[ValueSpec]) -> dict[str, str]:
    """Names and types; whether the rules or the worker ask for a value is their own matter."""
    return {one.name: one.type for one in values}
