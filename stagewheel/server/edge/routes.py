"""All routes of the edge as one ASGI application.

Laws: a route that is not configured does not exist. Whatever is asked, the answer is ours: JSON with a code,
never a page of a framework. A new route is one class with a method for each verb, and one line here.
"""

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from stagewheel.server.edge.answers import Refusal
from stagewheel.server.edge.chats import Chats, Telegram
from stagewheel.server.edge.documents import Documents
from stagewheel.server.edge.endpoint import Edge
from stagewheel.server.edge.forms import Forms
from stagewheel.server.edge.health import Health
from stagewheel.server.edge.hooks import Events, Hooks
from stagewheel.server.edge.job_ends import JobEnds
from stagewheel.server.edge.statuses import StatusCallbacks
from stagewheel.server.edge.texts import Texts
from stagewheel.server.edge.tracking import Tracking
from stagewheel.server.edge.unsubscribe import Unsubscribe
from stagewheel.server.edge.visits import Visits
from stagewheel.server.edge.voice import Voice


def application(edge: Edge) -> Starlette:
    """The application of these settings."""
    config, health = edge.config, Health(edge)
    routes = [
        Route("/healthz", edge.endpoint("healthz", health.healthz), methods=["GET"]),
        Route("/readyz", edge.endpoint("readyz", health.readyz), methods=["GET"]),
        Route("/metrics", edge.endpoint("metrics", health.metrics, has_token=True), methods=["GET"]),
    ]
    if config.hooks:
        post = edge.endpoint("hooks", Hooks(edge).post, has_token=True)
        routes.append(Route("/hooks/{name}", post, methods=["POST"]))
    if config.forms:
        forms = Forms(edge)
        routes.append(Route("/forms/{name}", edge.endpoint("forms", forms.post), methods=["POST"]))
        preflight = edge.endpoint("forms", forms.preflight)
        routes.append(Route("/forms/{name}", preflight, methods=["OPTIONS"]))
    if config.telegram:
        post = edge.endpoint("telegram", Telegram(edge).post, has_token=True)
        routes.append(Route("/telegram/{name}", post, methods=["POST"]))
    if config.chats:
        post = edge.endpoint("chats", Chats(edge).post, has_token=True)
        routes.append(Route("/chats/{name}", post, methods=["POST"]))
    if config.voice:
        voice = Voice(edge)
        for path, answer in (("", voice.call), ("/end", voice.end), ("/status", voice.status)):
            post = edge.endpoint("voice", answer, has_token=True)
            routes.append(Route(f"/voice/{{name}}{path}", post, methods=["POST"]))
    if config.texts:
        post = edge.endpoint("texts", Texts(edge).post, has_token=True)
        routes.append(Route("/texts/{name}", post, methods=["POST"]))
    if config.events is not None:
        post = edge.endpoint("events", Events(edge).post, has_token=True)
        routes.append(Route("/events", post, methods=["POST"]))
    if config.visits is not None:
        get = edge.endpoint("visits", Visits(edge, config.visits).get)
        routes.append(Route("/v.gif", get, methods=["GET"]))
    if config.public_url:
        tracking, unsubscribe = Tracking(edge), Unsubscribe(edge)
        click = edge.endpoint("click", tracking.click, has_token=True)
        opened = edge.endpoint("open", tracking.open, has_token=True)
        status = edge.endpoint("status", StatusCallbacks(edge).post, has_token=True)
        page = edge.endpoint("unsubscribe", unsubscribe.get, has_token=True)
        post = edge.endpoint("unsubscribe", unsubscribe.post, has_token=True)
        documents = Documents(edge)
        shown = edge.endpoint("document", documents.show, has_token=True)
        scanned = edge.endpoint("qr", documents.scan, has_token=True)
        ended = edge.endpoint("job_ends", JobEnds(edge).post, has_token=True)
        routes += [
            Route("/c/{signed}", click, methods=["GET"]),
            Route("/o/{signed}", opened, methods=["GET"]),
            Route("/u/{signed}", page, methods=["GET"]),
            Route("/u/{signed}", post, methods=["POST"]),
            Route("/a/{signed}", ended, methods=["POST"]),
            Route("/s/{signed}", status, methods=["POST"]),
            Route("/d/{signed}", shown, methods=["GET"]),
            Route("/q/{signed}", scanned, methods=["GET"]),
        ]
    return Starlette(routes=routes, exception_handlers={HTTPException: _nothing_here})


async def _nothing_here(request: Request, error: Exception) -> Response:
    """No such path, or another method."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    code = {404: "not_found", 405: "wrong_method"}.get(status, "bad_request")
    response = Refusal(status, code, "there is nothing here").response()
    if isinstance(error, HTTPException):
        response.headers.update(error.headers or {})
    return response
