"""Who may do what, over the whole API.

Goal: every operation of our OpenAPI document is refused to everybody who may not call it: without
a key 401, on an object of one's own without the right 403, on a foreign or absent object 404.
Method: a table says in letters who may; it is written apart from the product's own. Every
operation is called by every role on an own, a foreign and an absent object, over real HTTP, by key
and by cookie. An operation without a row fails. Operations are committed and never carried out, so
nothing moves.
"""

from typing import Any

import pytest
from authorisation_calls import lambda_operations, names_an_object, operations, prepared, send
from authorisation_rows import ALL, LAMBDA_ROWS, PUBLIC, REFUSED, ROLES, ROWS, STREAMS

from gigawatt.api.lambda_cloud.errors import CODES
from gigawatt.api.problems import STATUS
from gigawatt.errors import GigawattError
from gigawatt.identity.permissions import PERMISSIONS


def test_every_operation_has_a_row_and_a_permission(populated: Any):
    described = set(operations(populated))
    assert described == set(ROWS) | set(STREAMS) | PUBLIC
    described_there = set(lambda_operations(populated))
    assert described_there == set(LAMBDA_ROWS)
    assert described | described_there == set(PERMISSIONS)


@pytest.mark.parametrize("operation", ROWS)
def test_who_may_and_who_may_not(populated: Any, operation: str):
    world, may = populated, ROWS[operation]
    for whose in ("acme", "other", "absent"):
        assert send(world, None, operation, whose) == 401, (operation, whose)
    for letter, role in ROLES.items():
        # An operator reaches every organisation, so no object is foreign to one.
        status = send(world, f"acme.{role}", operation, "acme")
        if letter in may:
            assert status not in REFUSED, (operation, role, status)
            assert status < 500 or status == 507, (operation, role, status)
        else:
            assert status == 403, (operation, role, status)
        if letter == "P" or not names_an_object(world, operation):
            continue
        for whose in ("other", "absent"):
            status = send(world, f"acme.{role}", operation, whose)
            assert status == 404, (operation, role, whose, status)


@pytest.mark.parametrize("operation", ROWS)
def test_a_session_may_what_its_account_may(populated: Any, operation: str):
    """Every operation once more, by cookie; and refused without the proof of our own page."""
    world, may, ids = populated, ROWS[operation], populated.ids["acme"]
    for letter, role in ROLES.items():
        account = ids[f"account.{role}"]
        answer = world.by_cookie(account, *prepared(world, operation, "acme"))
        is_allowed = answer.status_code not in REFUSED
        assert is_allowed == (letter in may), (operation, role, answer.text)
        if letter != "P" and names_an_object(world, operation):
            answer = world.by_cookie(account, *prepared(world, operation, "other"))
            assert answer.status_code == 404, (operation, role, answer.text)
    method, path, body = prepared(world, operation, "acme")
    if method != "GET":
        for wrong in ({"Origin": "https://evil.example"}, {"X-CSRF-Token": "x"}):
            answer = world.by_cookie(ids["account.owner"], method, path, body, **wrong)
            assert answer.status_code == 403, (operation, wrong)


@pytest.mark.parametrize("operation", [name for name, may in ROWS.items() if may != ALL])
def test_operators_find_absent_objects_absent(populated: Any, operation: str):
    path = operations(populated)[operation][1].replace("{month}", "")
    if "{" in path:
        assert send(populated, "operator", operation, "absent") == 404


def test_every_error_class_has_a_status():
    def tree(kind: type[GigawattError]) -> set[type[GigawattError]]:
        return {kind}.union(*(tree(sub) for sub in kind.__subclasses__()))

    ours = {kind for kind in tree(GigawattError) if kind.__module__ == "gigawatt.errors"}
    assert ours == set(STATUS)
    assert ours == set(CODES)
