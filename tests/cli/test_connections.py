"""Which control plane a command talks to, and what it says when that does not answer.

Goal: flags stand before environment before file; a key goes to its own server only and is shown
nowhere; whatever is wrong with an address, a key or a certificate is one line and a next step; a
server that stops in the middle loses nothing.
Method: commands in this process against real servers on loopback, some of them not ours.
"""

import http.server
import io
import json
import os
import re
import shlex
import signal
import ssl
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import httpx
import pytest
from typing_extensions import override

from gigawatt.api.application import MODULES, build_application
from gigawatt.api.parts import PARTS, PartedApplication
from gigawatt.app import embedded, worker
from gigawatt.app.embedded import open_embedded
from gigawatt.app.home import Home
from gigawatt.app.service import make_first_key
from gigawatt.app.serving import Serving, serving
from gigawatt.cli.main import COMMANDS, main
from gigawatt.cli.settings import config_path, flags
from gigawatt.cli.work import profiles
from gigawatt.cli.work.profiles import Profile, Profiles, place_now, write_profiles
from gigawatt.errors import DataError, InputError
from gigawatt.fleet.demo import hgx_fleet
from gigawatt.fleet.yaml_dump import dump_fleet
from gigawatt.identity.permissions import PERMISSIONS
from gigawatt.ids import OperationId
from gigawatt.sdk import Client
from gigawatt.sdk import documents as doc

SOURCE = Path(__file__).parents[2] / "src"
PATIENCE_S = 45.0


def outcome(words: str) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of one command."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as end:
        main(shlex.split(words))
    return int(end.value.code or 0), out.getvalue(), err.getvalue()


@pytest.fixture(autouse=True)
def own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing of this computer's is read or written."""
    for name in [name for name in os.environ if name.startswith("GIGAWATT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIGAWATT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("PYTHONPATH", str(SOURCE))
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    monkeypatch.setattr("gigawatt.sdk.client._pause_s", lambda *_: 0.0)
    flags.server = flags.profile = None
    return tmp_path


def small_home(path: Path) -> Home:
    home = Home(path)
    home.make()
    home.fleet_path.write_text(dump_fleet(hgx_fleet(512)), encoding="utf-8")
    return home


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Serving, str]]:
    """A server and the key of its operator."""
    home = small_home(tmp_path_factory.mktemp("served"))
    with serving(home, build_application) as found:
        yield found, make_first_key(found.service, "olu")


def log_in(url: str, key: str, monkeypatch: pytest.MonkeyPatch, more: str = "") -> str:
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{key}\n"))
    status, out, err = outcome(f"login {url} {more}")
    assert status == 0, err
    return out + err


def test_logging_in_keeps_a_key_that_nobody_else_reads(
    served: tuple[Serving, str], monkeypatch: pytest.MonkeyPatch, own_place: Path
):
    server, key = served
    told = log_in(server.url, key, monkeypatch)
    assert "olu (operator)" in told
    assert key not in told
    path = config_path()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    status, out, err = outcome("whoami")
    assert (status, server.url in out, key in out + err) == (0, True, False)
    path.chmod(0o644)
    assert "chmod 600" in outcome("cluster list")[2]
    assert outcome("logout")[0] == 0
    assert key not in path.read_text()
    assert "embedded" in outcome("whoami")[1]
    assert outcome("logout")[0] == 2
    assert (own_place / "home").exists()


def test_a_key_is_no_argument_and_stays_out_of_what_is_printed():
    status, _, err = outcome("login http://127.0.0.1:1 gw_0123456789abcdef_secret")
    assert status == 2
    assert "Usage" in err
    place = profiles.Place("http://x", "gw_secret", "", "")
    assert "gw_secret" not in repr((place, Profile("http://x", "gw_secret")))


def test_flags_stand_before_environment_before_file(monkeypatch: pytest.MonkeyPatch):
    one, two, three = (Profile(f"http://{n}.example.org", f"key-{n}", n) for n in "abc")
    write_profiles(Profiles("one", {"one": one, "two": two, "three": three}))

    def now() -> tuple[str, str, str]:
        place = place_now()
        return place.server, place.api_key, place.project

    def of(profile: Profile) -> tuple[str, str, str]:
        return profile.server, profile.api_key, profile.project

    assert now() == of(one)
    monkeypatch.setenv("GIGAWATT_PROFILE", "two")
    assert now() == of(two)
    monkeypatch.setenv("GIGAWATT_SERVER", three.server + "/")
    assert now() == of(three)
    monkeypatch.setenv("GIGAWATT_API_KEY", "key-of-environment")
    assert now() == (three.server, "key-of-environment", "c")
    flags.profile = "one"
    assert now() == of(one)
    flags.server, flags.profile = two.server, None
    assert now() == (two.server, "key-of-environment", "b")
    flags.server = "embedded"
    assert now() == ("", "", "")


def test_a_key_goes_to_its_own_server_only(monkeypatch: pytest.MonkeyPatch):
    write_profiles(Profiles("one", {"one": Profile("https://a.example.org", "key-a")}))
    monkeypatch.setenv("GIGAWATT_SERVER", "https://evil.example.org")
    with pytest.raises(InputError, match="no key is known"):
        place_now()
    monkeypatch.delenv("GIGAWATT_SERVER")
    flags.profile = "nobody"
    with pytest.raises(InputError, match="there is one"):
        place_now()


def test_a_damaged_file_of_profiles_is_named():
    write_profiles(Profiles())
    config_path().write_text("current = [", encoding="utf-8")
    with pytest.raises(DataError, match=re.escape(str(config_path()))):
        place_now()


@contextmanager
def certified_by_itself(folder: Path) -> Iterator[str]:
    """An HTTPS server whose certificate nobody has signed but itself."""
    file = folder / "both.pem"
    words = (
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
    )
    command = ["openssl", *words.split(), "-keyout", str(file), "-out", str(folder / "c.pem")]
    subprocess.run(command, check=True, capture_output=True)
    file.write_text(file.read_text() + (folder / "c.pem").read_text())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    with running(server):
        yield f"https://127.0.0.1:{server.server_port}"


@contextmanager
def running(server: http.server.HTTPServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Page(http.server.BaseHTTPRequestHandler):
    """A web server that is not ours."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>welcome</html>")

    def log_message(self, *_: object) -> None:
        """Nothing."""


def test_whatever_is_wrong_is_one_line_and_a_next_step(
    served: tuple[Serving, str], own_place: Path, monkeypatch: pytest.MonkeyPatch
):
    server, key = served
    free = http.server.HTTPServer(("127.0.0.1", 0), Page)
    page = f"http://127.0.0.1:{free.server_port}"
    wrong = f"gw_{'0' * 16}_{'x' * 43}"
    with certified_by_itself(own_place) as itself, running(free):
        for url, sent, status, said in (
            ("localhost:8080", key, 2, "not the address"),
            ("ftp://localhost", key, 2, "not the address"),
            ("http://127.0.0.1:99999", key, 2, "not the address"),
            ("http://127.0.0.1:1", key, 5, "does not answer"),
            (server.url, wrong, 2, "unknown, expired or revoked"),
            (server.url, "rubbish", 2, "not of the form"),
            (page, key, 2, "not as a Gigawatt server"),
            (itself, key, 5, "is not trusted"),
        ):
            monkeypatch.setenv("GIGAWATT_SERVER", url)
            monkeypatch.setenv("GIGAWATT_API_KEY", sent)
            found, out, err = outcome("cluster list")
            assert (found, out) == (status, ""), (url, err)
            assert said in err, (url, err)
            assert [line.split(":")[0] for line in err.splitlines()] == ["error", "  next"], err
            assert sent not in err


def test_an_expired_key_says_how_to_log_in_again(
    served: tuple[Serving, str], monkeypatch: pytest.MonkeyPatch
):
    server, key = served
    log_in(server.url, key, monkeypatch)
    made = outcome("key create short")[1].strip()
    log_in(server.url, made, monkeypatch, "--profile short")
    found = json.loads(outcome("key list --profile short -o json")[1])
    (key_id,) = (k["id"] for k in found if k["name"] == "short")
    assert outcome(f"key revoke {key_id} --profile default")[0] == 0
    status, _, err = outcome("cluster list --profile short")
    assert status == 2
    assert f"gw login {server.url} --profile short" in err


def test_somebody_elses_change_is_not_overwritten(
    served: tuple[Serving, str], monkeypatch: pytest.MonkeyPatch
):
    server, key = served
    log_in(server.url, key, monkeypatch, "--project default")
    assert outcome("cluster create mine --gpus 16 --yes")[0] == 0

    def change_meanwhile(*_: object) -> bool:
        with monkeypatch.context() as calm:
            calm.setattr("gigawatt.cli.work.clusters.ask", lambda _: True)
            assert outcome("cluster grow mine --gpus 8 --yes")[0] == 0
        return True

    monkeypatch.setattr("gigawatt.cli.work.clusters.ask", change_meanwhile)
    status, _, err = outcome("cluster release mine")
    assert status == 4, err
    assert "version" in err
    assert json.loads(outcome("cluster show mine -o json")[1])["state"] == "active"


CLIENT_LINES = {
    "cluster": ("cluster create here --gpus 8 --yes", "cluster list", "cluster list --quiet",
                "cluster show here", "cluster grow here --gpus 8 --yes",
                "cluster shrink here --gpus 8 --yes", "cluster watch here",
                "cluster evidence here", "cluster files here",
                "cluster replace here h-su000-n00 --yes", "cluster release here --yes"),
    "plan": ("plan there --gpus 8",),
    "fleet": ("fleet show", "fleet show --nodes", "fleet map", "fleet check",
              "fleet lint-fabric", "fleet power", "fleet stranded -o json",
              "fleet stranded", "fleet find h-su001-n01"),
    "node": ("node drain h-su001-n01", "node list --quiet", "node quarantine h-su001-n01",
             "node return h-su001-n01"),
    "explain": ("explain h-su001-n02", "explain stuck"),
    "events": ("events --limit 5", "events --node h-su001-n01", "events --kind node"),
    "prove": ("prove", "prove --targets"),
    "reconcile": ("reconcile", "reconcile --history"),
    "operation": ("operation list", "operation list -o json"),
    "project": ("project create second", "project list", "project show second",
                "project quota second --gpus 16", "project list --quiet"),
    "member": ("member add mia", "member role mia read_only", "member list",
               "member remove mia --yes"),
    "key": ("key list", "key list --quiet"),
    "ssh-key": ("ssh-key add laptop key.pub", "ssh-key list"),
    "file-system": ("file-system create data --size 1TiB", "file-system list --quiet",
                    "file-system resize data --size 2TiB", "file-system list",
                    "file-system delete data --yes"),
    "firewall": ("firewall create ssh --site site-a --allow tcp:22:198.51.100.0/24",
                 "firewall set ssh --allow udp:53-54:198.51.100.0/24", "firewall list",
                 "firewall delete ssh"),
    "queue": ("queue add later --gpus 8 --quiet", "queue add last --gpus 8 --max-price 99",
              "queue list", "queue list --all --quiet", "queue supply", "queue turned-away"),
    "reservation": ("reservation plan q3 --gpus 8 --type h100 --from 2027-07-01 --months 1",
                    "reservation create q3 --gpus 8 --type h100 --from 2027-07-01 --months 1 --yes",
                    "reservation list", "reservation show q3", "reservation cancel q3 --yes"),
    "capacity": ("capacity --gpus 16 --type h100 --hours 48",),
    "spot": ("spot prices", "spot notices", "spot order"),
    "usage": ("usage", "usage --by day -o json", "usage records", "usage check"),
    "budget": ("budget show", "budget set 25000 --cap --at 90", "budget set none"),
    "contract": ("contract add credit welcome --amount 5 --from 2099-01 --to 2099-02",
                 "contract list", "contract price storage 0.03 --from 2099-01",
                 "contract prices"),
    "billing": ("billing plan 2026-01", "billing close 2026-01 --yes", "billing list",
                "billing statement"),
    "invoice": ("invoice tag here blue", "invoice list", "invoice list --quiet"),
    "payment": ("payment list", "payment overdue", "payment payouts", "payment payouts --refresh",
                "payment events --verdict held",
                "payment record bank-1 5.00", "payment list --state settled --quiet"),
    "ledger": ("ledger check", "ledger export"),
    "audit": ("audit --limit 3",),
    "utilisation": ("utilisation", "utilisation --by hour -o json"),
    "price": ("price --gpus 8 --for 72h", "price --gpus 8 -o json"),
    "rate": ("rate import --demo --quiet", "rate set h100 2.49 --site site-a", "rate list",
             "rate history --type h100 -o json"),
    "whoami": ("whoami", "whoami -o yaml"),
}  # fmt: skip
"""Commands that are clients of the API, and lines of each that end well in either mode."""

LOCAL = {
    "login", "logout", "up", "server", "backup", "restore", "migrate", "underwrite", "twin",
    "economics", "index", "completion", "demo", "lab",
}  # fmt: skip
"""Commands that work on this computer alone."""


def test_every_command_is_a_client_or_local():
    assert set(CLIENT_LINES) | LOCAL == set(COMMANDS)
    assert not set(CLIENT_LINES) & LOCAL


class EndedWorker:
    """A worker process that has ended."""

    returncode = 0

    def poll(self) -> int:
        return self.returncode


def run_worker_here(home: Home, operation_id: OperationId) -> EndedWorker:
    worker.main([str(home.path), operation_id])
    return EndedWorker()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("mode", ["embedded", "server"])
def test_every_client_command_works_in_both_modes(
    mode: str, own_place: Path, monkeypatch: pytest.MonkeyPatch
):
    home = small_home(own_place / "home")
    monkeypatch.chdir(own_place)
    monkeypatch.setattr(embedded, "start_worker", run_worker_here)
    Path("key.pub").write_text("ssh-ed25519 AAAA me\n")
    if mode == "embedded":
        with open_embedded(home) as service:
            service.adopt_project("ten_default")
        run_client_lines()
        return
    with serving(small_home(own_place / "other"), build_application) as server:
        log_in(server.url, make_first_key(server.service, "olu"), monkeypatch)
        # The second project makes it unclear whose the others are; the profile says so.
        log_in(server.url, outcome("key create again")[1].strip(), monkeypatch, "--project default")
        run_client_lines()
    assert not home.store_path.exists(), "a client of a server opens nothing here"


def run_client_lines() -> None:
    for lines in CLIENT_LINES.values():
        for line in lines:
            status, _, err = outcome(line)
            assert status == 0, (line, err)


def test_the_parts_of_the_application_are_the_whole(tmp_path: Path):
    with open_embedded(small_home(tmp_path / "home")) as service:
        whole, parted = build_application(service), PartedApplication(service)
        described = {
            operation["operationId"]: path
            for path, methods in whole.openapi()["paths"].items()
            for operation in methods.values()
        }
        assert set(described) == {name for name in PERMISSIONS if "_lambda_" not in name}
        for operation, path in described.items():
            part = parted.part_of(path).openapi()["paths"][path]
            assert operation in {found["operationId"] for found in part.values()}
    assert {name for names in PARTS.values() for name in names} <= set(MODULES)


def environment(folder: Path, **more: str) -> dict[str, str]:
    return {
        "GIGAWATT_HOME": str(folder / "home"), "HOME": str(folder), "PATH": os.environ["PATH"],
        "PYTHONPATH": str(SOURCE), "LC_ALL": "C.UTF-8", **more,
    }  # fmt: skip


class ServerProcess:
    """``gw server`` as a process, on a TCP port that stays the same when it starts again."""

    def __init__(self, folder: Path, tcp_port: int = 0):
        self.log = folder / "server.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gigawatt.cli", "server", "--grace", "0",
                 "--listen", f"127.0.0.1:{tcp_port}"],
                env=environment(folder), stderr=log, stdout=log, cwd=folder,
            )  # fmt: skip
        end_s = time.monotonic() + PATIENCE_S
        while not (found := re.search(r"running on http://[\d.]+:(\d+)", self.log.read_text())):
            assert time.monotonic() < end_s, self.log.read_text()
            threading.Event().wait(0.05)
        self.tcp_port = int(found[1])

    def stop(self, number: int = signal.SIGKILL) -> None:
        self.process.send_signal(number)
        self.process.wait(PATIENCE_S)


def seen(stream: io.BufferedReader, text: str) -> str:
    """What a process writes, up to a text."""
    said = ""
    for line in iter(stream.readline, b""):
        said += line.decode()
        if text in said:
            return said
    raise AssertionError(f"no {text!r} in {said!r}")


class BreaksOff(httpx.HTTPTransport):
    """A network that breaks the first streams off after their first words."""

    def __init__(self, break_count: int) -> None:
        super().__init__()
        self.left_count = break_count

    @override
    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = super().handle_request(request)
        if self.left_count > 0 and request.url.path.endswith(":stream"):
            self.left_count -= 1
            response.stream = Cut(response.stream)
        return response


class Cut(httpx.SyncByteStream):
    """A stream that ends with an error after its first piece."""

    def __init__(self, whole: Any) -> None:
        self.whole = whole

    def __iter__(self) -> Iterator[bytes]:
        yield next(iter(self.whole))
        raise httpx.ReadError("cut")

    def close(self) -> None:
        self.whole.close()


def test_a_stream_that_breaks_off_is_opened_again(
    served: tuple[Serving, str], monkeypatch: pytest.MonkeyPatch
):
    server, key = served
    monkeypatch.setattr("gigawatt.sdk.client.time.sleep", lambda _: None)
    told: list[str] = []
    with Client(server.url, key, transport=BreaksOff(3)) as client:
        (project,) = [p.id for p in client.list_projects().items if p.name == "default"]
        wish = doc.ClusterRequest(project_id=project, name="cut", gpu_count=256)
        made = client.create_cluster(wish)
        found = list(client.watch_operation(str(made.operation_id), tell=told.append))
    assert found[-1].state == "done"
    # A launch that was over before anybody looked has nothing left to break off.
    assert len(told) <= 3
    assert told or len(found) == 1
    with Client(server.url, key, transport=BreaksOff(99)) as client:
        running = client.get_operation(str(made.operation_id))
        assert running.state == "done"
        assert [o.state for o in client.watch_operation(running.id)] == ["done"]


@pytest.mark.slow
@pytest.mark.parametrize("comes_back", [True, False])
def test_a_server_that_dies_in_the_middle_of_watching(own_place: Path, comes_back: bool):
    small_home(own_place / "home").fleet_path.unlink()  # the fleet of 10,000 GPUs takes longer
    made = subprocess.run(
        [sys.executable, "-m", "gigawatt.cli", "key", "create"],
        env=environment(own_place), capture_output=True, text=True, check=True,
    )  # fmt: skip
    server = ServerProcess(own_place)
    place = {
        "GIGAWATT_SERVER": f"http://127.0.0.1:{server.tcp_port}",
        "GIGAWATT_API_KEY": made.stdout.strip(),
    }
    watching = subprocess.Popen(
        [sys.executable, "-m", "gigawatt.cli", "cluster", "create", "train", "--gpus", "8000",
         "--yes"],
        env=environment(own_place, **place), stderr=subprocess.PIPE, stdout=subprocess.PIPE,
        cwd=own_place,
    )  # fmt: skip
    assert watching.stderr is not None
    seen(watching.stderr, "hosts")
    server.stop()
    seen(watching.stderr, "trying again")
    if comes_back:
        server = ServerProcess(own_place, server.tcp_port)
    out, err = watching.communicate(timeout=PATIENCE_S * 2)
    if comes_back:
        server.stop(signal.SIGTERM)
        assert watching.returncode == 0, err
        assert b"is active" in out
    else:
        assert watching.returncode == 5, err
        assert b"does not answer" in err
        assert b"gw cluster watch" in err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_client_that_is_killed_leaves_the_work_to_the_server(
    own_place: Path, served: tuple[Serving, str], number: int
):
    server, key = served
    name = f"left-{number}"
    place = {"GIGAWATT_SERVER": server.url, "GIGAWATT_API_KEY": key}
    line = [sys.executable, "-m", "gigawatt.cli", "cluster", "create", name, "--gpus", "64"]
    for more in ([], ["--yes"]):
        client = subprocess.Popen(
            [*line, *more, "--project", "default"],
            env=environment(own_place, **place), stdin=subprocess.PIPE, stderr=subprocess.PIPE,
            stdout=subprocess.PIPE, cwd=own_place,
        )  # fmt: skip
        assert client.stdout is not None
        seen(client.stdout, "takes")  # the plan is shown
        client.send_signal(number)
        client.communicate(timeout=PATIENCE_S)
        assert client.returncode != 0 or more
    store = server.service.control.around.store
    end_s = time.monotonic() + PATIENCE_S
    while any(c.name == name and c.phase.value != "active" for c in store.clusters()):
        assert time.monotonic() < end_s
        threading.Event().wait(0.05)
    assert len([c for c in store.clusters() if c.name == name]) <= 1


def test_up_serves_and_leaves_the_profiles_as_they_were(own_place: Path):
    small_home(own_place / "home")
    write_profiles(Profiles("mine", {"mine": Profile("https://a.example.org", "key-a")}))
    place = environment(own_place, GIGAWATT_CONFIG=str(config_path()))
    up = subprocess.Popen(
        [sys.executable, "-m", "gigawatt.cli", "up", "--listen", "127.0.0.1:0"],
        env=place, stdout=subprocess.PIPE, cwd=own_place,
    )  # fmt: skip
    assert up.stdout is not None
    seen(up.stdout, "Press Ctrl-C")
    status, out, _ = outcome("whoami")
    assert (status, "127.0.0.1" in out, "operator" in out) == (0, True, True)
    up.send_signal(signal.SIGINT)
    up.communicate(timeout=PATIENCE_S)
    assert up.returncode == 0
    assert place_now().server == "https://a.example.org"
    assert list(profiles.read_profiles().by_name) == ["mine"]
