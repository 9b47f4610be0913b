"""The web console (ADR-0046): files that were built from ``console/``, served beside the API."""

import gzip
import mimetypes
from functools import cache
from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse
from starlette.types import Receive, Scope, Send

import gigawatt

FOLDER = Path(gigawatt.__file__).parent / "console" / "dist"
"""Where ``make console`` and the build of the package put it."""

POLICY = "; ".join((
    "default-src 'self'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' data: blob:",
    "connect-src 'self'",
    "object-src 'none'",
    "base-uri 'none'",
    "form-action 'self'",
    "frame-ancestors 'none'",
))  # fmt: skip
"""Nothing from elsewhere and nothing inline. Source: W3C, Content Security Policy Level 3."""

HEADERS = {
    "Content-Security-Policy": POLICY,
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
    "Cross-Origin-Opener-Policy": "same-origin",
}

NOT_BUILT = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Gigawatt</title>
<h1>The console is not built</h1>
<p>This server answers the API and the command line; the pages for browsers are missing.</p>
<p>Run <code>make console</code> in the checkout, then load this page again.</p>
</html>
"""

Found = tuple[bytes, bytes, str]
"""A file: its bytes, the same packed with gzip, and its media type."""


def add_console(app: FastAPI) -> None:
    """Serve the console wherever nothing else is served."""
    absent = app.router.default

    async def console_or_absent(scope: Scope, receive: Receive, send: Send) -> None:
        response = _answer(Request(scope)) if scope["type"] == "http" else None
        await (absent if response is None else response)(scope, receive, send)

    app.router.default = console_or_absent


@cache
def _files(folder: Path, _built_ns: int) -> dict[str, Found]:
    """Every file of the console by its path; read once after each build."""
    found = {}
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        content = path.read_bytes()
        media = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        found[f"/{path.relative_to(folder).as_posix()}"] = (content, gzip.compress(content), media)
    return found


def _answer(request: Request) -> Response | None:
    """A file of the console, its one page for what a browser shows, or None."""
    path = request.url.path
    if request.method not in {"GET", "HEAD"}:
        return None
    index = FOLDER / "index.html"
    files = _files(FOLDER, index.stat().st_mtime_ns) if index.is_file() else {}
    if path in files and path != "/index.html":
        return _sent(request, files[path], is_kept=path.startswith("/assets/"))
    is_page = path == "/" or "text/html" in request.headers.get("Accept", "")
    if not is_page or path.startswith(("/gw/", "/api/", "/assets/")):
        return None
    if not files:
        return HTMLResponse(NOT_BUILT, 200 if path == "/" else 404, headers=HEADERS)
    return _sent(request, files["/index.html"], is_kept=False)


def _sent(request: Request, found: Found, *, is_kept: bool) -> Response:
    """A file; one whose name holds a hash of its content may be kept for ever."""
    content, packed, media = found
    is_packed = "gzip" in request.headers.get("Accept-Encoding", "")
    headers = {
        **HEADERS,
        "Cache-Control": "public, max-age=31536000, immutable" if is_kept else "no-cache",
        "Vary": "Accept-Encoding",
        **({"Content-Encoding": "gzip"} if is_packed else {}),
    }
    return Response(packed if is_packed else content, media_type=media, headers=headers)
