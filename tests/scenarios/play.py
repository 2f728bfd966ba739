"""What several tests of scenarios share: a small ruleset, and a scenario written in a few lines."""

from pathlib import Path

from stagewheel.server.scenarios.document import read_scenario
from stagewheel.server.scenarios.runner import Ran, run

RULES = """
ruleset: desk
timezone: Europe/Rome
entities: {ticket: {fields: {urgent: {type: boolean, default: false}, due: datetime}}}
pipelines:
  tickets:
    entity: ticket
    stages:
      - id: open
        rules:
          - id: hello
            action: {do: send_email, subject: "We got {{ item.title }}", body: "Dear {{ client.name }}"}
          - {id: booked, after_previous: true, action: {do: webhook, url: "https://desk.example.com/t",
             json: {key: "{{ item.key }}", status: "{{ previous.status }}"}}}
          - id: nag
            run: {after: 1d}
            when: {urgent: {is: true}}
            action: {do: notify, text: "{{ item.title }}!"}
      - id: closed
        final: success
        triggers: [{id: solved, on: form_submitted, form: solved, when: {trigger.stars: {gte: 3}}}]
        rules: [{id: note, action: {do: add_history, text: closed, created_by: desk}}]
"""
HEAD = """
scenario: a story
ruleset: rules.yaml
at: 2026-03-02T09:00:00+01:00
employees: [{id: 7, name: Rosa, emails: [rosa@example.com]}]
"""
CREATE = (
    "- create: {item: ticket:1, pipeline: tickets, title: Printer, responsible: 7, "
    "client: {name: Ada, emails: [ada@example.com]}}"
)


def write(folder: Path, steps: str, head: str = HEAD, rules: str = RULES) -> Path:
    """A scenario file and its ruleset in a folder."""
    (folder / "rules.yaml").write_text(rules, encoding="utf-8")
    path = folder / "story.yaml"
    path.write_text(f"{head.strip()}\nsteps:\n{steps.strip()}\n", encoding="utf-8")
    return path


def play(folder: Path, steps: str, head: str = HEAD, rules: str = RULES) -> Ran:
    """Write it and run it."""
    return run(read_scenario(write(folder, steps, head, rules)))


def holds(folder: Path, steps: str, head: str = HEAD, rules: str = RULES) -> None:
    """Assert that it holds, with its difference."""
    failure = play(folder, steps, head, rules).failure
    assert failure is None, "\n".join([str(failure), *failure.difference])
