"""HTTPS of simulated BMCs: one listening socket each, one thread for each connection."""

import json
import queue
import socket
import ssl
import threading
import urllib.parse
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from typing_extensions import override

from gigawatt.lab.redfish.answer import Answer, Json, RefusedError
from gigawatt.lab.redfish.config import BmcConfig, SimulatorConfig
from gigawatt.lab.redfish.namespace import listening_socket
from gigawatt.lab.redfish.protocol import answer
from gigawatt.lab.redfish.request import Request
from gigawatt.lab.redfish.routes import asks
from gigawatt.lab.redfish.simulated import LISTENERS_MAX, SimulatedBmc
from gigawatt.lab.redfish.tree import ROOT

BODY_BYTES_MAX = 1 << 20
SILENCE_S_MAX = 60.0
"""A connection on which nothing comes is closed after so long. Ours."""
SSE_PATH = f"{ROOT}/EventService/SSE"
KEEPALIVE_S = 15.0


class _Server(ThreadingHTTPServer):
    """Listens for one BMC."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, bmc: SimulatedBmc) -> None:
        config = bmc.config
        super().__init__((config.ipv4, config.tcp_port), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listening_socket(config.namespace, config.ipv4, config.tcp_port)
        self.server_address = self.socket.getsockname()
        self.bmc = bmc
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(config.certificate_path)

    @override
    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Make a connection safe in its own thread, where it cannot keep others waiting."""
        request.settimeout(SILENCE_S_MAX)
        if self.bmc.failing.now.hangs == "accept":
            self.bmc.ended.wait()
        if self.bmc.is_away:
            self.shutdown_request(request)
            return
        try:
            safe = self.tls.wrap_socket(request, server_side=True)
        except OSError:
            request.close()
            return
        super().process_request_thread(safe, client_address)

    @override
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients come and go, and break off handshakes."""


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server_version = "GigawattLabBmc"
    sys_version = ""

    @property
    def _bmc(self) -> SimulatedBmc:
        assert isinstance(self.server, _Server), "made by it"
        return self.server.bmc

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: requests hold passwords."""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - the library asks for do_METHOD
        if name.startswith("do_"):
            return self._do
        raise AttributeError(name)

    def _do(self) -> None:
        """Any method."""
        bmc = self._bmc
        bmc.request_count += 1
        if bmc.failing.now.hangs == "request":
            bmc.ended.wait()
        if bmc.is_away:
            self.close_connection = True
            return
        bmc.ended.wait(bmc.failing.now.delay_s)
        url = urllib.parse.urlsplit(self.path)
        if url.path == SSE_PATH and self.command == "GET":
            self._stream()
            return
        try:
            given = self._failure() or answer(self._request_of(url))
        except RefusedError as error:
            given = error.answer()
        self._send(given)

    def _failure(self) -> Answer | None:
        failing = self._bmc.failing
        if not failing.is_error_due():
            return None
        return RefusedError(failing.now.error_status, "InternalError", "it fails").answer()

    def _request_of(self, url: urllib.parse.SplitResult) -> Request:
        length = self.headers.get("Content-Length", "0")
        if not length.isdigit() or int(length) > BODY_BYTES_MAX:
            self.close_connection = True
            raise RefusedError(413, "PayloadTooLarge", f"at most {BODY_BYTES_MAX} bytes")
        raw = self.rfile.read(int(length))
        body: Json = {}
        if raw:
            try:
                body = json.loads(raw)
            except ValueError as error:
                raise RefusedError(400, "MalformedJSON", "the body is no JSON") from error
            if not isinstance(body, dict):
                raise RefusedError(400, "UnrecognizedRequestBody", "the body is no JSON object")
        headers = {name.lower(): value for name, value in self.headers.items()}
        path = urllib.parse.unquote(url.path)
        query = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
        return Request(self._bmc, self.command, path, query, headers, body, None)

    def _send(self, given: Answer) -> None:
        raw = b"" if given.body is None else json.dumps(given.body).encode()
        kind = "application/json"
        if given.xml is not None:
            raw, kind = given.xml.encode(), "application/xml"
        headers = {"OData-Version": "4.0", "Cache-Control": "no-store", **given.headers}
        if given.status not in {204, 304}:
            headers["Content-Type"] = f"{kind};charset=utf-8"
            headers["Content-Length"] = str(len(raw))
        if self.close_connection:
            headers["Connection"] = "close"
        phrase = self.responses.get(HTTPStatus(given.status), ("",))[0]
        lines = [f"HTTP/1.1 {given.status} {phrase}", *(f"{k}: {v}" for k, v in headers.items())]
        whole = "\r\n".join([*lines, "", ""]).encode() + (b"" if self.command == "HEAD" else raw)
        dropped_at = self._bmc.failing.now.drop_after_bytes
        if dropped_at is not None:
            self.close_connection = True
        self.wfile.write(whole[:dropped_at])

    def _stream(self) -> None:
        """Server-sent events, until the client leaves."""
        bmc = self._bmc
        headers = {name.lower(): value for name, value in self.headers.items()}
        refusal: RefusedError | None = None
        try:
            if asks(bmc, headers) is None:
                refusal = RefusedError(401, "InsufficientPrivilege", "log in first")
            elif len(bmc.listeners) >= LISTENERS_MAX:
                refusal = RefusedError(503, "EventSubscriptionLimitExceeded", "too many listen")
        except RefusedError as error:
            refusal = error
        if refusal is not None:
            self._send(refusal.answer())
            return
        self.close_connection = True
        waiting: queue.Queue[Json] = queue.Queue()
        bmc.listeners.append(waiting)
        try:
            self.send_response_only(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Connection", "close")
            self.end_headers()
            while not bmc.is_away:
                try:
                    event = waiting.get(timeout=KEEPALIVE_S)
                    text = f"id: {event['Id']}\ndata: {json.dumps(event)}\n\n"
                except queue.Empty:
                    text = ": still here\n\n"
                self.wfile.write(text.encode())
        finally:
            bmc.listeners.remove(waiting)


class Simulator:
    """All BMCs of a process, listening as long as it is open."""

    def __init__(self, config: SimulatorConfig) -> None:
        """Open every socket.

        Raises:
            OSError: one cannot be opened.
        """
        config.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.bmcs = {one.node_id: SimulatedBmc(one, config) for one in config.bmcs}
        self._servers = {node: _Server(bmc) for node, bmc in self.bmcs.items()}
        for node, server in self._servers.items():
            threading.Thread(target=server.serve_forever, name=f"bmc {node}", daemon=True).start()

    def tcp_port_of(self, config: BmcConfig) -> int:
        """Where a BMC listens: what was asked for, or what was free."""
        return int(self._servers[config.node_id].server_address[1])

    def close(self) -> None:
        """Stop listening, and let who hangs end."""
        for bmc in self.bmcs.values():
            bmc.ended.set()
        for server in self._servers.values():
            server.shutdown()
            with suppress(OSError):
                server.socket.shutdown(socket.SHUT_RDWR)
            server.server_close()
