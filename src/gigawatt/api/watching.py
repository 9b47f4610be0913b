"""Counts, logs and traces every request, around the door."""

import logging
from time import perf_counter

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gigawatt.app.service import Service
from gigawatt.app.watch.context import REQUEST, RequestScope

_log = logging.getLogger("gigawatt.api")

QUIET_PATHS = frozenset({"/healthz", "/readyz"})
"""Asked every few seconds by whoever starts and stops servers; counted, not logged."""

STATUS_OF_A_CUT = 499
"""Status on paper of a request whose caller left before an answer began. Source: nginx."""


class Watched:
    """ASGI middleware; the outermost, so that it sees what the door refuses."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        """Wrap ``app``, which serves ``service``."""
        self._app = app
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = perf_counter()
        answered: list[tuple[int, float]] = []

        async def noting_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                answered.append((int(message["status"]), perf_counter() - began))
            await send(message)

        traceparent = dict(scope["headers"]).get(b"traceparent", b"").decode("latin-1")
        about = RequestScope(scope, self._service.now_s(), traceparent=traceparent)
        reset = REQUEST.set(about)
        try:
            await self._app(scope, receive, noting_send)
        finally:
            status, took_s = answered[0] if answered else (STATUS_OF_A_CUT, perf_counter() - began)
            self._tell(scope, about, status, took_s)
            REQUEST.reset(reset)

    def _tell(self, scope: Scope, about: RequestScope, status: int, took_s: float) -> None:
        route = scope.get("route")
        about.operation = getattr(route, "operation_id", None) or "none"
        self._service.watching.request_ended(about, status, self._service.now_s(), took_s)
        if scope["path"] in QUIET_PATHS:
            return
        # The route's own path: what stands in a request's path or query is the caller's.
        path = getattr(route, "path", "unknown path")
        facts = {"operation": about.operation, "status": status, "took_s": round(took_s, 4)}
        _log.info("%s %s %d", scope["method"], path, status, extra=facts)
