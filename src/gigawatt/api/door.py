"""What every request passes first: an id, a limit on its bytes, and safe headers on its answer."""

import re
import secrets
from collections.abc import Callable
from typing import Any

from fastapi import Request, Response
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gigawatt.api.problems import answer_to
from gigawatt.errors import TooLargeError
from gigawatt.units import MIB

BODY_BYTES_MAX = MIB
"""Largest body that is read."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

SAFE_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}
"""Source: OWASP, "REST Security Cheat Sheet", security headers."""


class Door:
    """ASGI middleware around everything."""

    def __init__(
        self,
        app: ASGIApp,
        body_bytes_max: int = BODY_BYTES_MAX,
        answer: Callable[[Request, Exception], Response] = answer_to,
    ) -> None:
        """Wrap ``app``; ``answer`` says a refusal in the words of whoever would have served."""
        self._app = app
        self._answer = answer
        self._body_bytes_max = body_bytes_max

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        said = headers.get("X-Request-Id", "")
        request_id = said if _REQUEST_ID.fullmatch(said) else f"req_{secrets.token_hex(8)}"
        scope["gigawatt.request_id"] = request_id

        async def marked_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                out = MutableHeaders(scope=message)
                out["X-Request-Id"] = request_id
                for name, value in SAFE_HEADERS.items():
                    out.setdefault(name, value)
            await send(message)

        length = headers.get("Content-Length", "0")
        body = None
        if length.isdecimal() and int(length) <= self._body_bytes_max:
            body = await self._whole_body(receive)
        if body is None:
            error = TooLargeError(f"the body has more than {self._body_bytes_max:,} bytes")
            await self._answer(Request(scope), error)(scope, receive, marked_send)
            return
        await self._app(scope, _replay(body, receive), marked_send)

    async def _whole_body(self, receive: Receive) -> bytes | None:
        """The body, None when it is too long, whatever its header says."""
        chunks: list[bytes] = []
        count = 0
        while True:
            message: dict[str, Any] = dict(await receive())
            if message["type"] != "http.request":
                return b"".join(chunks)
            chunks.append(message.get("body", b""))
            count += len(chunks[-1])
            if count > self._body_bytes_max:
                return None
            if not message.get("more_body", False):
                return b"".join(chunks)


def _replay(body: bytes, receive: Receive) -> Receive:
    """A ``receive`` that gives the body once, then what comes from the connection."""
    is_given = False

    async def again() -> Message:
        nonlocal is_given
        if is_given:
            return await receive()
        is_given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
