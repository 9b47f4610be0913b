"""The command as a person types it, and a server of this process that it talks to."""

import io
import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from gigawatt.api.application import build_application
from gigawatt.app.home import Home
from gigawatt.app.service import Service, make_first_key
from gigawatt.app.serving import serving
from gigawatt.cli.main import main
from gigawatt.cli.settings import flags
from gigawatt.fleet.demo import hgx_fleet
from gigawatt.fleet.yaml_dump import dump_fleet


def said(words: str, status: int = 0) -> str:
    """What a command writes; it must end with this status."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as end:
        main(shlex.split(words))
    assert int(end.value.code or 0) == status, out.getvalue() + err.getvalue()
    return out.getvalue() + err.getvalue()


def new_home(path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home of 64 GPUs, and an environment that says nothing of another one."""
    for name in [name for name in os.environ if name.startswith("GIGAWATT_")]:
        monkeypatch.delenv(name)
    home = Home(path)
    home.make()
    home.fleet_path.write_text(dump_fleet(hgx_fleet(64)), encoding="utf-8")
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    flags.server = flags.profile = None
    return home


@contextmanager
def commanded(home: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """The service of a home, to which commands talk as its first operator."""
    with serving(home, build_application) as found:
        monkeypatch.setenv("GIGAWATT_SERVER", found.url)
        monkeypatch.setenv("GIGAWATT_API_KEY", make_first_key(found.service, "olu"))
        yield found.service
