"""Mistakes in actions that plan activities, each at its line (E7–E9)."""

import pytest

from stagewheel.server.rules.compile import compile_ruleset
from stagewheel.server.rules.mistakes import RulesetInvalid

RULES = """
ruleset: sales
timezone: Europe/Rome
entities: {deal: {fields: {size: number, meeting: datetime, plan: file}}}
employees: [7]
pipelines:
  deals:
    entity: deal
    stages:
      - id: new
        rules:
          - id: plan
            action:
              ACTION
"""
CALL = "do: plan_activity, kind: call, text: Ring"


@pytest.mark.parametrize(
    ("action", "said"),
    [
        ("do: plan_activity, text: Ring", "kind"),
        ("do: plan_activity, kind: lunch, text: Ring", "kind"),
        ("do: plan_activity, kind: call", "text"),
        ('do: plan_activity, kind: call, text: ""', "'text' is empty"),
        ('do: schedule_call, text: "{{ item.sise }}"', "sise"),
        ("do: schedule_call, kind: call, text: Ring", "kind"),
        ("do: schedule_call, invite: true, text: Ring", "invite"),
        (f"{CALL}, colour: yelow", "did you mean 'yellow'"),
        (f"{CALL}, colour: 'loud'", "it is one of black"),
        (f"{CALL}, calendar: true", "an entry of a calendar needs 'deadline'"),
        (f"{CALL}, room: Blue", "a booking needs 'deadline'"),
        (f"{CALL}, invite: true", "an invitation needs 'deadline'"),
        (f"{CALL}, duration: 1h", "'duration' needs 'deadline'"),
        ("do: schedule_meeting, text: Meet", "a meeting needs 'deadline'"),
        (f"{CALL}, deadline: tomorrow", "a template that gives a date"),
        (f"{CALL}, deadline: {{after: 1wd}}", "needs the company's working time"),
        (f"{CALL}, deadline: {{after: 1d, at: meeting}}", "both 'after' and 'at'"),
        (f"{CALL}, deadline: {{at: size}}", "'size' is number"),
        (f"{CALL}, deadline: {{after: 1d}}, duration: 40d", "31 days"),
        (f"{CALL}, deadline: {{after: 1d}}, duration: 1wh", "a plain length is needed"),
        (f"{CALL}, clients: both", "clients"),
        (f"{CALL}, invited: [8]", "unknown employee 8"),
        (f"{CALL}, invited: boss", "boss"),
        (f"{CALL}, responsible: {{round_robin: []}}", "the list of employees is empty"),
        (f"{CALL}, files: [{{field: plon}}]", "unknown field 'plon'"),
        (f"{CALL}, files: [{{field: size}}]", "'size' is number, not a file"),
        (f"{CALL}, files: [{{}}]", "one of them"),
        (f"{CALL}, files: [{', '.join(['{file: a}'] * 21)}]", "at most 20 files"),
        (f'{CALL}, link: "{{{{ nobody }}}}"', "nobody"),
    ],
)
def test_what_makes_no_sense_is_refused_at_its_place(action: str, said: str) -> None:
    """E7, E8, E9."""
    with pytest.raises(RulesetInvalid) as refused:
        compile_ruleset({"rules.yaml": RULES.replace("ACTION", f"{{{action}}}")}, 1)
    assert all(mistake.line in (13, 14) for mistake in refused.value.mistakes), refused.value
    assert said in str(refused.value)
