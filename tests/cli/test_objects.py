"""Commands of doors for objects.

Goal: a person opens a door, sees its key once, and shuts it; a pool without doors says so.
Method: commands in this process against a real server on loopback, as its operator; the storage
pools' fake driver, with and without doors over it.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from command_line import commanded, new_home, said
from plain_doors import ENDPOINT, WithDoors, hidden

from gigawatt.app.service import Service
from gigawatt.boundary.plane import Plane


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """A server that this computer's commands talk to, with a file system called data."""
    with commanded(new_home(tmp_path / "home", monkeypatch), monkeypatch) as found:
        said("file-system create data --size 1TiB --project default")
        yield found


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
