"""The page about the Lambda-compatible door.

Goal: what the page calls served is served and nothing else is, and every test that it names exists.
Method: the table is read from the page; the routes come from the application's own document.
"""

import ast
import re
from pathlib import Path

import pytest

from gigawatt.api.lambda_cloud.application import ROUTERS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "lambda_api.md").read_text(encoding="utf-8")
METHODS = {"GET", "POST", "PUT", "PATCH", "DELETE"}
OPERATION_COUNT = 37
"""Operations of the Lambda Cloud API 1.10.0."""

Place = tuple[str, str]


def plain(path: str) -> str:
    """A path whose parameters have no names."""
    return re.sub(r"\{\w+\}", "{}", path)


def rows() -> list[list[str]]:
    """Method, path, state, reason and test of every row of the table."""
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in PAGE.splitlines()]
    return [row for row in cells if row and row[0] in METHODS]


def routes() -> set[Place]:
    return {
        (method, plain(route.path))
        for router in ROUTERS
        for route in router.routes
        for method in route.methods or ()
    }


def test_what_is_called_served_is_served_and_nothing_else():
    served = {
        (method, plain(path)) for method, path, state, _, _ in rows() if state != "not served"
    }
    assert served == routes()


def test_every_operation_of_lambda_has_one_row():
    places = [(method, plain(path)) for method, path, *_ in rows()]
    assert len(places) == len(set(places)) == OPERATION_COUNT


def test_every_row_names_a_test_or_a_reason():
    for method, path, state, why, test in rows():
        place = f"{method} {path}"
        assert bool(test) == (state != "not served"), place
        assert why or state == "served", place


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(tests/[^`]+::\w+)`", PAGE))))
def test_every_test_that_is_named_exists(name: str):
    path, _, function = name.partition("::")
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
