"""The documents of ads: what may stand beside `do: ad_audience`.

Laws: those of `document.py`.
"""

from typing import ClassVar, Literal

from stagewheel.server.rules.document import Doc, Hours


class AdAudienceDoc(Doc):
    """H7."""

    what: ClassVar[str] = "ad_audience"
    do: str
    list: str | int
    account: str = ""
    operation: Literal["add", "remove"] = "add"
    match: Literal["email", "phone", "both"] = "both"
    type: str = "auto"
    use: Literal["first", "last"] = "first"
    expires: str | None = None
    hours: Hours | None = None
    on_unknown: Literal["retry", "fail"] = "retry"
