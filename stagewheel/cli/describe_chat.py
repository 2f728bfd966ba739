"""Sentences about chats: whose they are, and what was said in them."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from stagewheel.cli.abouts import About
from stagewheel.cli.telling import Line, employees
from stagewheel.protocol import journal as j

BOUND: Final[Mapping[str, str]] = MappingProxyType(
    {
        "invitation": "came by an invitation",
        "message": "began with a message",
        "made": "is that of the client",
    }
)


def _bound(about: About, fact: j.ChatBound) -> Line:
    whose = f" of {fact.name}" if fact.name else ""
    return Line("changed", f"chat {fact.chat}{whose} at {fact.channel} {BOUND.get(fact.how, fact.how)}")


def _received(about: About, fact: j.ChatReceived) -> Line:
    who = fact.name or f"chat {fact.chat}"
    first = " for the first time" if fact.first else ""
    return Line("event", f"{who} wrote at {fact.channel}{first}{_with(fact.files)}: {fact.text}")


def _sent(about: About, fact: j.ChatSent) -> Line:
    by = f", employee {fact.by}" if fact.by else ""
    return Line("done", f"{fact.rule}{by}: {fact.channel} took{_with(fact.files)}: {fact.text}")


def _written(about: About, fact: j.ChatWritten) -> Line:
    author = f"{fact.rule}: " if fact.rule else f"employee {fact.by} " if fact.by else "somebody "
    what = "wrote in the chat"
    if fact.hidden:
        what += f", hidden from the client{f', for {employees(fact.to)}' if fact.to else ''}"
    return Line("done" if fact.hidden else "sending", f"{author}{what}{_with(list(fact.files))}: {fact.text}")


def _with(files: list[str]) -> str:
    return f" with {', '.join(files)}" if files else ""


SENTENCES: Final[Mapping[type, Callable[[About, Any], Line]]] = MappingProxyType(
    {j.ChatBound: _bound, j.ChatReceived: _received, j.ChatSent: _sent, j.ChatWritten: _written}
)
