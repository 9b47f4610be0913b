"""The command as a process, at a terminal and in a script.

Goal: Ctrl-C, closed terminals, full disks and damaged files cost nobody anything, and output that
programs read holds nothing else.
Method: real processes with a home of their own; a pseudo-terminal where a person would sit.
"""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from gigawatt.app.home import Home
from gigawatt.app.wiring import open_control
from gigawatt.ids import TenantId
from gigawatt.intent.request import ClusterRequest
from gigawatt.interfaces.store import ClusterRecord

SOURCE = Path(__file__).parents[2] / "src"
PATIENCE_S = 45.0


def environment(home: Path, **more: str) -> dict[str, str]:
    return {
        "GIGAWATT_HOME": str(home),
        "HOME": str(home.parent),
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(SOURCE),
        "LC_ALL": "C.UTF-8",
        **more,
    }


def gw(home: Path, *words: str, answer: str = "", **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gigawatt.cli", *words],
        env=environment(home, **more), input=answer, capture_output=True, text=True, check=False,
        timeout=PATIENCE_S, cwd=home.parent,
    )  # fmt: skip


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


class Terminal:
    """A command at a pseudo-terminal, in a process group of its own, as a shell starts it."""

    def __init__(self, home: Path, *words: str):
        self.seen = ""
        self.handle, inner = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gigawatt.cli", *words],
            env=environment(home, TERM="xterm", COLUMNS="100"), cwd=home.parent,
            stdin=inner, stdout=inner, stderr=inner, start_new_session=True,
        )  # fmt: skip
        os.close(inner)

    def signal(self, number: int) -> None:
        """What a terminal does at Ctrl-C or when it is closed: a signal to the whole group."""
        os.killpg(self.process.pid, number)

    def interrupt(self) -> None:
        """Ctrl-C, pressed again until the command ends.

        One that comes just before the interpreter blocks in a read is noticed at the next only.
        """
        while self.process.poll() is None:
            self.signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(5.0)

    def read_until(self, pattern: str) -> None:
        end_s = time.monotonic() + PATIENCE_S
        while not re.search(pattern, self.seen):
            assert time.monotonic() < end_s, f"no {pattern!r} in {self.seen!r}"
            if select.select([self.handle], [], [], 0.1)[0]:
                try:
                    self.seen += os.read(self.handle, 65_536).decode(errors="replace")
                except OSError:  # the command has ended
                    assert re.search(pattern, self.seen), f"no {pattern!r} in {self.seen!r}"

    def type(self, text: str) -> None:
        os.write(self.handle, text.encode())

    def wait(self) -> int:
        """Exit status; what is still written is read meanwhile, so that nobody waits."""
        while True:
            try:
                self.seen += os.read(self.handle, 65_536).decode(errors="replace")
            except OSError:
                break
        os.close(self.handle)
        return self.process.wait(PATIENCE_S)


def clusters(home: Path) -> list[ClusterRecord]:
    with open_control(Home(home)) as control:
        return list(control.around.store.clusters())


def test_ctrl_c_stops_watching_and_not_the_work(home: Path):
    terminal = Terminal(home, "cluster", "create", "train", "--gpus", "4000")
    terminal.read_until(r"Go ahead\?")
    terminal.type("y\n")
    terminal.read_until(r"fabric\s.*steps")
    terminal.signal(signal.SIGINT)
    assert terminal.wait() == 130
    assert "gw cluster watch" in " ".join(terminal.seen.split())
    watched = gw(home, "cluster", "watch", "train")
    assert watched.returncode == 0, watched.stderr
    assert "is active" in watched.stdout


def test_ctrl_c_at_the_question_changes_nothing(home: Path):
    terminal = Terminal(home, "cluster", "create", "train", "--gpus", "16")
    terminal.read_until(r"Go ahead\?")
    terminal.interrupt()
    assert terminal.wait() == 2
    assert "nothing was changed" in terminal.seen
    assert clusters(home) == []


def test_a_closed_terminal_does_not_stop_the_work(home: Path):
    terminal = Terminal(home, "cluster", "create", "train", "--gpus", "4000", "--yes")
    terminal.read_until(r"fabric\s.*steps")
    terminal.signal(signal.SIGHUP)
    terminal.wait()
    assert "is active" in gw(home, "cluster", "watch", "train").stdout


def test_watch_carries_on_what_nobody_does(home: Path):
    with open_control(Home(home)) as control:
        request = ClusterRequest(TenantId("ten_default"), "train", 64)
        control.commit(control.plan_create(request))
    assert "is active" in gw(home, "cluster", "watch", "train").stdout


def test_detached_work_ends_by_itself(home: Path):
    words = ("cluster", "create", "train", "--gpus", "16", "-o", "json", "--detach")
    started = gw(home, *words, answer="y\n")
    assert started.returncode == 0, started.stderr
    assert json.loads(started.stdout)["name"] == "train"
    assert "Go ahead?" in started.stderr
    end_s = time.monotonic() + PATIENCE_S
    while [c.phase for c in clusters(home)] != ["active"]:
        assert time.monotonic() < end_s


def test_colour_is_for_terminals_that_want_it(home: Path):
    terminal = Terminal(home, "fleet", "map")
    assert terminal.wait() == 0
    assert "\x1b[" in terminal.seen
    assert "\x1b[" not in gw(home, "fleet", "map").stdout


def test_a_terminal_of_few_letters_gets_question_marks(home: Path):
    done = gw(home, "fleet", "map", LC_ALL="C", PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert "?" in done.stdout


def test_a_reader_that_goes_away_is_no_error(home: Path):
    line = f"{sys.executable} -m gigawatt.cli fleet show --nodes | head -1"
    done = subprocess.run(
        ["bash", "-c", line], env=environment(home), capture_output=True, text=True, check=False
    )
    assert done.stdout.startswith("NODE")
    assert "Traceback" not in done.stderr
    assert "should not happen" not in done.stderr


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root can make a small file system")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_loses_nothing(tiny_disk: Path):
    home = tiny_disk / "home"
    assert gw(home, "cluster", "create", "one", "--gpus", "8", "--yes").returncode == 0
    filler = tiny_disk / "filler"
    with filler.open("wb", buffering=0) as file:
        for size_bytes in (65_536, 4_096, 1):
            try:
                while True:
                    file.write(b"x" * size_bytes)
            except OSError:
                continue
    done = gw(home, "cluster", "create", "two", "--gpus", "4000", "--yes", "--wait-s", "5")
    assert done.returncode in {5, 8}, done.stdout + done.stderr
    assert "next:" in done.stderr
    assert "Traceback" not in done.stderr
    filler.unlink()
    assert ("one", "active") in {(c.name, c.phase.value) for c in clusters(home)}
    assert "Traceback" not in gw(home, "prove").stderr


HEAVY = ("numpy", "sqlalchemy", "pydantic", "yaml", "rich", "matplotlib", "gigawatt.app")


@pytest.mark.parametrize("words", [("--help",), ("--version",), ("cluster", "--help"), ()])
def test_help_imports_nothing_heavy(home: Path, words: tuple[str, ...]):
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "gigawatt.cli", *words],
        env=environment(home), capture_output=True, text=True, check=False,
    )  # fmt: skip
    imported = re.findall(r"\|\s+([\w.]+)$", done.stderr, re.M)
    assert "gigawatt.cli.main" in imported
    heavy = [name for name in imported if name.startswith(HEAVY)]
    assert heavy == []
    assert not home.exists(), "help leaves nothing behind"
