"""The page /docs: Swagger UI from the package, so that no other host's script runs where people type their keys."""

from __future__ import annotations

from importlib.resources import files
from typing import Final

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

PATHS: Final = ("/docs", "/docs/swagger-ui-bundle.js", "/docs/swagger-ui.css", "/docs/start.js")
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Styles are inline because Swagger UI sets them on its elements; scripts and requests stay with this service."""

_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>ChronicleLedger</title>
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""
_START = """SwaggerUIBundle({url: "openapi.json", dom_id: "#swagger-ui", deepLinking: true, validatorUrl: null});
"""


def routes() -> list[Route]:
    """Return the routes of the page and of what it loads."""
    answers = (_page, _bundle, _style, _start)
    return [Route(path, answer, methods=["GET"]) for path, answer in zip(PATHS, answers, strict=True)]


async def _page(_: Request) -> Response:
    return Response(_PAGE, media_type="text/html", headers=_HEADERS)


async def _bundle(_: Request) -> Response:
    return _asset("swagger-ui-bundle.js", "text/javascript")


async def _style(_: Request) -> Response:
    return _asset("swagger-ui.css", "text/css")


async def _start(_: Request) -> Response:
    return Response(_START, media_type="text/javascript", headers=_HEADERS)


def _asset(name: str, media_type: str) -> Response:
    path = str(files("fastapi_swagger") / "resources" / name)
    return FileResponse(path, media_type=media_type, headers=_HEADERS)
