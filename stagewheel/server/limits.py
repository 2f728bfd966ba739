"""Every maximum of the server, and the relations between them that the engine relies on.

Laws: a queue, a frame or a table without a number here does not exist; the relations are asserted at import,
so a build with limits that contradict each other never starts. Units stand last in the names.
"""

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB

# ---- frames and credit (told to each client in Welcome) ----

FRAME_COMMANDS_MAX: Final = 256
FRAME_BYTES_MAX: Final = 1 * MIB  # also the largest single command: a ruleset with all its files

# Two turns' worth: one is being decided while the next one arrives.
CREDIT_COMMANDS: Final = 8192
CREDIT_BYTES: Final = 8 * MIB

# ---- one turn ----

TURN_COMMANDS_MAX: Final = 4096
TURN_BYTES_MAX: Final = 4 * MIB

# ---- sessions and producers ----

SESSIONS_MAX: Final = 10_000
SESSION_IDLE_MIN_MS: Final = 10_000  # a session used within this time is never evicted for a new one
PRODUCER_NAME_BYTES_MAX: Final = 64
PRODUCER_KEPT_MS: Final = 7 * 24 * 3600 * 1000  # an idle producer's row; then its numbers are `expired`

# Answers kept for one producer until it acknowledges them: about 5 MB of rows at 64 commands a frame.
UNACKNOWLEDGED_COMMANDS_MAX: Final = 1_000_000

assert FRAME_COMMANDS_MAX <= 0xFFFF, "the frame header counts commands in 16 bits"
assert FRAME_COMMANDS_MAX <= TURN_COMMANDS_MAX, "a frame is admitted whole, within one turn"
assert FRAME_BYTES_MAX <= TURN_BYTES_MAX, "a frame is admitted whole, within one turn"
assert CREDIT_COMMANDS >= 2 * FRAME_COMMANDS_MAX, "a client fills the next frame while one is under way"
assert CREDIT_BYTES >= 2 * FRAME_BYTES_MAX, "a client fills the next frame while one is under way"
assert CREDIT_COMMANDS >= 2 * TURN_COMMANDS_MAX, "one client alone can keep the server busy"
assert UNACKNOWLEDGED_COMMANDS_MAX >= 4 * CREDIT_COMMANDS, "the window is bounded by credit, not by answers"

# ---- what waits for other shards ----

RELAY_ROWS_MAX: Final = 1_000_000  # beyond, clients get `busy`
RELAY_FRAME_COMMANDS_MAX: Final = FRAME_COMMANDS_MAX
RELAY_UNDER_WAY_MAX: Final = 8  # frames sent to one shard and not answered
RELAY_ANSWERS_TURN_MAX: Final = 64  # answers of other shards that one turn takes

# ---- mailboxes and sources of a turn ----

BACKLOG_ITEMS_MAX: Final = (
    100_000  # items with a non-empty mailbox; beyond, their producers get `mailbox_full`
)
TRIM_ANSWERS_MIN: Final = 256  # commands whose acknowledged answers are removed together
MAILBOX_ROWS_MAX: Final = 10_000  # messages in one item's mailbox
TURN_TIMERS_MAX: Final = 2048  # the timers' share of a turn …
TURN_TIMERS_US: Final = 50_000  # … and how long it may take,
TURN_TIMERS_BUSY_US: Final = 20_000  # and where commands wait
TIMER_BATCH_ROWS: Final = 64  # fired before the time is looked at
WITHDRAW_RECORDS_MAX: Final = 10_000  # of a timeline that are looked through when its item is deleted
TURN_MAILBOX_MAX: Final = 1024  # the mailboxes' share
TURN_REPORTS_MAX: Final = 4096  # the delivery reports' share
TURN_FRAMES_MAX: Final = 1024  # frames taken from the socket before a turn
TURN_DECIDE_US: Final = 20_000  # then what was not admitted waits for the next turn

# ---- rows of items that follow into their table later (store/overlay.py) ----

REDO_ROWS_MAX: Final = 65_536  # of a generation; memory holds two, and start reads them
REDO_BYTES_MAX: Final = 24 * MIB  # of a generation

# ---- small commits, whose rows follow into their tables together (store/late.py) ----

LATE_ROWS_MAX: Final = 512  # that wait; memory holds them, and start reads them
LATE_BYTES_MAX: Final = 96 * KIB
LATE_COMMITS_A_FOLLOW: Final = 8  # a commit of a larger share than one in so many is not small …
LATE_COMMIT_ROWS_MAX: Final = 21  # … nor one of more rows: five events cost less in their tables

# ---- timers ----

TIMER_ROWS_IN_MEMORY_MAX: Final = 200_000  # of the timer table; all others are on disk alone
TIMER_WINDOW_MS: Final = 3600 * 1000  # memory reaches so far ahead, if that many rows suffice for it
TIMER_SLICE_ROWS: Final = 2048  # read from the table at a time
TIMER_MOVE_ROWS_BUSY: Final = 128  # of a far bucket, moved in a turn at least, where there is time …
TIMER_MOVE_ROWS_MIN: Final = 1024  # … where nobody waits …
TIMER_MOVE_ROWS_MAX: Final = 8192  # … and where it is late
TIMER_SWEEP_ROWS_MIN: Final = 100_000  # ended ones, for which a far bucket is swept if they are half of it
TIMER_IDLE_MS: Final = 20  # without a decision, and nobody is likely to come just now
TIMER_SWEEP_IDLE_ROWS: Final = 256  # in a turn where nobody waits
TIMER_SWEEP_BUSY_ROWS: Final = 1_000_000  # of a bucket, some 65 MB: its sweep waits for nobody …
TIMER_SWEEP_ROWS_A_DECISION: Final = 1.25  # … and takes so many for each, more than it can end
TIMER_SAMPLE_CHUNKS: Final = 8  # of a bucket, to see how many of its rows have ended …
TIMER_SAMPLE_ROWS: Final = 16  # … of each so many

assert TIMER_BATCH_ROWS <= TIMER_SLICE_ROWS, "one slice is enough for a batch"
assert TIMER_SLICE_ROWS <= TIMER_ROWS_IN_MEMORY_MAX // 2, "refills stop at half, the rest is for new timers"

# ---- outbox and senders ----

OUTBOX_ROWS_MAX: Final = 5_000_000  # beyond, admission answers `busy`
SENDER_CREDIT_MAX: Final = 10_000  # rows that one sender session may have in hand, a channel
JOBS_FRAME_MAX: Final = 256  # jobs in one frame to a sender
AHEAD_ROWS_MAX: Final = 4_096  # of a lane that stay in memory until a sender takes them …
AHEAD_BYTES_MAX: Final = 4 * MIB  # … as long as they have no more bytes than these
KEPT_ROW_BYTES_MAX: Final = 1 * KIB  # of rows that stay in memory while a sender has them, in the mean

# ---- application actions ----

ACTIONS_MAX: Final = 1_000  # that are registered
ACTION_VALUES_MAX: Final = 50  # parameters of one, and results
ACTION_BYTES_MAX: Final = 32 * KIB  # of all that one registration says
ACTION_TIMEOUT_MS_MAX: Final = 24 * 3600 * 1000
WORKERS_MAX: Final = 1_000  # sessions of action workers
HEARTBEAT_MS_MIN: Final = 100
HEARTBEAT_MS_MAX: Final = 60_000

# ---- holds ----

HOLDS_MAX: Final = 1_000  # rules and pipelines that are stopped or paused
HOLD_SLICE_ROWS: Final = 256  # items told, or timers given back, in one turn

# ---- queries and subscriptions ----

PAGE_ROWS_MAX: Final = 1000
RECORDS_LOOKED_MAX: Final = 500  # of what is stored for people, in one page: about 1 ms
QUERY_US: Final = 2_000  # what queries may take between two turns
QUERIES_WAITING_MAX: Final = 1000
SUBSCRIPTIONS_MAX: Final = 256
SUBSCRIPTION_CREDIT_MAX: Final = 100_000

# ---- chats ----

INVITATION_KEPT_MS: Final = 90 * 24 * 3600 * 1000  # in which a link to a chat leads to its item
INVITATIONS_TRIMMED_MAX: Final = 4  # old ones looked at with each new one
CHAT_FILES_BYTES_MAX: Final = 50 * 1024 * KIB  # attachments of a message; Telegram takes no larger file
CHAT_PARTS_MAX: Final = 10  # of a long message, each as long as a provider takes
CHATS_UNDER_WAY_MAX: Final = 1_024  # messages of which a sender knows that a part is out

# ---- storage (promise R6) ----

FREE_BYTES_MIN: Final = 256 * MIB
DEDUPE_KEPT_MS: Final = 7 * 24 * 3600 * 1000
DEDUPE_KEY_BYTES_MAX: Final = 200

assert TURN_TIMERS_MAX + TURN_MAILBOX_MAX + TURN_REPORTS_MAX <= 2 * TURN_COMMANDS_MAX, (
    "no source's share may starve the commands"
)
assert JOBS_FRAME_MAX <= SENDER_CREDIT_MAX, "a sender's credit holds at least one frame"

# ---- sender processes and channels ----

SENDER_CAPACITY_MAX: Final = 4_096  # jobs that a sender process asks for ahead, a channel
SENDER_FRAME_BYTES_MAX: Final = 16 * MIB  # of a frame of jobs, or of a version's texts
SENDER_VERSIONS_MAX: Final = 8  # compiled ruleset versions it keeps
REPORTS_FRAME_MAX: Final = 1_024  # reports in one message …
REPORTS_FRAME_BYTES_MAX: Final = 512 * KIB  # … which has no more bytes than these, or is a single one
REPORTS_UNDER_WAY_MAX: Final = 4  # messages of reports that are not committed yet
REPORTS_UNTAKEN_MAX: Final = 4_096  # reports that are not committed yet; above it no more jobs are asked for
POOL_SIZE_MAX: Final = 256  # senders of a channel in one process
SMTP_REPLY_BYTES_MAX: Final = 64 * KIB  # of what a mail server says to one command
POOL_LOOK_MAX: Final = 512  # waiting jobs looked at in one assignment
SPOOL_BATCH_MAX: Final = 256  # mails flushed together
SPOOL_THREADS_MAX: Final = 16  # that flush files at the same time
MAIL_RECIPIENTS_MAX: Final = 100
WEBHOOK_RESPONSE_BYTES_MAX: Final = 64 * KIB  # read of an answer
WEBHOOK_REQUEST_BYTES: Final = 1 * MIB  # of a body, unless the configuration says otherwise
WEBHOOK_BYTES_MAX: Final = 16 * MIB  # to which the configuration may set them
WEBHOOK_REDIRECTS_MAX: Final = 5
WEBHOOK_JSON_BYTES_MAX: Final = 16 * KIB  # of an answer, that `previous` keeps
WEBHOOK_JSON_DEPTH_MAX: Final = 16
DETAIL_BYTES_MAX: Final = 64 * KIB  # of what a delivery came to, that `previous` keeps
AD_BATCH_WAIT_S_MAX: Final = 60  # that an action waits for others of its list
WEBHOOK_CLIENTS_MAX: Final = 64  # hosts to which connections are kept
REASON_LENGTH_MAX: Final = 300  # characters of a delivery's reason or status, which the journal keeps

assert SENDER_CAPACITY_MAX <= SENDER_CREDIT_MAX, "the shard counts all the credit that a sender offers"
assert REPORTS_FRAME_BYTES_MAX + DETAIL_BYTES_MAX < FRAME_BYTES_MAX, (
    "the shard takes every message of reports"
)
assert REPORTS_FRAME_MAX * REPORTS_UNDER_WAY_MAX <= REPORTS_UNTAKEN_MAX, "the window fits into the bound"

# ---- rulesets, their documents and templates ----

RULESET_FILES_MAX: Final = 1_000
VERSIONS_KEPT: Final = 20  # the newest of each ruleset, whether anybody refers to them or not
VERSION_ROWS_MAX: Final = 10_000  # versions that are stored; beyond, none is published
ENROL_MOVES_MAX: Final = 200  # stages that one activation empties
ENROL_PREVIEW_ROWS_MAX: Final = 50  # items a page: each is a whole decision
STALE_MAX: Final = 10_000  # entries of stage lists that wait to be taken out; more are met again
STALE_SLICE: Final = 256  # of them, in one turn: each may be in a row of its own
RULESET_CHARS_MAX: Final = 960 * KIB  # of all its files
DOCUMENT_BYTES_MAX: Final = 512 * KIB
DOCUMENT_DEPTH_MAX: Final = 50
DOCUMENT_VALUES_MAX: Final = 100_000  # after anchors are copied
MISTAKES_SHOWN_MAX: Final = 200
CONDITION_TESTS_MAX: Final = 200
SETTING_VALUES_MAX: Final = 100  # of one setting of a trigger
WORKFLOW_OPERATIONS_MAX: Final = 2_000
RECIPIENTS_MAX: Final = 100  # of one notification
FIELD_VALUES_MAX: Final = 100  # of a multiple field
FIELD_CHARS_MAX: Final = 64 * KIB
CALENDAR_DAYS_MAX: Final = 10_000  # closed and extra days of one calendar
TEMPLATE_FILE_CHARS_MAX: Final = 256 * KIB
TEMPLATE_INLINE_CHARS_MAX: Final = 16 * KIB
TEMPLATE_DEPTH_MAX: Final = 60  # of its syntax tree
TEMPLATE_ROUNDS_MAX: Final = 20_000  # of all loops of one rendering
TEMPLATE_RANGE_MAX: Final = 1_000
TURN_TEXT_CHARS_MAX: Final = 64 * KIB  # rendered within a turn (4.7)
SENDER_TEXT_CHARS_MAX: Final = 1_000_000  # rendered by a sender

assert RULESET_CHARS_MAX < FRAME_BYTES_MAX, "a ruleset is published by one command"
assert DOCUMENT_BYTES_MAX <= RULESET_CHARS_MAX, "one document is not larger than all"

# ---- the HTTP edge ----

EDGE_BODY_BYTES_MAX: Final = FRAME_BYTES_MAX // 2  # an event with its payload has to fit into one frame
EDGE_BODY_S: Final = 10.0  # in which a request's body has to arrive
EDGE_FORM_FIELDS_MAX: Final = 200
EDGE_UNDER_WAY_MAX: Final = 512  # requests that wait for the shard; beyond, they get 503
EDGE_ADDRESSES_MAX: Final = 10_000  # whose requests are counted; the one that came longest ago is forgotten
EDGE_TEXT_CHARS_MAX: Final = 2_000  # of a page, an address, a header that becomes part of an event
EDGE_ROUTES_MAX: Final = 1_000  # hooks, and forms
EDGE_SIGNED_CHARS_MAX: Final = 4_000  # of a signed value: a link within a link, base64
EDGE_RATE_PER_MINUTE_MAX: Final = 1_000_000
POOLS_TOLD_MAX: Final = 10_000  # pools of all sender processes whose state is shown
COUNTS_TOLD_MAX: Final = 64  # numbers that a process tells of itself, and processes that tell any
EDGE_ANSWER_CHARS_MAX: Final = 1_600  # of what is said to a caller, or answered to a text message

# ---- stored files ----

FILE_BYTES_MAX: Final = 32 * MIB  # of one file: what mail servers take is less
FILE_CHUNK_BYTES_MAX: Final = 256 * KIB  # of one command, and of one reply
FILES_BYTES_MAX: Final = 64 * 1024 * MIB  # of all files, uploads on their way counted by their full size
FILES_MAX: Final = 1_000_000
FILE_ID_BYTES_MAX: Final = 300
FILE_NAME_BYTES_MAX: Final = 200
FILE_UPLOADS_MAX: Final = 64  # that are not at their end
FILE_UPLOAD_KEPT_MS: Final = 24 * 3600 * 1000  # after its last chunk
FILE_CACHE_BYTES_MAX: Final = 64 * MIB  # of files that a sender process keeps
FILE_FLIGHT_BYTES_MAX: Final = 128 * MIB  # on their way to a sender process, and as much from it
FILE_WAITS_MAX: Final = 1_024  # files that a sender process is asking for
FILE_STORES_MAX: Final = 64  # and that it is storing
ATTACHMENTS_MAX: Final = 20  # of one message

# ---- documents ----

MADE_BYTES_MAX: Final = 8 * MIB  # of one document or QR code, and of all its pictures
MADE_PAGES_MAX: Final = 200  # of a PDF
MADE_PICTURES_MAX: Final = 50  # in one document
MADE_PIXELS_MAX: Final = 20_000_000  # of one picture
MADE_MEMORY_BYTES_MAX: Final = 1024 * MIB  # address space of a process that makes PDFs
MADE_SHOWN_MAX: Final = 8  # documents that the edge holds at once, to show them

assert MADE_BYTES_MAX <= FILE_BYTES_MAX, "what is made is stored"

assert FILE_CHUNK_BYTES_MAX <= FRAME_BYTES_MAX // 2, "a chunk fits into one frame with its command"
assert FILE_BYTES_MAX <= FILE_CACHE_BYTES_MAX, "a sender process can hold any file"
assert FILE_BYTES_MAX <= FILE_FLIGHT_BYTES_MAX, "any file finds room"

# ---- mail in ----

INBOUND_MAIL_BYTES_MAX: Final = 64 * MIB  # of one mail, which stands in memory while it is taken
INBOUND_BYTES_MAX: Final = 512 * MIB  # of all connections together
INBOUND_CONNECTIONS_MAX: Final = 1_000
INBOUND_RECIPIENTS_MAX: Final = 100  # of one mail
INBOUND_ADDRESSES_MAX: Final = 10_000  # of all mailboxes
INBOUND_RATE_PER_MINUTE_MAX: Final = 1_000_000
INBOUND_TEXT_CHARS_MAX: Final = 64 * KIB  # of a mail's text that its event carries
INBOUND_LINE_CHARS_MAX: Final = 500  # of a subject, a name, an address, the name of an attachment
INBOUND_ATTACHMENTS_MAX: Final = 20  # that an event names
INBOUND_PARTS_MAX: Final = 500  # of one mail that are looked at
INBOUND_REPORTED_MAX: Final = 50  # recipients of one bounce
INBOUND_HEADER_CHARS_MAX: Final = 8_192  # of a header whose words, addresses or parameters are read
INBOUND_HTML_CHARS_MAX: Final = 1_000_000  # of an HTML mail that are read for its text
INBOUND_LINES_MAX: Final = 4_000_000  # lines of a mail, times the multiparts that may be around them

assert INBOUND_MAIL_BYTES_MAX <= INBOUND_BYTES_MAX, "one connection may take the largest mail"
