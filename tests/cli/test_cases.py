"""Scripts of commands and what a person sees.

Goal: every screen is looked at, no change of one goes unnoticed, and a server shows what the
embedded control plane shows.
Method: each ``cases/NAME.txt`` is a script in a home of its own; commands run in this process,
once over the embedded control plane, with the worker's own ``main`` in the place of its process,
and once over a real server on loopback. What they write is compared with ``cases/NAME.out`` after
ids, times and paths were replaced. A line ``!`` does something to the fake devices behind
everybody's back. ``pytest tests/cli --bless`` writes the expected output.
"""

import io
import json
import re
import shlex
import sys
from collections.abc import Callable
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from gigawatt.api.application import build_application
from gigawatt.app import embedded, worker
from gigawatt.app.home import Home
from gigawatt.app.rate import RateLimiter
from gigawatt.app.service import make_first_key
from gigawatt.app.serving import serving
from gigawatt.app.wiring import open_control, open_world
from gigawatt.boundary.entries import HostSlice, NetworkPort
from gigawatt.boundary.render import render
from gigawatt.cli.main import main
from gigawatt.cli.work.profiles import Profile, Profiles, write_profiles
from gigawatt.fleet.demo import hgx_fleet
from gigawatt.fleet.discovery.ibnet_writer import ibnet_text
from gigawatt.identity.accounts import Project
from gigawatt.ids import ClusterId, DeviceId, NodeId, OperationId, TenantId
from gigawatt.sdk import Client
from gigawatt.store.directory import SqlDirectory

CASES = Path(__file__).parent / "cases"
SCRIPTS = sorted(CASES.glob("*.txt"))
PROGRESS = re.compile(r"^  (?:undo|verify|(?:hold|close|boot|stop|clean|isolate)[a-z -]+)\n", re.M)
"""What is told while it lasts; how much of it depends on who is faster."""
SOMEBODY = ClusterId("clu_somebody")


class EndedWorker:
    """A worker process that has ended."""

    def __init__(self, status: int):
        self.returncode = status

    def poll(self) -> int:
        return self.returncode


def run_worker_here(home: Home, operation_id: OperationId) -> EndedWorker:
    return EndedWorker(worker.main([str(home.path), operation_id]))


def _break(home: Home, *nodes: str) -> None:
    """Hosts that refuse everybody: somebody else's slice is on them."""
    with open_world(home, home.fleet()) as world:
        for node in nodes:
            slot = HostSlice(NodeId(node), 0xFF, False, "strange", "strange", (), "on")
            world.plant(slot, owner=SOMEBODY)


def _reboot(home: Home, *devices: str) -> None:
    with open_world(home, home.fleet()) as world:
        for device in devices:
            world.reboot(DeviceId(device))


def _stray(home: Home, name: str, other: str) -> None:
    """The first host of cluster ``other`` is put into the network of cluster ``name``."""
    with open_control(home) as control, open_world(home, control.around.fleet) as world:
        ports = []
        for cluster in (name, other):
            target = control.snapshot().targets[control.cluster_id_of(cluster)]
            entries = render(control.around.fleet, target)
            ports.append(next(e for e in entries if isinstance(e, NetworkPort)))
        world.plant(replace(ports[1], vni=ports[0].vni))


ACTS: dict[str, Callable[..., None]] = {"break": _break, "reboot": _reboot, "stray": _stray}


def redacted(text: str, folder: Path) -> str:
    """The text with everything that differs from run to run replaced, widths kept."""
    text = text.replace(str(folder), "FOLDER")
    numbers: dict[str, int] = {}
    text = re.sub(
        r"\b(clu|fsy|pln|op|prf|rec|res)_[0-9a-f]{16}\b",
        lambda m: f"{m[1]}_{numbers.setdefault(m[0], len(numbers) + 1):016d}",
        text,
    )
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", "2026-01-01 12:00:00 UTC", text)
    text = re.sub(r"(?!2030)\d{4}-\d\d-\d\d \d\d:\d\d UTC", "2026-01-01 12:00 UTC", text)
    text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", "2026-01-01T12:00:00+00:00", text)
    text = re.sub(r"^\d{4}-\d\d-\d\d(?=  )", "2026-01-01", text, flags=re.M)
    text = re.sub(r"\bworker \S+:\d+(?::[0-9a-f]{8})?(?!\S)", "worker HOST:1", text)
    text = re.sub(r"\bacc_(?:local|[0-9a-f]{16})\b", "ACCOUNT", text)
    text = re.sub(r"\breq_[0-9a-f]{16}\b", "REQUEST", text)
    text = re.sub(r"digest [0-9a-f]{32}", "digest D", text)
    text = re.sub(r'"expires_s": [\d.]+', '"expires_s": 0', text)
    text = re.sub(r'"expected_s": [\d.]+', '"expected_s": 0', text)
    text = re.sub(r"\$[\d,.]+ so far", "$0.01 so far", text)
    text = re.sub(r"^usage from .*", "usage from FROM to TO", text, flags=re.M)
    text = re.sub(r'"cost_micro_usd": \d+', '"cost_micro_usd": 0', text)
    return re.sub(r"(?<![\w.])\d+ s\b", "1 s", text)


def run_line(words: list[str]) -> str:
    """What one command writes, standard error too, and its exit status if it is not 0."""
    seen = io.StringIO()
    status: object = 0
    with redirect_stdout(seen), redirect_stderr(seen):
        try:
            main(words)
        except SystemExit as end:
            status = end.code or 0
    shown = PROGRESS.sub("", seen.getvalue())
    return shown + (f"[exit {status}]\n" if status else "")


class Nobody:
    """No server: commands use the embedded control plane."""

    def prepare(self, words: list[str]) -> None:
        """Nothing."""

    def stop(self) -> None:
        """Nothing."""


class OneServer:
    """A server over a home, with the projects of the scripts and a profile for its operator.

    It reads the fleet when it starts, so it stands still while a command changes that.
    """

    def __init__(self, home: Home):
        self.home = home
        self.running = ExitStack()
        self.is_running = False
        self.key = ""

    def prepare(self, words: list[str]) -> None:
        if words[:2] in (["fleet", "use"], ["fleet", "import"]):
            self.stop()
        elif not self.is_running:
            self.start()

    def start(self) -> None:
        served = self.running.enter_context(serving(self.home, build_application))
        service = served.service
        service.rate = RateLimiter(1e9, 1e9)
        if not self.key:
            self.key = make_first_key(service, "local")
            (site,) = service.directory.organisations(None, "", 2)
            for name in ("ten_default", "ten_ada", "ten_bo", "ten_cy"):
                made = Project(TenantId(name), site.organisation_id, name, 10**6, 0.0)
                service.directory.add_project(made)
        write_profiles(Profiles("it", {"it": Profile(served.url, self.key, "ten_default")}))
        self.is_running = True

    def stop(self) -> None:
        self.running.close()
        self.is_running = False


def run_script(script: str, home: Home, server: Nobody | OneServer) -> str:
    """What a person sees who types the script."""
    lines = []
    for line in script.splitlines():
        lines.append(line + "\n")
        if line.startswith("$ gw "):
            words = shlex.split(line[5:], comments=True)
            server.prepare(words)
            lines.append(run_line(words))
        elif line.startswith("! "):
            act, *words = shlex.split(line[2:], comments=True)
            ACTS[act](home, *words)
        else:
            assert not line or line.startswith("#"), f"not a line of a script: {line}"
    return "".join(lines)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("GIGAWATT_HOME", str(tmp_path / "home"))
    for name in ("TENANT", "PROJECT", "SERVER", "API_KEY", "PROFILE", "CONFIG"):
        monkeypatch.delenv(f"GIGAWATT_{name}", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    monkeypatch.setattr(embedded, "start_worker", run_worker_here)
    return Home(tmp_path / "home")


@pytest.mark.parametrize("mode", [Nobody, OneServer], ids=["embedded", "server"])
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_script_shows_what_it_showed(
    script: Path, mode: type, home: Home, request: pytest.FixtureRequest
):
    server = mode(home) if mode is OneServer else mode()
    request.addfinalizer(server.stop)
    for extra in CASES.glob(f"{script.stem}.in.*"):
        (home.path.parent / extra.name).write_text(extra.read_text(encoding="utf-8"))
    text = redacted(run_script(script.read_text(encoding="utf-8"), home, server), home.path.parent)
    expected = script.with_suffix(".out")
    if mode is Nobody and request.config.getoption("bless", default=False):
        expected.write_text(text, encoding="utf-8")
    assert "Traceback" not in text
    assert text == expected.read_text(encoding="utf-8"), "look, then: pytest tests/cli --bless"


def outcome(words: str) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of one command."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as end:
        main(shlex.split(words))
    return int(end.value.code or 0), out.getvalue(), err.getvalue()


def test_json_is_all_that_stands_on_standard_output(home: Home):
    assert home.path.name == "home"
    for words in (
        "plan train --gpus 64",
        "cluster create train --gpus 16 --yes",
        "cluster list",
        "cluster show train",
        "cluster evidence train",
        "cluster grow train --gpus 8 --yes",
        "cluster shrink train --gpus 8 --yes",
        "fleet show",
        "fleet show --nodes",
        "fleet check",
        "fleet lint-fabric",
        "node list",
        "events",
        "prove",
        "reconcile",
        "cluster release train --yes",
    ):
        status, out, _ = outcome(f"{words} -o json")
        assert status == 0
        assert json.loads(out) is not None
        if not words.endswith("--yes"):
            assert yaml.safe_load(outcome(f"{words} -o yaml")[1]) is not None


def test_no_is_no(home: Home, monkeypatch: pytest.MonkeyPatch):
    assert home.path.name == "home"
    monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
    status, _, err = outcome("cluster create train --gpus 16")
    assert status == 0
    assert "nothing was changed" in err
    assert json.loads(outcome("cluster list --all -o json")[1]) == []


def test_the_tenant_comes_from_the_environment(home: Home, monkeypatch: pytest.MonkeyPatch):
    assert home.path.name == "home"
    monkeypatch.setenv("GIGAWATT_TENANT", "ten_ada")
    outcome("cluster create train --gpus 8 --yes")
    assert json.loads(outcome("cluster show train -o json")[1])["project_id"] == "ten_ada"
    monkeypatch.setenv("GIGAWATT_TENANT", "ten_bo")
    assert outcome("cluster show train")[0] == 2


def test_waiting_has_an_end(home: Home, monkeypatch: pytest.MonkeyPatch):
    assert home.path.name == "home"
    with monkeypatch.context() as nobody_works:
        nobody_works.setattr(embedded, "start_worker", lambda *_: EndedWorker(0))
        status, _, err = outcome("cluster create train --gpus 8 --yes --wait-s 0")
    assert status == 5
    assert "still under way" in err
    assert "launch train" in outcome("cluster show train")[1]
    assert "carry it on" in outcome("explain train")[1]
    assert outcome("cluster watch train")[0] == 0


def test_a_worker_that_dies_is_told(home: Home, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(embedded, "start_worker", lambda *_: EndedWorker(1))
    status, _, err = outcome("cluster create train --gpus 8 --yes")
    assert status == 8
    assert str(home.log_path) in err


@pytest.mark.parametrize("name", ["store.sqlite", "devices.sqlite", "fleet.yaml"])
def test_a_damaged_file_is_named_and_left_alone(home: Home, name: str):
    assert outcome("cluster create train --gpus 8 --yes")[0] == 0
    for leftover in home.path.glob(f"{name}-*"):
        leftover.unlink()
    rubbish = b"\x00rubbish" * 4_096
    (home.path / name).write_bytes(rubbish)
    status, _, err = outcome("cluster list")
    assert status in {2, 8}
    assert name in err
    assert "next:" in err
    assert (home.path / name).read_bytes() == rubbish


def test_what_nobody_foresaw_is_one_line_and_a_log(home: Home, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(SqlDirectory, "cluster_page", lambda *_, **__: 1 / 0)
    status, _, err = outcome("cluster list")
    assert status == 1
    assert [line.split(":")[0] for line in err.splitlines()] == ["error", "  request", "  next"]
    assert str(home.log_path) in err
    assert "ZeroDivisionError" in home.log_path.read_text(encoding="utf-8")
    monkeypatch.setenv("GIGAWATT_DEBUG", "1")
    assert "ZeroDivisionError" in outcome("cluster list")[2]


def test_what_nobody_foresaw_in_the_command_is_one_line_and_a_log(
    home: Home, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(Client, "pages", lambda *_, **__: 1 / 0)
    status, _, err = outcome("cluster list")
    assert status == 1
    assert len(err.splitlines()) == 2
    assert str(home.log_path) in err
    assert "ZeroDivisionError" in home.log_path.read_text(encoding="utf-8")
    monkeypatch.setenv("GIGAWATT_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        main(["cluster", "list"])


def test_import_takes_what_discovery_wrote(home: Home):
    text = ibnet_text(hgx_fleet(512, name="small"), 0)
    found = home.path.parent / "ib.txt"
    found.write_text(text, encoding="utf-8")
    line = "fleet import ib.txt --format ibnetdiscover --name lab --yes"
    status, out, err = outcome(line)
    assert status == 0, err
    assert "512 in 64 nodes" in out
    assert json.loads(outcome("fleet show -o json")[1])["name"] == "lab"


def test_the_map_is_drawn_into_files(home: Home):
    folder = home.path.parent / "pictures"
    status, out, _ = outcome(f"fleet map --svg {folder}/map.svg --png {folder}/map.png")
    assert status == 0
    assert "free (1,250 nodes)" in out
    assert (folder / "map.svg").read_text(encoding="utf-8").startswith("<?xml")
    assert (folder / "map.png").read_bytes().startswith(b"\x89PNG")


def test_tab_completes_commands_and_options(home: Home, monkeypatch: pytest.MonkeyPatch):
    assert "_GW_COMPLETE" in outcome("completion bash")[1]
    monkeypatch.setenv("_GW_COMPLETE", "complete_bash")
    for typed, wanted in (
        ("gw cl", "cluster"),
        ("gw cluster re", "release"),
        ("gw cluster create --ke", "--keep-together"),
    ):
        monkeypatch.setenv("COMP_WORDS", typed)
        monkeypatch.setenv("COMP_CWORD", str(len(typed.split()) - 1))
        assert wanted in outcome("")[1].split()
    assert not home.path.exists()


def test_every_output_has_a_script():
    assert {path.stem for path in CASES.glob("*.out")} == {path.stem for path in SCRIPTS}
    assert len(SCRIPTS) >= 12
