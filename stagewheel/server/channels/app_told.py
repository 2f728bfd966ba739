"""What an HTTP handler of an application action answers, at once or by its call-back (H8)."""

from typing import Any

from msgspec import Struct


class Told(Struct):
    """What a handler answers, at once or by its call-back."""

    results: dict[str, Any] = {}
    refused: str | None = None
