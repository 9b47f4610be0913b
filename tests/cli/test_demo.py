"""The demo, which is what a newcomer sees first.

Goal: it tells the whole story, in its own folders, and ends well.
Method: run as a process in an empty folder; the figures that it prints are its own business, what
happens is not.
"""

import os
import pty
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from gigawatt.cli.work.demo import MARKER, fresh_home
from gigawatt.errors import InputError

SOURCE = Path(__file__).parents[2] / "src"


URL = re.compile(r"http://127\.0\.0\.1:\d+")
KEY = re.compile(r"gw_[0-9a-f]{16}_[\w-]{43}")


def place(folder: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"], "PYTHONPATH": str(SOURCE), "HOME": str(folder / "elsewhere"),
        "COLUMNS": "100", "TERM": "dumb",
    }  # fmt: skip


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz", timeout=5.0).status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_demo_tells_the_whole_story(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-m", "gigawatt.cli", "demo"],
        env=place(tmp_path), cwd=tmp_path, capture_output=True, text=True, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "elsewhere" / ".local").exists(), "the person's own state is not touched"
    assert not (tmp_path / "elsewhere" / ".config" / "gigawatt").exists()
    told = done.stdout
    planted = told.index("Planted")
    assert told.index("Proven.") < planted < told.index("NOT PROVEN") < told.rindex("Proven.")
    assert "all repaired" in told
    assert "digest" in told
    for name in ("fleet.svg", "fleet.png", "train/ssh_config", "tune/nccl.env"):
        assert (tmp_path / "out" / "demo" / name).stat().st_size > 0
    found = URL.search(told)
    assert found is not None
    assert not answers(found[0]), "nothing is left running"
    readme = (SOURCE.parent / "README.md").read_text(encoding="utf-8")
    shown = re.search(r"^```text\n(Gigawatt carves.*?)^```", readme, re.M | re.S)
    assert shown is not None
    expected = URL.sub("URL", shown[1].replace("gw_...", "KEY"))
    assert KEY.sub("KEY", URL.sub("URL", told)).startswith(expected)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_server_stays_until_ctrl_c_where_somebody_sits(tmp_path: Path):
    handle, inner = pty.openpty()
    demo = subprocess.Popen(
        [sys.executable, "-m", "gigawatt.cli", "demo"],
        env=place(tmp_path), cwd=tmp_path, stdin=inner, stdout=inner, stderr=inner,
        start_new_session=True,
    )  # fmt: skip
    os.close(inner)
    told, asked = "", False
    while "Ctrl-C stops it." not in told:
        told += os.read(handle, 65_536).decode(errors="replace")
        if not asked and (key := KEY.search(told)) and (url := URL.search(told)):
            # The printed lines work while the story goes on.
            more = {"GIGAWATT_SERVER": url[0], "GIGAWATT_API_KEY": key[0]}
            for line in ("cluster list", "plan more --project default --gpus 512"):
                done = subprocess.run(
                    [sys.executable, "-m", "gigawatt.cli", *line.split()],
                    env=place(tmp_path) | more, capture_output=True, text=True, check=False,
                )  # fmt: skip
                assert done.returncode == 0, done.stderr
            asked = True
    assert url is not None
    assert answers(url[0])
    demo.send_signal(signal.SIGINT)
    while demo.poll() is None:
        with suppress(OSError):
            os.read(handle, 65_536)
    os.close(handle)
    assert demo.returncode == 0
    assert not answers(url[0])


def test_only_a_folder_of_a_demo_is_emptied(tmp_path: Path):
    home = fresh_home(tmp_path / "new")
    assert (home.path / MARKER).exists()
    home.store_path.write_text("old")
    (home.path / "letter.txt").write_text("mine")
    again = fresh_home(tmp_path / "new")
    assert not again.store_path.exists()
    assert (again.path / "letter.txt").read_text() == "mine"
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "store.sqlite").write_text("precious")
    with pytest.raises(InputError):
        fresh_home(tmp_path / "full")
    assert (tmp_path / "full" / "store.sqlite").read_text() == "precious"
