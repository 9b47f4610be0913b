"""Clients of the service: ``Client`` blocks, ``AsyncClient`` awaits; both are made of ``calls``.

A POST gets an idempotency key, so that repeating it after a lost reply does nothing twice. A reply
that is lost, and an answer 429 or 503, are tried again; everything else is an error of ours.
"""

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ParamSpec, Self, TypeVar

import httpx
from pydantic import TypeAdapter

from gigawatt.errors import DataError, DriverRetryableError, GigawattError, RateError
from gigawatt.sdk import documents as doc
from gigawatt.sdk.calls import BASE, Call
from gigawatt.sdk.calls.call import path_of
from gigawatt.sdk.failures import error_of, is_hopeless, not_ours, unreachable
from gigawatt.sdk.methods import AwaitingMethods, BlockingMethods

P = ParamSpec("P")
T = TypeVar("T")
Item = TypeVar("Item")

TRY_COUNT_MAX = 4
"""Tries of one request in all. Ours."""

RECONNECT_COUNT_MAX = 7
"""Times that a broken stream is opened again in a row, over about 20 s. Ours."""

STREAM_TIMEOUT_S = 40.0
"""Longest silence on a stream. Ours: twice the service's heartbeat, and some."""

ENDED = frozenset({"done", "unwound", "stuck"})
"""States of an operation that nobody carries on."""

_RETRIED = frozenset({429, 503})


def _headers(call: Call[Any]) -> dict[str, str]:
    headers = {"Accept": "application/json, application/problem+json, text/plain"}
    if call.method == "POST":
        headers["Idempotency-Key"] = call.idempotency_key or secrets.token_hex(16)
    if call.if_match is not None:
        headers["If-Match"] = f'"{call.if_match}"'
    return headers


def _request(http: httpx.Client | httpx.AsyncClient, call: Call[Any]) -> httpx.Request:
    body = None if call.body is None else call.body.model_dump(mode="json", exclude_unset=True)
    return http.build_request(
        call.method, call.path, params=dict(call.query), json=body, headers=_headers(call)
    )


def _read(call: Call[T], response: httpx.Response) -> T:
    """The answer in a response.

    Raises:
        GigawattError: the service said no, in the class that it raised.
        DataError: the answer is not what it should be.
    """
    if response.status_code >= 400:
        raise error_of(response)
    if call.answer is bytes:
        return response.content  # type: ignore[return-value]
    if call.answer is str:
        return response.text  # type: ignore[return-value]
    if call.answer is type(None):
        return None
    try:
        return TypeAdapter(call.answer).validate_json(response.content)
    except ValueError as error:
        raise not_ours(response) from error


def _pause_s(attempt: int, response: httpx.Response | None) -> float:
    """How long to wait before the next try: what the service says, else longer every time."""
    said = response.headers.get("Retry-After", "") if response is not None else ""
    return float(said) if said.isdecimal() else 0.2 * 2.0**attempt


def _options(url: str, api_key: str, timeout_s: float) -> dict[str, Any]:
    return {
        "base_url": url,
        "headers": {"Authorization": f"Bearer {api_key}"} if api_key else {},
        "timeout": timeout_s,
    }


def _streaming(cluster_id: str | None, after: int | None) -> dict[str, Any]:
    return {
        "params": {} if cluster_id is None else {"cluster_id": cluster_id},
        "headers": {} if after is None else {"Last-Event-ID": str(after)},
        "timeout": STREAM_TIMEOUT_S,
    }


def _gathered(lines: dict[str, str], line: str) -> dict[str, str]:
    """Fields of a server-sent event so far; an empty line ends it.

    Source: https://html.spec.whatwg.org/multipage/server-sent-events.html
    """
    if not line:
        return {}
    name, _, value = line.partition(":")
    return {**lines, name: value.removeprefix(" ")} if name else lines


def _event(lines: Mapping[str, str]) -> doc.Event:
    return doc.Event.model_validate(json.loads(lines["data"]))


def _operation(lines: Mapping[str, str]) -> doc.Operation:
    return doc.Operation.model_validate(json.loads(lines["data"]))


def _stream_path(operation_id: str) -> str:
    return path_of("operations", operation_id, verb="stream")


@dataclass(slots=True)
class _Patience:
    """How often a stream that broke off is opened again without a word from the service."""

    tell: Callable[[str], None]
    break_count: int = 0

    def spend(self, error: GigawattError | None) -> float:
        """Seconds to wait before the next try.

        Raises:
            GigawattError: it was tried often enough.
        """
        self.break_count += 1
        if self.break_count > RECONNECT_COUNT_MAX:
            raise error or DataError("the stream ended before the operation did, again and again")
        self.tell(str(error or "the server ended the stream"))
        return min(5.0, 0.2 * 2.0**self.break_count)

    def renew(self) -> None:
        """The service spoke."""
        self.break_count = 0


def _is_passing(error: GigawattError) -> bool:
    return isinstance(error, DriverRetryableError | RateError)


class Client(BlockingMethods):
    """The client that blocks; close it, or use it in a ``with``."""

    def __init__(
        self,
        url: str,
        api_key: str,
        *,
        timeout_s: float = 60.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """Talk to the service at ``url`` with a key ``gw_...``, empty for one to log in."""
        self._http = httpx.Client(**_options(url, api_key, timeout_s), transport=transport)

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def send(self, call: Call[T]) -> T:
        """Send a call; its answer.

        Raises:
            GigawattError: the service said no, in the class that it raised.
        """
        request = _request(self._http, call)
        for attempt in range(TRY_COUNT_MAX):
            is_last = attempt == TRY_COUNT_MAX - 1
            response = None
            try:
                response = self._http.send(request)
            except httpx.TransportError as error:
                if is_last or is_hopeless(error):
                    raise unreachable(request, error) from error
            if response is not None and (response.status_code not in _RETRIED or is_last):
                return _read(call, response)
            time.sleep(_pause_s(attempt, response))
        raise AssertionError("the last try answers or raises")

    def pages(self, make: Callable[..., Call[doc.Page[Item]]], **query: object) -> Iterator[Item]:
        """All items of a list, page after page, e.g. ``pages(calls.list_clusters)``."""
        cursor = None
        while True:
            page = self.send(make(**query, cursor=cursor))
            yield from page.items
            cursor = page.next_cursor
            if cursor is None:
                return

    def stream_events(
        self, *, cluster_id: str | None = None, after: int | None = None
    ) -> Iterator[doc.Event]:
        """Events as they happen, from sequence number ``after`` on; ends when the server does."""
        for lines in self._lines(f"{BASE}/events:stream", **_streaming(cluster_id, after)):
            yield _event(lines)

    def _lines(self, path: str, **options: Any) -> Iterator[dict[str, str]]:  # noqa: ANN401 - httpx
        """Server-sent events as fields.

        Raises:
            GigawattError: the service said no, or the connection broke.
        """
        try:
            with self._http.stream("GET", path, **options) as response:
                if response.status_code >= 400:
                    response.read()
                    raise error_of(response)
                lines: dict[str, str] = {}
                for line in response.iter_lines():
                    if not line and "data" in lines:
                        yield lines
                    lines = _gathered(lines, line)
        except httpx.TransportError as error:
            raise unreachable(self._http.build_request("GET", path), error) from error

    def watch_operation(
        self, operation_id: str, *, tell: Callable[[str], None] = lambda _: None
    ) -> Iterator[doc.Operation]:
        """An operation each time it has changed, until its end, across broken connections.

        Args:
            operation_id: which.
            tell: called with the reason whenever the connection broke and is made again.

        Raises:
            GigawattError: the service said no, or did not come back.
        """
        patience, path = _Patience(tell), _stream_path(operation_id)
        while True:
            broken: GigawattError | None = None
            try:
                for lines in self._lines(path, timeout=STREAM_TIMEOUT_S):
                    patience.renew()
                    found = _operation(lines)
                    yield found
                    if found.state in ENDED:
                        return
            except GigawattError as error:
                if not _is_passing(error):
                    raise
                broken = error
            time.sleep(patience.spend(broken))


class AsyncClient(AwaitingMethods):
    """The client that awaits; close it, or use it in a ``async with``."""

    def __init__(
        self,
        url: str,
        api_key: str,
        *,
        timeout_s: float = 60.0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Talk to the service at ``url`` with a key ``gw_...``, empty for one to log in."""
        self._http = httpx.AsyncClient(**_options(url, api_key, timeout_s), transport=transport)

    async def __aenter__(self) -> Self:
        """Itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close it."""
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def send(self, call: Call[T]) -> T:
        """Send a call; its answer.

        Raises:
            GigawattError: the service said no, in the class that it raised.
        """
        request = _request(self._http, call)
        for attempt in range(TRY_COUNT_MAX):
            is_last = attempt == TRY_COUNT_MAX - 1
            response = None
            try:
                response = await self._http.send(request)
            except httpx.TransportError as error:
                if is_last or is_hopeless(error):
                    raise unreachable(request, error) from error
            if response is not None and (response.status_code not in _RETRIED or is_last):
                return _read(call, response)
            await asyncio.sleep(_pause_s(attempt, response))
        raise AssertionError("the last try answers or raises")

    async def pages(
        self, make: Callable[..., Call[doc.Page[Item]]], **query: object
    ) -> AsyncIterator[Item]:
        """All items of a list, page after page, e.g. ``pages(calls.list_clusters)``."""
        cursor = None
        while True:
            page = await self.send(make(**query, cursor=cursor))
            for item in page.items:
                yield item
            cursor = page.next_cursor
            if cursor is None:
                return

    async def stream_events(
        self, *, cluster_id: str | None = None, after: int | None = None
    ) -> AsyncIterator[doc.Event]:
        """Events as they happen, from sequence number ``after`` on; ends when the server does."""
        async for lines in self._lines(f"{BASE}/events:stream", **_streaming(cluster_id, after)):
            yield _event(lines)

    async def _lines(
        self,
        path: str,
        **options: Any,  # noqa: ANN401 - httpx
    ) -> AsyncIterator[dict[str, str]]:
        """Server-sent events as fields.

        Raises:
            GigawattError: the service said no, or the connection broke.
        """
        try:
            async with self._http.stream("GET", path, **options) as response:
                if response.status_code >= 400:
                    await response.aread()
                    raise error_of(response)
                lines: dict[str, str] = {}
                async for line in response.aiter_lines():
                    if not line and "data" in lines:
                        yield lines
                    lines = _gathered(lines, line)
        except httpx.TransportError as error:
            raise unreachable(self._http.build_request("GET", path), error) from error

    async def watch_operation(
        self, operation_id: str, *, tell: Callable[[str], None] = lambda _: None
    ) -> AsyncIterator[doc.Operation]:
        """An operation each time it has changed; see ``Client.watch_operation``."""
        patience, path = _Patience(tell), _stream_path(operation_id)
        while True:
            broken: GigawattError | None = None
            try:
                async for lines in self._lines(path, timeout=STREAM_TIMEOUT_S):
                    patience.renew()
                    found = _operation(lines)
                    yield found
                    if found.state in ENDED:
                        return
            except GigawattError as error:
                if not _is_passing(error):
                    raise
                broken = error
            await asyncio.sleep(patience.spend(broken))
