"""Scripts of commands and what a person sees.

Goal: every screen is looked at, and no change of one goes unnoticed.
Method: each ``cases/NAME.txt`` is a script in a home of its own; commands run in this process,
the worker's own ``main`` runs in the place of its process, and what they write is compared with
``cases/NAME.out`` after ids, times and paths were replaced. A line ``!`` does something to the
fake devices behind everybody's back. ``pytest tests/cli --bless`` writes the expected output.
"""

import io
import re
import shlex
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path

import pytest

from gigawatt.app import worker
from gigawatt.app.home import Home
from gigawatt.app.wiring import open_control, open_world
from gigawatt.boundary.entries import HostSlice, NetworkPort
from gigawatt.boundary.render import render
from gigawatt.cli.main import main
from gigawatt.ids import ClusterId, DeviceId, NodeId, OperationId

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


def test_every_output_has_a_script():
    assert {path.stem for path in CASES.glob("*.out")} == {path.stem for path in SCRIPTS}
    assert len(SCRIPTS) >= 12
