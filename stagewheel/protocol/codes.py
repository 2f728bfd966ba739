"""The codes of `Failed` (results of single commands) and `Refused` (whole messages), each with what it
means.
"""

FAILED = {
    "unknown_item": "no item has this key",
    "item_exists": "an item with this key exists already",
    "unknown_pipeline": "no active ruleset has this pipeline",
    "unknown_stage": "the item's pipeline has no such stage",
    "unknown_rule": "no active ruleset has this rule",
    "unknown_poison": "no message was put aside under this number",
    "unknown_workflow": "the item's ruleset has no such workflow",
    "bad_field": "a field is not declared, or its value does not fit its type",
    "bad_value": "a value of the command is out of range",
    "mailbox_full": "the item's mailbox is full; send again later",
    "ruleset_invalid": "the ruleset has mistakes; the message lists them",
    "unknown_dead_letter": "no dead letter has this number",
    "not_replay": "only a server with the replay clock takes this command",
    "internal": "deciding it failed with a bug; it is kept as poison under the number in the message",
    "deleted": "the item was deleted",
    "unknown_version": "the ruleset has no such version; it is not kept any more, or never was",
    "unknown_delivery": "nothing of the item was dispatched under this number",
    "delivery_over": "the end of this delivery is known already: it was told, or it did not come in time",
    "unknown_message": "the item has no message of the activity stream with this number",
    "not_suppressed": "the address is not suppressed on this channel, or not for this reason",
    "unknown_enrolment": "no enrolment that runs has this number",
}

REFUSED = {
    "hello_first": "no session: send Hello, then send again",
    "version": "no common protocol version",
    "malformed": "the message could not be decoded",
    "unknown_kind": "the header names no known kind of message",
    "oversize": "the message is larger than the limit in Welcome",
    "busy": "the server has too much to do; nothing was taken, send again from this number",
    "storage_full": "too little free disk space; nothing was taken, send again from this number later",
    "wrong_shard": "another shard owns this item; ask for the shard map again",
    "over_credit": "more is under way than Welcome allowed; nothing was taken",
    "gap": "numbers are missing before this Submit; `expected` is the next one",
    "bad_sequence": "the Submit overlaps numbers that were taken with others",
    "expired": "the producer is not known any more; begin again with number 0",
    "fenced": "a newer session of the same producer has begun; this one is over",
    "bad_query": "the query is not valid",
    "unknown_subscription": "no such subscription (any more); subscribe again from your cursor",
    "forbidden": "the session's role does not allow this",
    "too_many": "too many sessions or subscriptions",
}
