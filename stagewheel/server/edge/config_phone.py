"""`[edge.voice.NAME]` and `[edge.texts.NAME]`: what calls and text messages to a number of Twilio's become.

Laws: those of `config.py`. Whose request it is, is known by its signature over the very address that Twilio
was given, so both need `public_url` and the account's auth token.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from stagewheel.errors import OperatorError
from stagewheel.server.edge.secrets import read_secret
from stagewheel.server.limits import EDGE_ANSWER_CHARS_MAX

NUMBER: Final = re.compile(r"\+[1-9][0-9]{4,14}")
# What Twilio takes for them where nothing else is said; "yes" and "end" are answers to questions as well.
STOP_WORDS: Final = ("stop", "stopall", "unsubscribe", "cancel", "quit", "revoke", "optout")
START_WORDS: Final = ("start", "unstop")


class VoiceConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """[edge.voice.NAME]: `POST /voice/NAME` when somebody calls, `/voice/NAME/status` when a call is over."""

    token_env: str = ""  # Twilio's auth token, which signs its requests
    token_file: str = ""
    line: str = ""  # of the events; empty: the number that was called
    answer: Literal["reject", "forward", "say"] = "reject"
    forward_to: str = ""  # whose phone rings: +390655500101
    ring_s: Annotated[int, Meta(ge=5, le=600)] = 20
    text: str = ""  # what is said; with `forward`: to whom nobody took
    language: str = ""
    voice: str = ""


class TextsConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """[edge.texts.NAME]: `POST /texts/NAME` when somebody sends a text message; NAME is the open channel."""

    token_env: str = ""
    token_file: str = ""
    stop_words: tuple[str, ...] = STOP_WORDS
    start_words: tuple[str, ...] = START_WORDS
    stop_reply: str = ""  # Twilio has its own, unless it is told not to
    start_reply: str = ""


def phone_secrets(
    public_url: str, voice: Mapping[str, VoiceConfig], texts: Mapping[str, TextsConfig]
) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """Their tokens, if all of them can work. Raises OperatorError."""
    for name, one in voice.items():
        _check_voice(f"edge.voice.{name}", one)
    for name, other in texts.items():
        _check_texts(f"edge.texts.{name}", other)
    if (voice or texts) and not public_url:
        raise OperatorError("edge.public_url: voice and texts need it, since Twilio signs whole addresses")
    return _tokens("voice", voice), _tokens("texts", texts)


def _tokens(kind: str, sections: Mapping[str, VoiceConfig] | Mapping[str, TextsConfig]) -> dict[str, bytes]:
    return {
        name: read_secret(f"edge.{kind}.{name}", "token", one.token_env, one.token_file)
        for name, one in sections.items()
    }


def _check_voice(where: str, one: VoiceConfig) -> None:
    if one.answer == "forward" and not NUMBER.fullmatch(one.forward_to):
        raise OperatorError(f"{where}.forward_to: a number with its country's code, such as +390655500101")
    if one.answer != "forward" and one.forward_to:
        raise OperatorError(f'{where}.forward_to: goes with answer = "forward"')
    if one.answer == "say" and not one.text.strip():
        raise OperatorError(f"{where}.text: what is said")
    if one.answer == "reject" and one.text:
        raise OperatorError(f'{where}.text: nothing is said to whom is rejected; use answer = "say"')
    if len(one.text) > EDGE_ANSWER_CHARS_MAX:
        raise OperatorError(f"{where}.text: at most {EDGE_ANSWER_CHARS_MAX} characters")


def _check_texts(where: str, one: TextsConfig) -> None:
    both = {word.casefold() for word in one.stop_words} & {word.casefold() for word in one.start_words}
    if both:
        raise OperatorError(f"{where}: {min(both)!r} is both a stop word and a start word")
    for name in ("stop_reply", "start_reply"):
        if len(getattr(one, name)) > EDGE_ANSWER_CHARS_MAX:
            raise OperatorError(f"{where}.{name}: at most {EDGE_ANSWER_CHARS_MAX} characters")
