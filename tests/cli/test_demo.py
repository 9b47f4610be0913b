"""The demo, which is what a newcomer sees first.

Goal: it tells the whole story, in its own folders, and ends well.
Method: run as a process in an empty folder; the figures that it prints are its own business, what
happens is not.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gigawatt.cli.work.demo import MARKER, fresh_home
from gigawatt.errors import InputError

SOURCE = Path(__file__).parents[2] / "src"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_demo_tells_the_whole_story(tmp_path: Path):
    elsewhere = tmp_path / "elsewhere"
    done = subprocess.run(
        [sys.executable, "-m", "gigawatt.cli", "demo"],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(SOURCE), "HOME": str(elsewhere)},
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not (elsewhere / ".local").exists(), "the person's own state is not touched"
    told = done.stdout
    planted = told.index("Planted")
    assert told.index("Proven.") < planted < told.index("NOT PROVEN") < told.rindex("Proven.")
    assert "all repaired" in told
    assert "digest" in told
    for name in ("fleet.svg", "fleet.png", "train/ssh_config", "tune/nccl.env"):
        assert (tmp_path / "out" / "demo" / name).stat().st_size > 0


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
