"""Commands of doors for objects.

Goal: a person opens a door, sees its key once, and shuts it; a pool without doors says so.
Method: commands in this process against a real server on loopback, as its operator; the storage
pools' fake driver, with and without doors over it.
"""

import io
import json
import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, cast

import pytest
from plain_doors import ENDPOINT, WithDoors, hidden

from gigawatt.api.application import build_application
from gigawatt.app.home import Home
from gigawatt.app.service import Service, make_first_key
from gigawatt.app.serving import serving
from gigawatt.boundary.plane import Plane
from gigawatt.cli.main import main
from gigawatt.cli.settings import flags
from gigawatt.fleet.demo import hgx_fleet
from gigawatt.fleet.yaml_dump import dump_fleet


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """A server that this computer's commands talk to, with a file system called data."""
    for name in [name for name in os.environ if name.startswith("GIGAWATT_")]:
        monkeypatch.delenv(name)
    home = Home(tmp_path / "home")
    home.make()
    home.fleet_path.write_text(dump_fleet(hgx_fleet(64)), encoding="utf-8")
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    flags.server = flags.profile = None
    with serving(home, build_application) as found:
        monkeypatch.setenv("GIGAWATT_SERVER", found.url)
        monkeypatch.setenv("GIGAWATT_API_KEY", make_first_key(found.service, "olu"))
        said("file-system create data --size 1TiB --project default")
        yield found.service


def said(words: str, status: int = 0) -> str:
    """What a command writes; it must end with this status."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as end:
        main(shlex.split(words))
    assert int(end.value.code or 0) == status, out.getvalue() + err.getvalue()
    return out.getvalue() + err.getvalue()


def test_a_door_is_opened_shown_and_shut(service: Service, monkeypatch: pytest.MonkeyPatch):
    drivers = cast("dict[Plane, Any]", service.control.around.drivers)
    monkeypatch.setitem(drivers, Plane.STORAGE, WithDoors(drivers[Plane.STORAGE]))
    assert "has no key for objects" in said("file-system s3 data")
    shown = said("file-system s3-key data")
    assert ENDPOINT in shown
    assert hidden("AK0") in shown
    assert "shown this once" in shown
    assert json.loads(said("file-system s3-key data -o json"))["access_key_id"] == "AK1"
    shown = said("file-system s3 data")
    assert "AK1" in shown
    assert "5 bytes of 1 TiB" in shown
    assert hidden("AK1") not in shown
    assert "nobody said yes" in said("file-system s3-shut data", 2)
    assert "no objects any more" in said("file-system s3-shut data --yes")
    assert json.loads(said("file-system s3 data -o json"))["is_open"] is False


@pytest.mark.parametrize("words", ["s3 data", "s3-key data", "s3-shut data --yes"])
def test_a_pool_without_doors_says_so(service: Service, words: str):
    assert "has no door for objects" in said(f"file-system {words}", 2)
