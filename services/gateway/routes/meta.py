"""About the API itself: health, the problem catalogue, OpenAPI and its offline viewer. No key needed."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import openapi_ui_bundles.swagger_ui

from services.gateway import problem_pages
from services.gateway.call import Call, Reply
from services.gateway.catalogue import CATALOGUE, catalogue_json, slug
from services.gateway.errors import Problem
from services.gateway.routes.resource import document
from services.gateway.routes.route import Route
from services.gateway.schemas.meta import Alive, ProblemType, ProblemTypes, Readiness

Condition = Callable[[], Mapping[str, str]]
"""What still keeps the gateway from being ready, by part; "ok" for what does not."""

_ASSETS = {
    "swagger-ui.css": b"text/css; charset=utf-8",
    "swagger-ui-bundle.js": b"text/javascript; charset=utf-8",
    "favicon-32x32.png": b"image/png",
}
_VIEWER = b"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Sampan API</title>
<link rel="stylesheet" href="/docs/swagger-ui.css">
<link rel="icon" type="image/png" href="/docs/favicon-32x32.png">
</head>
<body>
<div id="viewer"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"""
_START = (
    b'SwaggerUIBundle({url: "/openapi.json", dom_id: "#viewer", deepLinking: true, validatorUrl: null});\n'
)
# The viewer may load nothing from elsewhere; its style attributes are made by its own script.
_POLICY = (
    b"content-security-policy",
    b"default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    b"connect-src 'self'; frame-ancestors 'none'",
)
_CACHED = (b"cache-control", b"public, max-age=86400")
_NOSNIFF = (b"x-content-type-options", b"nosniff")


class Meta:
    """`openapi` is filled in once all routes are known."""

    def __init__(self, condition: Condition) -> None:
        self._condition = condition
        self.openapi = b"{}"

    async def healthz(self, call: Call) -> Reply:
        """GET /healthz"""
        return document({"alive": True})

    async def readyz(self, call: Call) -> Reply:
        """GET /readyz"""
        checks = self._condition()
        ready = all(state == "ok" for state in checks.values())
        return document({"ready": ready, "checks": checks}, status=200 if ready else 503)

    async def document(self, call: Call) -> Reply:
        """GET /openapi.json"""
        return Reply(200, self.openapi)

    async def viewer(self, call: Call) -> Reply:
        """GET /docs"""
        return Reply(200, _VIEWER, media_type=b"text/html; charset=utf-8", headers=(_POLICY, _NOSNIFF))

    async def asset(self, call: Call) -> Reply:
        """GET /docs/{asset}"""
        name = call.path["asset"]
        if name == "start.js":
            return Reply(
                200, _START, media_type=b"text/javascript; charset=utf-8", headers=(_CACHED, _NOSNIFF)
            )
        if name not in _ASSETS:
            raise Problem("ROUTE_NOT_FOUND", "there is no such file")
        return Reply(200, _asset(name), media_type=_ASSETS[name], headers=(_CACHED, _NOSNIFF))

    async def problems(self, call: Call) -> Reply:
        """GET /problems"""
        if problem_pages.is_for_people(call.header(b"accept")):
            return _page(problem_pages.catalogue_page(CATALOGUE.values()))
        return _varied(document({"problems": catalogue_json()}))

    async def problem(self, call: Call) -> Reply:
        """GET /problems/{problem}"""
        wanted = call.path["problem"]
        for kind, entry in zip(CATALOGUE.values(), catalogue_json(), strict=True):
            if slug(kind.reason) == wanted:
                if problem_pages.is_for_people(call.header(b"accept")):
                    return _page(problem_pages.problem_page(kind))
                return _varied(document(entry))
        raise Problem("ROUTE_NOT_FOUND", "there is no such type of problem")

    def routes(self) -> tuple[Route, ...]:
        """The table."""
        return (
            Route(
                "GET",
                "/healthz",
                self.healthz,
                None,
                "meta",
                "Whether the process is alive",
                answer=Alive,
                name="getHealth",
            ),
            Route(
                "GET",
                "/readyz",
                self.readyz,
                None,
                "meta",
                "Whether the read models have caught up",
                "503 with the same document while they have not.",
                answer=Readiness,
                answer_example={
                    "ready": True,
                    "checks": {"keys": "ok", "read models": "ok", "order feed": "ok"},
                },
                name="getReadiness",
            ),
            Route(
                "GET",
                "/openapi.json",
                self.document,
                None,
                "meta",
                "This document",
                answer=dict[str, Any],
                name="getOpenApi",
            ),
            Route(
                "GET",
                "/docs",
                self.viewer,
                None,
                "meta",
                "A viewer for it",
                answer_media_type="text/html",
                name="getDocs",
            ),
            Route(
                "GET",
                "/docs/{asset}",
                self.asset,
                None,
                "meta",
                "A part of the viewer",
                answer_media_type="text/css",
                reasons=("ROUTE_NOT_FOUND",),
                name="getDocsAsset",
            ),
            Route(
                "GET",
                "/problems",
                self.problems,
                None,
                "meta",
                "Every type of problem",
                "JSON, or a page for people where Accept names HTML first, as browsers do.",
                answer=ProblemTypes,
                answer_media_types_too=("text/html",),
            ),
            Route(
                "GET",
                "/problems/{problem}",
                self.problem,
                None,
                "meta",
                "One type of problem",
                "What the `type` of a problem leads to: JSON, or a page for people where Accept names HTML first.",
                answer=ProblemType,
                answer_media_types_too=("text/html",),
                reasons=("ROUTE_NOT_FOUND",),
            ),
        )


def _page(body: bytes) -> Reply:
    return Reply(
        200,
        body,
        media_type=problem_pages.HTML,
        headers=(problem_pages.POLICY, problem_pages.VARY, _NOSNIFF),
    )


def _varied(reply: Reply) -> Reply:
    reply.headers.append(problem_pages.VARY)
    return reply


@cache
def _asset(name: str) -> bytes:
    content: bytes = (openapi_ui_bundles.swagger_ui.static_path / name).read_bytes()
    return content
