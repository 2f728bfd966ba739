"""One example of every message, command, result, query and journal fact, and the golden bytes they are
kept as.

`vectors.json` is what clients in other languages test against (docs/protocol.md). A byte that changes
there is a change of the protocol: run this module to write the file anew only when that is meant.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from msgspec import Raw

from stagewheel.protocol import frames, journal, messages as m
from stagewheel.protocol.codec import Message, encode_payload, encode_record
from stagewheel.protocol.partitions import even_owners

PATH: Final = Path(__file__).with_name("vectors.json")

CLIENT = m.Client(
    "Ada Example",
    [m.Address("ada@example.com", "work")],
    [m.Address("+390000000", "mobile")],
    key="c:1",
    kind="contact",
    timezone="Europe/Rome",
    fields={"vip": True},
)
EMPLOYEE = m.Employee(
    7,
    "Bo Example",
    [m.Address("bo@example.com")],
    supervisor=3,
    timezone="UTC",
    hours={"mon-fri": ["09:00-13:00"]},
    absences=[m.Absence("2026-08-10", "2026-08-14"), m.Absence(1_790_000_000_000, 1_790_000_060_000)],
)
JOB_ROW = Raw(b"\x93\x01\xa1k\xc0")

ACTION = m.ActionSpec(
    "score",
    "What a deal is worth",
    [m.ValueSpec("size", "number", True), m.ValueSpec("note", "text", False, "-", "for people")],
    [m.ValueSpec("score", "number")],
    "http",
    "https://scores.example.com/jobs",
    30_000,
    4,
    3,
)

COMMANDS: Final[Mapping[str, m.AnyCommand]] = {
    "create_item": m.CreateItem(
        "lead:1",
        by=7,
        at_ms=1_790_000_000_000,
        dedupe_key="erp-1",
        pipeline="sales",
        stage="NEW",
        title="Site form",
        fields={"amount": 5000, "rate": 0.5, "paid": False, "note": None, "tags": ["a", "b"]},
        client=CLIENT,
        responsible=7,
        source="web_form",
        observers=[8, 9],
        timezone="Europe/Rome",
        automation=False,
        entered_at_ms=1_780_000_000_000,
    ),
    "update_item": m.UpdateItem("lead:1", fields={"amount": -1}, title="Större", observers=[]),
    "change_stage": m.ChangeStage("lead:1", stage="WON", fields={"paid": True}, restart=True),
    "raise_event": m.RaiseEvent("lead:1", type="form_submitted", code="contact", payload={"page": "/x"}),
    "delete_item": m.DeleteItem("lead:1"),
    "start_workflow": m.StartWorkflow("lead:1", workflow="welcome", vars={"round": 2}),
    "hold_item": m.HoldItem("lead:1", mode="resume", restart=True),
    "put_employee": m.PutEmployee("", employee=EMPLOYEE),
    "put_ruleset": m.PutRuleset(
        "", ruleset="sales", files={"main.yaml": "pipelines: {}\n"}, note="first", draft=True
    ),
    "retry_dead_letter": m.RetryDeadLetter("", number=70_000),
    "begin_file": m.BeginFile(
        "", by=7, file="deal:1/invoice", name="invoice.pdf", type="application/pdf", size=3, sha256="ab" * 32
    ),
    "put_file_chunk": m.PutFileChunk("", upload=4, offset=0, data=b"%PD"),
    "drop_file": m.DropFile("", file="deal:1/invoice", force=True),
    "drop_dead_letter": m.DropDeadLetter("", number=3),
    "advance_clock": m.AdvanceClock("", at_ms=1_790_000_000_000),
    "activate_version": m.ActivateVersion(
        "",
        by=7,
        ruleset="sales",
        version=12,
        enrol="new",
        from_entry=True,
        moves=[m.StageMove("deals", "OLD", "NEW")],
    ),
    "enrol_item": m.EnrolItem("lead:1", mode="restart", pipeline="sales", stage="OLD", to_stage="NEW"),
    "stop_enrolment": m.StopEnrolment("", number=3),
    "put_client": m.PutClient("contact:17", client=CLIENT, company="company:3"),
    "hold_stage": m.HoldItem("lead:1", by=7, mode="stop", stage="NEW"),
    "hold_rule": m.Hold("", kind="rule", target="remind", mode="stop", ruleset="sales"),
    "hold_pipeline": m.Hold("", by=7, kind="pipeline", target="sales", mode="resume", restart=True),
    "erase_item": m.DeleteItem("lead:1", by=7, erase=True),
    "erase_client": m.EraseClient("contact:17", by=7),
    "alias_item": m.AliasItem("lead:1", alias="crm-17"),
    "relayed": m.Relayed("", message=b"\x93\x03\xa1k\x01", reference=4),
    "tell_counts": m.TellCounts("", process="inbound", counts={"events": 3}),
    "suppress": m.Suppress(
        "lead:1", channel="email", address="ada@example.com", kind="bounced", reason="550"
    ),
    "unsuppress": m.Unsuppress("", by=7, channel="sms", address="+390000000", kind="unsubscribed"),
    "send_chat": m.SendChat("lead:1", by=7, text="Hi", files=["plan"], hidden=True, provider="shop"),
    "receive_chat": m.ReceiveChat(
        "",
        channel="shop",
        chat="42",
        text="/start",
        name="Ada",
        message="7",
        files=["a.pdf"],
        invitation=12,
        phone="+390000000",
    ),
    "reply_stream": m.ReplyStream("lead:1", by=7, message=12, text="Done", to=[3]),
    "complete_delivery": m.CompleteDelivery(
        "lead:1", number=17, outcome="refused", reason="busy", detail={"status": "busy"}
    ),
    "register_action": m.RegisterAction("", by=7, action=ACTION),
    "drop_action": m.DropAction("", name="score"),
    "settle_poison": m.SettlePoison("", number=4, retry=True),
    "put_task": m.PutTask(
        "lead:1",
        by=7,
        ref="crm-1",
        name="Call back",
        responsible=3,
        deadline_ms=1_790_000_000_000,
        time_tracking=True,
        checklist=[m.Check("Ask", True)],
        fields={"priority": "high"},
    ),
    "update_task": m.UpdateTask(
        "lead:1", by=3, task=12, status="completed", spent_ms=60_000, check={1: True}
    ),
    "put_activity": m.PutActivity(
        "lead:1", by=7, kind="meeting", text="Look at the roof", deadline_ms=1_790_000_000_000, room="Blue"
    ),
    "update_activity": m.UpdateActivity("lead:1", by=7, activity=3, status="completed", result="They buy"),
    "try_rule": m.TryRule("lead:1", by=7, rule="welcome", to="bo@example.com"),
}

RESULTS: Final[Mapping[str, m.Result]] = {
    "applied": m.Applied(3),
    "accepted": m.Accepted(),
    "failed": m.Failed("unknown_item", "no item has this key"),
    "moved": m.Moved("NEW", "ANSWERED", "answer_came", 4),
    "not_moved": m.NotMoved(
        "no condition held",
        [m.Candidate("t1", "WON", "condition", [m.Test("amount", "gt", 100, 5, False)])],
    ),
    "published": m.Published("sales", 12, ["main.yaml:3: no timezone"], 4),
    "activity_put": m.ActivityPut(3, 12),
    "forwarded": m.Forwarded(["lead:1"], True, "lead:2"),
    "file_progress": m.FileProgress(4, 262_144, True),
}

QUERIES: Final[Mapping[str, m.AnyQuery]] = {
    "item": m.ItemQuery("lead:1"),
    "timeline": m.TimelineQuery("lead:1", before=99, limit=10),
    "stage": m.StageQuery("sales", "NEW", cursor=b"\x00\x01", limit=50),
    "dead_letters": m.DeadLettersQuery(after=5),
    "actions": m.ActionsQuery("score"),
    "statistics": m.StatisticsQuery(),
    "versions": m.VersionsQuery("sales", 12, 50),
    "source": m.SourceQuery(12),
    "poison": m.PoisonQuery(after=1, limit=2),
    "employees": m.EmployeesQuery(),
    "enrolments": m.EnrolmentsQuery(),
    "holds": m.HoldsQuery(),
    "enrol_preview": m.EnrolPreviewQuery(12, "new", True, [m.StageMove("deals", "OLD", "NEW")], b"\x01", 50),
    "stages": m.StagesQuery(b"\x00\x01", 50),
    "client": m.ClientQuery("contact:17"),
    "records": m.RecordsQuery("history", m.RecordFilter(rule="r1", from_ms=1_790_000_000_000), b"\x01", 50),
    "erasures": m.ErasuresQuery(3, 10),
    "suppressed": m.SuppressedQuery("email", "ada@example.com", b"", 10),
    "files": m.FilesQuery("deal:1/", "deal:1/a", 50),
    "file": m.FileQuery("deal:1/invoice", 262_144, "ab" * 32, True),
    "record_counts": m.RecordCountsQuery("stream", m.RecordFilter(item="lead:1"), "author"),
    "links": m.LinksQuery("contact:17", b"\x01", 10),
    "tasks": m.TasksQuery(m.TaskFilter(responsible=7, status="open"), b"\x01", 50),
    "task": m.TaskQuery(12),
    "activities": m.ActivitiesQuery(employee=7, status="open"),
    "calendar": m.CalendarQuery(7, 1_790_000_000_000, 1_790_003_600_000),
}

RECORD: Final = journal.Record(
    "lead:1",
    41,
    1_790_000_000_000,
    "sales",
    12,
    "ChangeStage",
    [
        journal.ItemCreated("sales", "Site form", "web_form", {"amount": 4, "responsible": 7}, False, 1),
        journal.FieldsChanged({"amount": 5}),
        journal.Entered("NEW", "WON", 2, by=7, rule="r1"),
        journal.StepWaits("r2", 3, 1_790_000_600_000, [0, 5]),
        journal.StepWaits("r2", 3, 1_790_003_600_000, [], ["company", "client"]),
        journal.StepEnded("r1", 2, "skipped", "condition", [1, None]),
        journal.Dispatched("r3", 4, "email", 17),
        journal.DeliveryTried("r3", 4, 1, "451 later", 1_790_000_060_000),
        journal.Notified("r4", [7], "An item is here", 11, 3, "https://crm.example.com/lead:1"),
        journal.HistoryAdded("r5", "Called", "bo", 12),
        journal.EventSeen("app", "ping", "", [["t1", "condition", [0, 5]]]),
        journal.WorkflowStarted("welcome", 1, "created", [0, 5], 12),
        journal.WorkflowNotStarted("farewell", "created", "condition", [0, 5]),
        journal.WorkflowStepped("welcome", 1, 0, "email", "done", "", [], 5, "2.1"),
        journal.WorkflowWaits("welcome", 1, 3, "wait_for", 6, 1_790_000_060_000, "event app paid", "2.1"),
        journal.WorkflowEnded("welcome", 1, "done"),
        journal.Held("pause", by=7),
        journal.ItemDeleted(),
        journal.DeadLettered("r3", 4, 17, "550 no such user"),
        journal.SentToItem("deal:2", "CreateItem"),
        journal.NothingChanged("r6"),
        journal.Enrolled(11, 12, ["r1"], [4]),
        journal.ClientPut(["Ada Example"], "company:3", "command"),
        journal.ClientLinked("lead:1", "sales", "open"),
        journal.EventForwarded("call_missed", "desk", ["lead:1"]),
        journal.CapAwaited("r3", 4, "email", "contact:17", 1_790_000_060_000),
        journal.CapCounted("email", "lead:1", 4, False, 1_790_000_060_000),
        journal.LoopDetected("chain_entries", 26, 25),
        journal.AutomationHeld("pipeline sales"),
        journal.StepPaused("r2", 3, 1_790_000_600_000, "rule r2"),
        journal.FellBack("trigger t1", 8, 1),
        journal.StreamPosted(
            "r8", 13, 7, [3], "Look", {"plan": "plan.pdf"}, 12, "https://crm.example.com/lead:1"
        ),
        journal.EmployeeChosen("r7", 2, 12, "round_robin", 4),
        journal.ChatBound("shop", "42", "invitation", "Ada"),
        journal.ChatReceived("shop", "42", "Hi", "Ada", "7", ["a.pdf"], True),
        journal.ChatSent("r8", 3, "shop", "42", "Hello", "8", ["b.pdf"], 7),
        journal.ChatWritten("Note", 7, "r8", True, 3, 12, [7], {"plan": {"file": "plan-1"}}, "shop"),
        journal.TaskPut("r9", 14, {"name": "Call back", "status": "new", "responsible": 7}),
        journal.TaskChanged(14, {"status": "overdue"}, "new", why="deadline"),
        journal.TasksClosed("r10", [14]),
        journal.ActivityPlanned("r11", 3, {"kind": "call", "text": "Call", "status": "planned"}, 7),
        journal.ActivityChanged(3, {"status": "completed"}, "planned", why="left stage"),
        journal.CalendarPut(3, [7, 9], 1_790_000_000_000, 1_790_003_600_000, "Call", "yellow", "", "Blue"),
        journal.CalendarTaken(3, [9]),
        journal.DeliveryHeld("r3", 4, 1_790_000_060_000, ["company", "client"]),
        journal.DeliveryAwaited("r3", 4, "call", 17, 1_790_000_060_000, {"status": "queued"}),
        journal.RuleTried("welcome", 4, "email", "bo@example.com", "delivered", "", {"status": "250 OK"}),
        journal.AddressSuppressed("email", "ada@example.com", "bounced", "550", 7),
        journal.AliasBound("crm-17", 7),
        journal.Erased("r13", 7, True, "gone"),
        journal.ErasureEnded(12, 30, 1_790_000_000_000),
        journal.AddressesLeftOut("r8", 3, "email", ["ada@example.com"], ["unsubscribed"]),
        journal.NumberGiven("r12", 4, "INV-2026-7", "INV-2026-{n}", 7),
        journal.FileMade(
            "r12", 4, "document", "documents/deal:1/2-4.pdf", "Invoice.pdf", "INV-2026-7", "invoice"
        ),
    ],
)

MESSAGES: Final[Mapping[str, Message]] = {
    "hello": m.Hello(1, 1, bytes(range(16)), "example 1.0", "feed", bytes(range(16, 32)), 2),
    "hello_short": m.Hello(1, 1, b"erp"),
    "welcome": m.Welcome(1, 5, 3, 640, 8192, 8 << 20, 256, 1 << 20, ["ipc:///run/s"], "system", 9),
    "welcome_shards": m.Welcome(
        *(1, 5, 3, 640, 8192, 8 << 20, 256, 1 << 20, ["ipc:///run/s", "ipc:///run/s.1"], "system", 9),
        *(1, even_owners(2), [2, 3]),
    ),
    **{f"submit_{name}": m.Submit(64, 0, [command]) for name, command in COMMANDS.items()},
    "submit_batch": m.Submit(640, 512, [COMMANDS["delete_item"], COMMANDS["hold_item"]]),
    "answer": m.Answer(640, list(RESULTS.values())),
    "completed": m.Completed(640, 3, m.Applied(9)),
    "refused_gap": m.Refused("gap", "next is 64", seq=128, expected=64),
    "refused_query": m.Refused("bad_query", "limit", query=4),
    **{f"query_{name}": m.Query(4, query) for name, query in QUERIES.items()},
    "reply": m.Reply(4, ["lead:1", {"applied": 3}], b"\x01"),
    "subscribe": m.Subscribe(5, 41, 1000, "lead:1", "sales"),
    "subscribe_shards": m.Subscribe(5, 0, 1000, "", "", [41, (2 << 40) + 7]),
    "credit": m.Credit(5, 500),
    "unsubscribe": m.Unsubscribe(5),
    "journal": m.Journal(5, 42, [(42, Raw(encode_record(RECORD)))]),
    "pull": m.Pull("email", 32),
    "pools": m.Pools([m.PoolState("sms/main", 16, 3, 0, 4, 9, "half-open", 2)]),
    "jobs": m.Jobs([m.Job("email", 17, JOB_ROW)]),
    "reports": m.Reports(
        1, [m.Report("email", 17, "retry", "451 later", 60_000, {"message_id": "<17@example.com>"})]
    ),
    "reports_delivered": m.Reports(
        2,
        [],
        [
            m.Delivered("email", [18, 1 << 32], [Raw(encode_payload({"message_id": "<18>"})), Raw(b"\x80")]),
            m.Delivered("sms/main", [19], [Raw(b"\x80")]),
        ],
    ),
    "reports_taken": m.ReportsTaken(1),
    "store_file": m.StoreFile(1 << 40, m.PutFileChunk("", upload=4, offset=0, data=b"%PD")),
    "register": m.Register(1, [ACTION], 5_000),
    "registered": m.Registered(1, "score: a url belongs to the handler http, and only to it"),
    "action_jobs": m.ActionJobs(
        [
            m.ActionJob(
                "app/score",
                17,
                "score",
                "lead:1/2/4",
                "lead:1",
                2,
                "ask",
                1,
                1_790_000_000_000,
                30_000,
                {"size": 40},
            )
        ]
    ),
}


def written() -> dict[str, dict[str, str]]:
    """The golden file."""
    kept: dict[str, dict[str, str]] = json.loads(PATH.read_text(encoding="utf-8"))
    return kept


def computed() -> dict[str, dict[str, str]]:
    """What this build encodes."""
    vectors = {}
    for name, message in MESSAGES.items():
        header, payload = frames.encode(message)
        vectors[name] = {"header": header.hex(), "payload": payload.hex()}
    vectors["record"] = {"header": "", "payload": encode_payload(RECORD).hex()}
    return vectors


if __name__ == "__main__":
    PATH.write_text(json.dumps(computed(), indent=1) + "\n", encoding="utf-8")
