"""What the demo shows in the end: mails by template, why follow-ups were stopped, and one lead's story."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from msgspec import Struct
from rich.console import Console
from rich.markup import escape

from stagewheel.cli import timeline
from stagewheel.cli.demo_sample import TEMPLATES, TOOK_OVER, Lead, differences, expected, template_of
from stagewheel.cli.demo_watch import DAY_MS, Watch
from stagewheel.cli.output import counted, table
from stagewheel.cli.sink import SunkMail
from stagewheel.client.blocking import Client

WRONG_SHOWN_MAX = 20
STOPPED_SHOWN_MAX = 3


class Result(Struct):
    """What came of the run, and what of it is not as the sample demands."""

    leads: Sequence[Lead]
    demanded: Counter[str]
    sent: Counter[str]
    reasons: Counter[str]  # why workflows did not come to their end -> how many
    why: dict[str, str]  # lead -> why its follow-up was stopped
    wrong: list[str]
    fed_s: float
    weeks_s: float
    total_s: float
    days: float

    @classmethod
    def of(cls, leads: Sequence[Lead], mails: list[SunkMail], watch: Watch, total_s: float) -> "Result":
        """Compare what arrived and what the journal says with the sample."""
        stopped = {key: watch.reasons[key] for key, outcome in watch.ended.items() if outcome != "done"}
        why = {key: reason.rpartition(": ")[2] for key, reason in stopped.items()}  # without the address
        return cls(
            leads=leads,
            demanded=expected(list(leads)),
            sent=Counter(template_of(mail) for mail in mails),
            reasons=Counter(why.values()),
            why=why,
            wrong=differences(list(leads), mails, watch.ended),
            fed_s=watch.fed_s,
            weeks_s=watch.seconds,
            total_s=total_s,
            days=watch.virtual_ms / DAY_MS,
        )

    def as_data(self) -> dict[str, Any]:
        """For programs."""
        return {
            "ok": not self.wrong,
            "leads": len(self.leads),
            "mails": {name: {"demanded": self.demanded[name], "sent": self.sent[name]} for name in TEMPLATES},
            "stopped": dict(self.reasons),
            "differences": self.wrong,
            "days": round(self.days, 2),
            "seconds": round(self.total_s, 2),
        }


def show(out: Console, result: Result, client: Client) -> None:
    """For people."""
    out.print()
    rows = []
    for name in [*TEMPLATES, *(name for name in result.sent if name not in TEMPLATES)]:
        mark = "[green]✓[/green]" if result.sent[name] == result.demanded[name] else "[red]✗[/red]"
        rows.append((escape(name), str(result.demanded[name]), str(result.sent[name]), mark))
    total = (f"{sum(result.demanded.values())}", f"{sum(result.sent.values())}")
    rows.append(("[bold]all[/bold]", *total, ""))
    out.print(table(["mails by template", "demanded", "sent", ""], rows, right="demanded,sent"))
    _show_stopped(out, result)
    teller = next((lead for lead in result.leads if lead.taken_over == 2 and lead.way == "web form"), None)
    if teller is not None:
        out.print(f"\n[bold]the story of {teller.key}[/bold] ({escape(teller.title)}, {teller.name})")
        records = [record for _, record in reversed(client.timeline(teller.key))]
        timeline.show(out, records, timeline.versions_of(client))
    _show_end(out, result)


def _show_stopped(out: Console, result: Result) -> None:
    rows = []
    for reason, count in result.reasons.most_common():
        keys = [key for key, why in result.why.items() if why == reason]
        more = ", …" if count > STOPPED_SHOWN_MAX else ""
        rows.append((escape(reason), count, ", ".join(keys[:STOPPED_SHOWN_MAX]) + more))
    out.print()
    out.print(table(["follow-up stopped because", "leads", ""], rows, right="leads"))
    by_week = Counter(lead.taken_over for lead in result.leads if result.why.get(lead.key) == TOOK_OVER)
    out.print(f"taken over: {by_week[1]} in the first week, {by_week[2]} in the second")


def _show_end(out: Console, result: Result) -> None:
    rate = len(result.leads) / result.fed_s if result.fed_s else 0.0
    fed = f"{counted(len(result.leads), 'lead')} fed in {result.fed_s:.2f} s ({rate:,.0f} a second, on disk)"
    out.print(
        f"\n{fed}; {result.days:.1f} days passed in {result.weeks_s:.1f} s; all in all {result.total_s:.1f} s"
    )
    if not result.wrong:
        out.print("[green]every count is what the sample demands[/green]")
        return
    out.print(f"[red]{counted(len(result.wrong), 'difference')} from what the sample demands:[/red]")
    for one in result.wrong[:WRONG_SHOWN_MAX]:
        out.print(f"  {escape(one)}", soft_wrap=True)
    if len(result.wrong) > WRONG_SHOWN_MAX:
        out.print(f"  … and {len(result.wrong) - WRONG_SHOWN_MAX} more")
