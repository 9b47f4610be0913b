"""A server with the console, without login settings, as ``gw up`` serves it."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

_API = Path(__file__).parents[1] / "api" / "conftest.py"


def _of_the_api() -> Any:
    """The world of the tests of the API, which this folder's tests look at through pages."""
    name = "console_world"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, _API)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


@pytest.fixture
def plain_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A populated world on a small fleet, without a login provider."""
    world = _of_the_api()
    monkeypatch.setattr(world, "small_home", _without_login(world.small_home))
    with world.new_world(tmp_path / "home") as made:
        yield made


def _without_login(small_home: Any) -> Any:
    def made(*args: Any) -> Any:
        home = small_home(*args)
        home.login_path.unlink()
        return home

    return made
