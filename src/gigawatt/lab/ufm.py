"""An emulator of UFM's REST API for P_Keys over a real OpenSM. It is not UFM.

It answers the requests that the driver makes, in the form of the public guide, and lets a running
OpenSM do the work: its list of partitions becomes ``partitions.conf``, and the managers are told.
It can be made to fail as servers do. How it differs from UFM is said in docs/lab/fabric.md.
"""

import base64
import json
import ssl
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any, Literal
from urllib.parse import urlsplit

from typing_extensions import override

from gigawatt.boundary.entries import DEFAULT_P_KEY, Membership
from gigawatt.drivers.opensm.conf_file import ConfFile
from gigawatt.drivers.opensm.partitions_conf import IbPartition, IbPartitions
from gigawatt.drivers.opensm.subnet import ManagedFabric, hang_up
from gigawatt.ids import ClusterId

BANNER = "gigawatt-ufm-emulator (this is not UFM)"
OWNER = ClusterId("ufm-emulator")
"""Partitions of ``partitions.conf`` have a name; UFM's have no owner."""
BODY_BYTES_MAX = 16 << 20

Listing = dict[int, dict[int, Membership]]
Answer = tuple[int, object, dict[str, str]]
"""Status, body and headers."""

Fault = Literal["error_500", "refused", "lost_answer", "partial", "no_sweep", "job", "job_fails"]
"""What befalls the next change: an error or a refusal and nothing done; done but no answer; half
of the ports only; listed but not told to OpenSM; done by a job; a job that fails with half done."""


class _RefusedError(Exception):
    """The request is answered with 400."""


@dataclass
class UfmEmulator:
    """One emulator for one fabric.

    Fields:
        fabric: the fabric whose ``partitions.conf`` it writes; nobody else may.
        username, secret: who may sign in by password, and by token with the secret alone.
        tls: certificate and key to serve with; None serves plain HTTP.
        faults: what befalls the next changes, the first one first.
        requests: method and path of every request so far.
    """

    fabric: ManagedFabric
    username: str
    secret: str
    tls: ssl.SSLContext | None = None
    faults: list[Fault] = field(default_factory=list)
    requests: list[tuple[str, str]] = field(default_factory=list)
    _listing: Listing = field(default_factory=dict)
    _jobs: list[tuple[str, str]] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)

    def __post_init__(self) -> None:
        """Open a socket on this machine's loopback; ``start`` serves it."""
        self._file = ConfFile(self.fabric.conf_path, self.fabric.fabric_id)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, self))
        if self.tls is not None:
            self._server.socket = self.tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        """Where it answers."""
        scheme = "http" if self.tls is None else "https"
        return f"{scheme}://127.0.0.1:{self._server.server_address[1]}"

    def start(self) -> None:
        """Take up what ``partitions.conf`` says, and serve."""
        partitions = self._file.read().by_p_key
        self._listing = {p_key: dict(p.members) for p_key, p in partitions.items()}
        self._thread.start()

    def stop(self) -> None:
        """Serve no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def clear(self) -> None:
        """Forget all partitions, faults and jobs, and have OpenSM do so."""
        with self._lock:
            self.faults.clear()
            self._jobs.clear()
            self.requests.clear()
            self._list({}, is_swept=True)

    def answer(self, method: str, target: str, signed: str, body: bytes) -> Answer | None:
        """The answer to one request; None hangs up without one."""
        path = urlsplit(target).path
        self.requests.append((method, path))
        if signed != self._authorization(path):
            return 401, {"error": "sign in"}, {}
        rest = path.split("/", 2)[2].strip("/").split("/")
        with self._lock:
            if method == "GET":
                return self._show(rest)
            try:
                return self._change(method, rest, body)
            except (_RefusedError, ValueError, KeyError, TypeError) as error:
                return 400, {"error": f"bad request: {error}"}, {}

    def _authorization(self, path: str) -> str:
        if path.startswith("/ufmRestV3/"):
            return f"Basic {self.secret}"
        pair = f"{self.username}:{self.secret}".encode()
        return f"Basic {base64.b64encode(pair).decode()}"

    def _show(self, rest: list[str]) -> Answer:
        if rest == ["app", "ufm_version"]:
            return 200, {"ufm_release_version": "emulator"}, {}
        if rest == ["resources", "pkeys"]:
            return 200, {f"{p_key:#x}": _row(p_key, m) for p_key, m in self._all().items()}, {}
        if rest[:2] == ["resources", "pkeys"] and len(rest) == 3:
            members = self._all().get(int(rest[2], 16))
            if members is None:
                return 404, {"error": "no such P_Key"}, {}
            return 200, _row(int(rest[2], 16), members), {}
        if rest[0] == "jobs" and rest[1:] in [[str(n + 1)] for n in range(len(self._jobs))]:
            state, summary = self._jobs[int(rest[1]) - 1]
            return 200, {"ID": rest[1], "Status": state, "Summary": summary}, {}
        return 404, {"error": "no such resource"}, {}

    def _all(self) -> Listing:
        """What is listed: UFM's "management" partition too, whose members it does not name."""
        return {DEFAULT_P_KEY: {}, **self._listing}

    def _change(self, method: str, rest: list[str], body: bytes) -> Answer | None:
        after, touched = self._wanted(method, rest, body)
        fault = self.faults.pop(0) if self.faults else None
        if fault == "error_500":
            return 500, {"error": "internal error"}, {}
        if fault == "refused":
            return 400, {"error": "refused by order"}, {}
        if fault in ("partial", "job_fails"):
            after = self._half(after, touched)
        self._list(after, is_swept=fault != "no_sweep")
        if fault == "lost_answer":
            return None
        if fault in ("job", "job_fails"):
            ended = ("Completed", "") if fault == "job" else ("Completed With Errors", "1 failed")
            self._jobs.append(ended)
            return 202, {}, {"Location": f"/ufmRest/jobs/{len(self._jobs)}"}
        return 200, {}, {}

    def _wanted(self, method: str, rest: list[str], body: bytes) -> tuple[Listing, int]:
        """What is to be listed after a change, and the P_Key that it is about."""
        after = {p_key: dict(members) for p_key, members in self._listing.items()}
        if rest[:2] != ["resources", "pkeys"]:
            raise _RefusedError("no such resource")
        if method in ("POST", "PUT") and len(rest) == 2:
            p_key, members = _read(json.loads(body))
            after[p_key] = members if method == "PUT" else {**after.get(p_key, {}), **members}
            return after, p_key
        if method == "DELETE" and len(rest) >= 3:
            p_key = int(rest[2], 16)
            leaving = after.get(p_key, {}) if len(rest) == 3 else map(_guid, rest[4].split(","))
            for guid in list(leaving):
                after.get(p_key, {}).pop(guid, None)
            return {key: members for key, members in after.items() if members}, p_key
        raise _RefusedError(f"{method} is not for this")

    def _half(self, after: Listing, touched: int) -> Listing:
        """The change done to every other port only."""
        before, wanted = self._listing.get(touched, {}), after.get(touched, {})
        guids = sorted(before.keys() | wanted.keys())
        mixed = {g: how for g in guids[::2] if (how := wanted.get(g))}
        mixed |= {g: how for g in guids[1::2] if (how := before.get(g))}
        return {**after, touched: mixed} if mixed else after

    def _list(self, listing: Listing, *, is_swept: bool) -> None:
        self._listing = listing
        if not is_swept:
            return
        by_p_key = {p_key: IbPartition(OWNER, m) for p_key, m in listing.items() if m}
        managers = self._file.read().managers
        self._file.write(IbPartitions(self.fabric.fabric_id, by_p_key, managers=managers))
        for subnet in self.fabric.subnets:
            hang_up(subnet)


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    server_version = BANNER
    sys_version = ""

    def __init__(self, emulator: UfmEmulator, *args: Any) -> None:  # noqa: ANN401 - as the server gives
        self._emulator = emulator
        super().__init__(*args)

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        if length > BODY_BYTES_MAX:
            self.send_error(413)
            return
        signed = self.headers.get("Authorization", "")
        answer = self._emulator.answer(self.command, self.path, signed, self.rfile.read(length))
        if answer is None:
            self.close_connection = True
            return
        status, body, headers = answer
        said = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {**headers, "Content-Type": "application/json"}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    do_GET = _serve  # noqa: N815 - the server's name
    do_POST = _serve  # noqa: N815 - the server's name
    do_PUT = _serve  # noqa: N815 - the server's name
    do_DELETE = _serve  # noqa: N815 - the server's name

    @override
    def log_message(self, *_: object) -> None:
        """Say nothing: requests are kept in the emulator."""


def _row(p_key: int, members: dict[int, Membership]) -> dict[str, object]:
    return {
        "partition": "management" if p_key == DEFAULT_P_KEY else f"api_pkey_{p_key:#x}",
        "ip_over_ib": True,
        "guids": [
            {"guid": f"{guid:016x}", "membership": how, "index0": False}
            for guid, how in members.items()
        ],
    }


def _read(body: dict[str, Any]) -> tuple[int, dict[int, Membership]]:
    """P_Key and members of a request.

    Raises:
        _RefusedError: they are not of the guide's form.
    """
    p_key = int(body["pkey"], 16)
    if not 0 < p_key < DEFAULT_P_KEY:
        raise _RefusedError(f"pkey {body['pkey']}")
    guids = [_guid(text) for text in body["guids"]]
    how = body.get("memberships") or [body.get("membership", "full")] * len(guids)
    if not guids or len(how) != len(guids) or not {*how} <= {"full", "limited"}:
        raise _RefusedError("guids and memberships do not go together")
    return p_key, dict(zip(guids, how, strict=True))


def _guid(text: str) -> int:
    if not 16 <= len(text) <= 20:
        raise _RefusedError(f"guid {text!r}")
    return int(text, 16)
