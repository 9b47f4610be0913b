"""Tests marked ``lab`` run in a room only, with every package of a lab; see ``make lab-test``."""

import pytest

from gigawatt.lab.layout import LabSpec
from gigawatt.lab.parts import install_line, packages_missing, parts_of
from gigawatt.lab.room import is_in_room

TEST_S_MAX = 300


def _why_not() -> str:
    """Why tests of real components cannot run here; empty if they can."""
    if not is_in_room():
        return "not in a lab room; run 'make lab-test'"
    lost = packages_missing(parts_of(LabSpec()))
    return f"not installed: {install_line(lost)}" if lost else ""


def pytest_collection_modifyitems(items: list[pytest.Item]):
    ours = [item for item in items if item.get_closest_marker("lab") is not None]
    why_not = _why_not() if ours else ""
    for item in ours:
        if why_not:
            item.add_marker(pytest.mark.skip(reason=why_not))
        # Whatever a test says in a room, nobody outside hears it.
        item.add_marker(pytest.mark.enable_socket)
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(TEST_S_MAX))
