"""A transport that calls an ASGI application in this process: requests without a socket.

The application's tasks live in an event loop that runs only while somebody waits for an answer.
So no thread has to be stopped, and Ctrl-C reaches whoever waits. An answer may be a stream.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any

import httpx
from typing_extensions import override

Message = MutableMapping[str, Any]
Application = Callable[
    [Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]],
    Awaitable[None],
]

TEND_S = 0.5
"""Pause after which somebody who waits for a stream looks after the work. Ours."""

LEAVE_S = 5.0
"""How long an application may take to notice that its caller has gone. Ours."""


class InProcessTransport(httpx.BaseTransport):
    """Calls an ASGI application; ``tend`` is called now and then while a stream is read."""

    def __init__(self, application: Application, tend: Callable[[], None] | None = None) -> None:
        """Start no thread and open nothing."""
        self._application = application
        self._tend = tend or (lambda: None)
        self._runner = asyncio.Runner()

    @override
    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """The application's answer; its body is read as it comes."""
        request.read()
        exchange = _Exchange(self._application, request)
        try:
            start = self._runner.run(exchange.begin())
        except BaseException:
            self._leave(exchange)
            raise
        return httpx.Response(
            start["status"],
            headers=start.get("headers", []),
            stream=_Body(exchange, self._runner, self._tend, lambda: self._leave(exchange)),
            request=request,
        )

    def _leave(self, exchange: "_Exchange") -> None:
        self._runner.run(exchange.leave())

    @override
    def close(self) -> None:
        """End what is still under way."""
        self._runner.close()


class _Exchange:
    """One request and its answer, as messages of ASGI."""

    def __init__(self, application: Application, request: httpx.Request) -> None:
        self._application = application
        self._request = request
        self._is_sent = False

    def _scope(self) -> Message:
        url = self._request.url
        return {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": self._request.method,
            "headers": [(name.lower(), value) for name, value in self._request.headers.raw],
            "scheme": url.scheme,
            "path": url.path,
            "raw_path": url.raw_path.split(b"?")[0],
            "query_string": url.query,
            "server": (url.host, url.port),
            "client": ("in-process", 0),
            "root_path": "",
        }

    async def begin(self) -> Message:
        """The first message of the answer."""
        self._messages: asyncio.Queue[Message | None] = asyncio.Queue()
        self._gone = asyncio.Event()
        self._task = asyncio.ensure_future(self._run())
        return await self._next()

    async def _run(self) -> None:
        try:
            await self._application(self._scope(), self._receive, self._messages.put)
        finally:
            self._messages.put_nowait(None)

    async def _receive(self) -> Message:
        if self._is_sent:
            await self._gone.wait()
            return {"type": "http.disconnect"}
        self._is_sent = True
        return {"type": "http.request", "body": self._request.content, "more_body": False}

    async def _next(self) -> Message:
        message = await self._messages.get()
        if message is None:
            await self._task
            raise httpx.RemoteProtocolError("the application ended in the middle of an answer")
        return message

    async def chunk(self) -> tuple[bytes, bool] | None:
        """The next bytes and whether more come; None when none came for a while."""
        try:
            message = await asyncio.wait_for(self._next(), TEND_S)
        except TimeoutError:
            return None
        return message.get("body", b""), message.get("more_body", False)

    async def leave(self) -> None:
        """Tell the application that nobody listens, and let it end."""
        if not hasattr(self, "_task"):
            return
        self._gone.set()
        await asyncio.wait([self._task], timeout=LEAVE_S)
        self._task.cancel()


class _Body(httpx.SyncByteStream):
    """The body of an answer, read as the application sends it."""

    def __init__(
        self,
        exchange: _Exchange,
        runner: asyncio.Runner,
        tend: Callable[[], None],
        leave: Callable[[], None],
    ) -> None:
        self._exchange = exchange
        self._runner = runner
        self._tend = tend
        self._leave = leave

    @override
    def __iter__(self) -> Iterator[bytes]:
        more = True
        while more:
            found = self._runner.run(self._exchange.chunk())
            if found is None:
                self._tend()
                continue
            part, more = found
            if part:
                yield part

    @override
    def close(self) -> None:
        self._leave()
