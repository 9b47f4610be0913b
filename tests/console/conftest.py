"""A server with the console, without login settings, as ``gw up`` serves it."""

import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from console_browser import running_browser

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
        _without_login(sys.modules[name])
    return sys.modules[name]


def _without_login(world: Any) -> None:
    """Let the homes of this copy of the module have no login provider."""
    small_home = world.small_home

    def made(*args: Any) -> Any:
        home = small_home(*args)
        home.login_path.unlink()
        return home

    world.small_home = made


@contextmanager
def _new(path: Path) -> Iterator[Any]:
    with _of_the_api().new_world(path) as made:
        yield made


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium."""
    with running_browser() as made:
        yield made


@pytest.fixture
def plain_world(tmp_path: Path) -> Iterator[Any]:
    """A populated world on a small fleet, without a login provider."""
    with _new(tmp_path / "home") as made:
        yield made


@pytest.fixture(scope="module")
def new_plain_world(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[], AbstractContextManager[Any]]:
    """What makes such a world, for fixtures that live longer than a test."""
    return lambda: _new(tmp_path_factory.mktemp("console") / "home")
