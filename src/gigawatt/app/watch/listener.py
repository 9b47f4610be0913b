"""The listener of the metrics: a door of its own, apart from the API (ADR-0028).

It answers when the API does not: it asks neither the directory nor the rate limit. In return it is
off unless named, stays on loopback unless readers show a key, and can only be read.
"""

import hmac
import ipaddress
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from typing_extensions import override

from gigawatt.app.home import read_text
from gigawatt.app.watch.settings import METRICS_KEY_VARIABLE, WatchSettings
from gigawatt.errors import DataError, InputError

KEY_LENGTH_MIN = 16
"""A shorter key can be guessed. Ours."""

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Source: prometheus.io, "Exposition formats"."""

SOCKET_TIMEOUT_S = 10.0
"""How long a reader may take to ask or to read."""

Page = Callable[[], bytes]
StartResponse = Callable[..., object]


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 16


class _Handler(WSGIRequestHandler):
    timeout = SOCKET_TIMEOUT_S  # type: ignore[mutable-override]

    @override
    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a scrape every few seconds is no event."""

    @override
    def address_string(self) -> str:
        return str(self.client_address[0])


def read_key(settings: WatchSettings) -> str | None:
    """The key that readers must show, None if there is none.

    Raises:
        InputError: the file cannot be read, or its key is too short.
    """
    if settings.metrics_key_file is None:
        return None
    key = read_text(settings.metrics_key_file).strip()
    if len(key) < KEY_LENGTH_MIN:
        raise InputError(
            f"the key in {settings.metrics_key_file} has {len(key)} characters,"
            f" wanted at least {KEY_LENGTH_MIN}",
            next_step="Make one, e.g. with: openssl rand -hex 32",
        )
    return key


def refuse_open(host: str, key: str | None) -> None:
    """Refuse to show metrics to a network without a key.

    Raises:
        InputError: the host is not a loopback address, and there is no key.
    """
    if key is not None or host == "localhost":
        return
    try:
        is_inside = ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_inside = False
    if not is_inside:
        raise InputError(
            f"metrics on {host} would be open to everybody who reaches it",
            next_step=f"Listen on 127.0.0.1, or name a file with a key in {METRICS_KEY_VARIABLE}.",
        )


class Pages:
    """WSGI application: a few pages of text, for who shows the key."""

    def __init__(self, pages: dict[str, Page], key: str | None) -> None:
        """Serve ``pages`` by path."""
        self._pages = pages
        self._wanted = None if key is None else f"Bearer {key}".encode()

    def __call__(self, environ: dict[str, Any], start: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        said = str(environ.get("HTTP_AUTHORIZATION", "")).encode()
        if self._wanted is not None and not hmac.compare_digest(said, self._wanted):
            return _answer(start, "401 Unauthorized", b"", [("WWW-Authenticate", "Bearer")])
        page = self._pages.get(str(environ.get("PATH_INFO")))
        if page is None:
            return _answer(start, "404 Not Found", b"")
        if environ["REQUEST_METHOD"] not in {"GET", "HEAD"}:
            return _answer(start, "405 Method Not Allowed", b"", [("Allow", "GET, HEAD")])
        return _answer(start, "200 OK", page())


def _answer(
    start: StartResponse, status: str, body: bytes, headers: Iterable[tuple[str, str]] = ()
) -> Iterable[bytes]:
    fixed = [
        ("Content-Type", CONTENT_TYPE),
        ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store"),
        ("X-Content-Type-Options", "nosniff"),
    ]
    start(status, [*fixed, *headers])
    return [body]


@contextmanager
def listening(
    pages: dict[str, Page], place: tuple[str, int], key: str | None
) -> Iterator[tuple[str, int]]:
    """Serve pages at a host and TCP port in a thread, until the block ends; where it listens.

    Raises:
        DataError: the address cannot be had.
        InputError: the address needs a key.
    """
    refuse_open(place[0], key)
    try:
        server = make_server(
            place[0], place[1], Pages(pages, key), server_class=_Server, handler_class=_Handler
        )
    except OSError as error:
        raise DataError(
            f"metrics cannot be served on {place[0]}:{place[1]}: {error.strerror}",
            next_step="Name another address, or end what listens there.",
        ) from error
    thread = threading.Thread(target=server.serve_forever, name="gigawatt-metrics", daemon=True)
    thread.start()
    try:
        yield place[0], server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
