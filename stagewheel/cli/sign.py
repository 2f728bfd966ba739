"""`stagewheel sign`: a signed value for the HTTP edge, to be put into a link or a hidden field.

Laws: it is signed with the key that the configuration leads to, which is never shown. What no route of this
configuration would read is refused. How other programs sign the same way stands in docs/edge.md.
"""

import time
from typing import Final

import click

from stagewheel.cli.output import emit, json_option
from stagewheel.errors import CallerError, OperatorError
from stagewheel.server.config import load
from stagewheel.server.core.limits import ITEM_KEY_BYTES_MAX
from stagewheel.server.edge.config import VISIT, EdgeConfig, check, purpose_of
from stagewheel.server.edge.signing import sign

DAYS: Final = 30.0
DAY_S: Final = 86_400


@click.command()
@click.argument("purpose")
@click.argument("key")
@click.option("--config", required=True, metavar="FILE", help="The server's settings, with [edge].")
@click.option("--days", type=float, default=DAYS, show_default=True, help="How long it is taken; 0: always.")
@json_option
def command(purpose: str, key: str, config: str, days: float, as_json: bool) -> None:
    """Sign the KEY of an item or contact for a PURPOSE: form:NAME, or visit.

    The value of `form:NAME` goes into the hidden field of that form, the value of `visit` into the parameter
    `s` of the pixel.
    """
    edge = load(config, {}).edge
    if edge is None:
        raise OperatorError(f"{config}: there is no [edge]")
    _check_purpose(edge, purpose)
    if days < 0:
        raise CallerError("--days: 0 or more")
    if len(key.encode()) > ITEM_KEY_BYTES_MAX:
        raise CallerError(f"KEY: the key of an item or contact has at most {ITEM_KEY_BYTES_MAX} bytes")
    expires_s = int(time.time() + days * DAY_S) if days else 0
    signed = sign(check(edge).signing_key, purpose, key, expires_s)
    if as_json:
        emit({"purpose": purpose, "key": key, "expires_s": expires_s, "signed": signed})
    else:
        click.echo(signed)


def _check_purpose(edge: EdgeConfig, purpose: str) -> None:
    known = [purpose_of(name) for name, form in edge.forms.items() if form.item_field]
    if edge.visits is not None:
        known.append(VISIT)
    if purpose not in known:
        raise CallerError(f"{purpose}: no route reads it; use one of {', '.join(known) or '(none)'}")
