"""Scripts of commands and what a person sees.

Goal: every screen is looked at, and no change of one goes unnoticed.
Method: each ``cases/NAME.txt`` is a script in a home of its own; commands run in this process,
the worker's own ``main`` runs in the place of its process, and what they write is compared with
``cases/NAME.out`` after ids, times and paths were replaced. A line ``!`` does something to the
fake devices behind everybody's back. ``pytest tests/cli --bless`` writes the expected output.
"""

import io
import json
import re
import shlex
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from gigawatt.app import worker
from gigawatt.app.home import Home
from gigawatt.app.wiring import open_control, open_world
from gigawatt.boundary.entries import HostSlice, NetworkPort
from gigawatt.boundary.render import render
from gigawatt.cli.main import main
from gigawatt.fleet.demo import hgx_fleet
from gigawatt.fleet.discovery.ibnet_writer import ibnet_text
from gigawatt.ids import ClusterId, DeviceId, NodeId, OperationId
from gigawatt.store.store import SqlStore

CASES = Path(__file__).parent / "cases"
SCRIPTS = sorted(CASES.glob("*.txt"))
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
        r"\b(clu|pln|op)_[0-9a-f]{16}\b",
        lambda m: f"{m[1]}_{numbers.setdefault(m[0], len(numbers) + 1):016d}",
        text,
    )
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", "2026-01-01 12:00:00 UTC", text)
    text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", "2026-01-01T12:00:00+00:00", text)
    text = re.sub(r"\bworker \S+:\d+", "worker HOST:1", text)
    text = re.sub(r"digest [0-9a-f]{32}", "digest D", text)
    text = re.sub(r'"expires_s": [\d.]+', '"expires_s": 0', text)
    text = re.sub(r'"expected_s": [\d.]+', '"expected_s": 0', text)
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
    return seen.getvalue() + (f"[exit {status}]\n" if status else "")


def run_script(script: str, home: Home) -> str:
    """What a person sees who types the script."""
    lines = []
    for line in script.splitlines():
        lines.append(line + "\n")
        if line.startswith("$ gw "):
            lines.append(run_line(shlex.split(line[5:], comments=True)))
        elif line.startswith("! "):
            act, *words = shlex.split(line[2:], comments=True)
            ACTS[act](home, *words)
        else:
            assert not line or line.startswith("#"), f"not a line of a script: {line}"
    return "".join(lines)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("GIGAWATT_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("GIGAWATT_TENANT", raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    for name in ("watch", "clusters"):
        module = f"gigawatt.cli.work.{name}"
        __import__(module)
        monkeypatch.setattr(sys.modules[module], "start_worker", run_worker_here)
    return Home(tmp_path / "home")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_script_shows_what_it_showed(script: Path, home: Home, request: pytest.FixtureRequest):
    for extra in CASES.glob(f"{script.stem}.in.*"):
        (home.path.parent / extra.name).write_text(extra.read_text(encoding="utf-8"))
    text = redacted(run_script(script.read_text(encoding="utf-8"), home), home.path.parent)
    expected = script.with_suffix(".out")
    if request.config.getoption("bless", default=False):
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
    assert json.loads(outcome("cluster show train -o json")[1])["tenant_id"] == "ten_ada"
    monkeypatch.setenv("GIGAWATT_TENANT", "ten_bo")
    assert outcome("cluster show train")[0] == 2


def test_waiting_has_an_end(home: Home, monkeypatch: pytest.MonkeyPatch):
    assert home.path.name == "home"
    watching = sys.modules["gigawatt.cli.work.watch"]
    with monkeypatch.context() as nobody_works:
        nobody_works.setattr(watching, "start_worker", lambda *_: EndedWorker(0))
        status, _, err = outcome("cluster create train --gpus 8 --yes --wait-s 0")
    assert status == 5
    assert "still under way" in err
    assert "launch train" in outcome("cluster show train")[1]
    assert "carry it on" in outcome("explain train")[1]
    assert outcome("cluster watch train")[0] == 0


def test_a_worker_that_dies_is_told(home: Home, monkeypatch: pytest.MonkeyPatch):
    watching = sys.modules["gigawatt.cli.work.watch"]
    monkeypatch.setattr(watching, "start_worker", lambda *_: EndedWorker(1))
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
    monkeypatch.setattr(SqlStore, "clusters", lambda _: 1 / 0)
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
