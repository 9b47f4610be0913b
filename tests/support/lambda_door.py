"""A TLS server of Gigawatt in namespaces of its own, in which programs that know nothing of it run.

Run as a program it is the inside: process 1 of its own process, network and mount namespaces. It
gives 127.0.0.1 the names of Lambda's servers, serves there on TCP port 443, notes every call, and
runs the commands that come as lines of JSON. When it ends, the kernel ends all that was started.
``Door`` is the outside.
"""

import asyncio
import fcntl
import json
import os
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from gigawatt.api.application import build_application
from gigawatt.app.home import Home
from gigawatt.app.server import Tls, make_server
from gigawatt.app.service import Service, make_first_key, open_service
from gigawatt.fleet.demo import hgx_fleet
from gigawatt.fleet.yaml_dump import dump_fleet

NAMES = ("cloud.lambdalabs.com", "cloud.lambda.ai")
"""Names of Lambda's servers that clients have built in."""
REGION = "us-west-1"
UNSHARE = ("unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child")
PATIENCE_S = 300.0
"""How long a program may take for one thing: its own start takes most of it on a busy computer."""
UNNOTED = "x-unnoted"
"""Header of calls by the tests themselves."""


def why_not() -> str | None:
    """Why namespaces cannot be made here, None when they can."""
    missing = [tool for tool in ("unshare", "mount") if shutil.which(tool) is None]
    if missing:
        return f"{' and '.join(missing)} not installed"
    if os.geteuid() != 0:
        return "only root makes namespaces"
    tried = subprocess.run([*UNSHARE, "true"], capture_output=True, text=True, check=False)
    return None if tried.returncode == 0 else f"unshare failed: {tried.stderr.strip()}"


@dataclass
class Done:
    """How a command ended."""

    status: int
    output: str
    took_s: float


class Door:
    """The outside of a running server.

    Fields: key is an API key of the project; folder holds ``ca.crt`` and a home for clients.
    """

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self.folder = folder
        self._process = process
        self.key = self._answer()["key"]

    @property
    def environment(self) -> dict[str, str]:
        """What clients need: a home, the root certificate, and nothing of this computer's user."""
        return {
            "HOME": str(self.folder),
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG": "C.UTF-8",
            "USER": "root",
            "REQUESTS_CA_BUNDLE": str(self.folder / "ca.crt"),
            "SSL_CERT_FILE": str(self.folder / "ca.crt"),
        }

    def run(self, *command: str | Path, limit_s: float = PATIENCE_S, **environment: str) -> Done:
        """Run a command inside, to its end."""
        return Done(**self._ask("run", command, environment, limit_s))

    def start(self, *command: str | Path, **environment: str) -> Path:
        """Start a command inside and let it run; the file of its output."""
        return Path(self._ask("start", command, environment, 0.0)["path"])

    def calls(self) -> list[dict[str, Any]]:
        """Calls that the server has answered, oldest first."""
        lines = (self.folder / "calls.jsonl").read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]

    def until(self, what: Any, limit_s: float = PATIENCE_S) -> list[dict[str, Any]]:
        """Calls, as soon as ``what`` is true of them."""
        until_s = time.monotonic() + limit_s
        while time.monotonic() < until_s:
            found = self.calls()
            if what(found):
                return found
            threading.Event().wait(0.1)
        raise AssertionError(f"it did not come: {shown(self.calls())}")

    def get(self, place: str) -> dict[str, Any]:
        """An answer of the server, asked by us and not noted among the calls."""
        return self._ask("call", ["GET", place, "null"], {}, 0.0)

    def post(self, place: str, body: Any) -> dict[str, Any]:
        """The same for a request that changes something."""
        return self._ask("call", ["POST", place, json.dumps(body)], {}, 0.0)

    def until_active(self, wanted: int, limit_s: float = PATIENCE_S) -> list[dict[str, Any]]:
        """Instances, as soon as there are as many as wanted and all are active."""
        return self._poll(
            lambda found: len(found) == wanted and {one["status"] for one in found} == {"active"},
            limit_s,
        )

    def until_gone(self, limit_s: float = PATIENCE_S) -> None:
        """Return as soon as there is no instance."""
        self._poll(lambda found: not found, limit_s)

    def _poll(self, what: Callable[[Any], bool], limit_s: float) -> list[dict[str, Any]]:
        until_s = time.monotonic() + limit_s
        found = None
        while time.monotonic() < until_s:
            found = self.get("/instances")["data"]
            if what(found):
                return found
            threading.Event().wait(0.1)
        raise AssertionError(f"it did not come: {found}")

    def _ask(
        self, verb: str, command: Any, environment: Mapping[str, str], limit_s: float
    ) -> dict[str, Any]:
        assert self._process.stdin is not None
        asked = {
            "verb": verb,
            "command": [str(part) for part in command],
            "environment": self.environment | dict(environment),
            "limit_s": limit_s,
        }
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            said = (self.folder / "server.log").read_text(encoding="utf-8")
            raise AssertionError(f"the server ended: {said[-4000:]}")
        answer: dict[str, Any] = json.loads(line)
        return answer


def shown(calls: list[dict[str, Any]]) -> list[str]:
    """Calls in one word each, e.g. ``POST /ssh-keys 200``."""
    return [
        f"{call['method']} {call['path'].removeprefix('/api/v1')} {call['status']}"
        for call in calls
    ]


@contextmanager
def open_door(folder: Path) -> Iterator[Door]:
    """A running server, ended with all that it started."""
    folder.mkdir(parents=True)
    with (folder / "server.log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(
            [*UNSHARE, sys.executable, __file__, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        )
        try:
            yield Door(process, folder)
        finally:
            process.kill()
            process.communicate()


# --- inside -----------------------------------------------------------------------------------


def make_certificates(folder: Path) -> None:
    """Write ``ca.crt``, ``server.crt`` and ``server.key`` for Lambda's names."""
    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    ca_name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test root")])
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAMES[0])])

    def builder(subject: x509.Name, public: Any) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(ca_name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
            .not_valid_after(datetime(2120, 1, 1, tzinfo=UTC))
        )

    constraints = x509.BasicConstraints(ca=True, path_length=0)
    ca = builder(ca_name, ca_key.public_key()).add_extension(constraints, critical=True)
    names = x509.SubjectAlternativeName([x509.DNSName(one) for one in NAMES])
    leaf = builder(name, key.public_key()).add_extension(names, critical=False)
    root = ca.sign(ca_key, hashes.SHA256()).public_bytes(Encoding.PEM)
    (folder / "ca.crt").write_bytes(root)
    (folder / "server.crt").write_bytes(
        leaf.sign(ca_key, hashes.SHA256()).public_bytes(Encoding.PEM)
    )
    (folder / "server.key").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )


def take_names(folder: Path) -> None:
    """Give this namespace Lambda's names, and its loopback a way up."""
    hosts = folder / "hosts"
    hosts.write_text(f"127.0.0.1 localhost {' '.join(NAMES)}\n", encoding="utf-8")
    subprocess.run(["mount", "--bind", str(hosts), "/etc/hosts"], check=True)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        # SIOCSIFFLAGS with IFF_UP | IFF_RUNNING; see netdevice(7).
        fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh14x", b"lo", 0x1 | 0x40))


class Recorder:
    """ASGI: notes method, path and status of every call."""

    def __init__(self, app: Any, path: Path) -> None:
        self._app, self._path = app, path
        self._path.touch()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one call and note it."""

        async def noting(message: Any) -> None:
            headers = dict(scope["headers"])
            is_noted = UNNOTED.encode() not in headers
            if message["type"] == "http.response.start" and is_noted:
                call = {
                    "at_s": time.monotonic(),
                    "method": scope["method"],
                    "path": scope["path"],
                    "status": message["status"],
                }
                with self._path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(call) + "\n")
            await send(message)

        await self._app(scope, receive, noting)


def carry_out(asked: dict[str, Any], number: int, folder: Path) -> dict[str, Any]:
    """Run or start one command."""
    path, began_s = folder / f"command-{number}.log", time.monotonic()
    with path.open("w", encoding="utf-8") as log:
        process = subprocess.Popen(
            asked["command"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=asked["environment"],
            cwd=folder,
            start_new_session=True,
        )
    if asked["verb"] == "start":
        return {"path": str(path)}
    try:
        status = process.wait(asked["limit_s"])
    except subprocess.TimeoutExpired:
        process.kill()
        status = -1
    output = path.read_text(encoding="utf-8", errors="replace")
    return {"status": status, "output": output, "took_s": time.monotonic() - began_s}


def call_ourselves(asked: dict[str, Any], key: str, folder: Path) -> dict[str, Any]:
    """One request by the test, not noted."""
    method, place, body = asked["command"]
    request = urllib.request.Request(
        f"https://{NAMES[1]}/api/v1{place}",
        data=None if method == "GET" else body.encode(),
        headers={"Authorization": f"Bearer {key}", UNNOTED: "1", "Content-Type": ""},
        method=method,
    )
    context = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    with urllib.request.urlopen(  # noqa: S310 - an address of ours
        request, context=context, timeout=30.0
    ) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def say(answer: Mapping[str, Any]) -> None:
    """Answer the outside."""
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def main(folder: Path) -> None:
    """Serve until the line of commands ends."""
    take_names(folder)
    make_certificates(folder)
    os.environ["GIGAWATT_LAMBDA_REGIONS"] = f"site-a={REGION}"
    home = Home(folder / "gigawatt", None)
    home.make()
    home.fleet_path.write_text(dump_fleet(hgx_fleet(512)), encoding="utf-8")

    def recorded(service: Service) -> Recorder:
        return Recorder(build_application(service), folder / "calls.jsonl")

    with open_service(home) as service:
        key = make_first_key(service, "first")
        tls = Tls(folder / "server.crt", folder / "server.key")
        server = make_server(recorded, service, "127.0.0.1", 443, tls=tls)
        thread = threading.Thread(target=lambda: asyncio.run(server.serve()), daemon=True)
        thread.start()
        service.worker.start()
        while not server.started:
            threading.Event().wait(0.01)
        say({"key": key})
        for number, line in enumerate(sys.stdin):
            asked = json.loads(line)
            is_ours = asked["verb"] == "call"
            done = (
                call_ourselves(asked, key, folder) if is_ours else carry_out(asked, number, folder)
            )
            say(done)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
