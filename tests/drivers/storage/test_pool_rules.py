"""Goal: a pool of any engine refuses what the fake pool refuses, and paths that meet.

Method: every rule with the case that it refuses and the one beside it that it lets through; one
property for the sum of quotas.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gigawatt.boundary.entries import Export, FileSystem
from gigawatt.drivers.storage.engine import PoolState, StoredFiles
from gigawatt.drivers.storage.rules import refuses, refuses_removal
from gigawatt.ids import ClusterId

A, B = ClusterId("clu_a"), ClusterId("clu_b")
SHARED = ClusterId("fsy_1")


def files(number: int, path: str = "/a", quota_bytes: int = 10) -> FileSystem:
    return FileSystem("p", number, path, quota_bytes)


def state(owner: ClusterId = A, **changed) -> PoolState:
    values = {"path": "/a", "owner": owner, "quota_bytes": 10, "used_bytes": 5, **changed}
    return PoolState({1: StoredFiles(**values)}, frozenset({(1, 900)}))


def asked(on: PoolState, *entries, owner: ClusterId = A, capacity_bytes: int = 100):
    wanted = {entry.key: entry for entry in entries}
    return refuses(on, wanted, dict.fromkeys(wanted, owner), capacity_bytes)


@pytest.mark.parametrize(
    "path",
    ["", "/", "a", "/a/", "//a", "/..", "/a/../b", "/.a", "/a b", "/a\n", "/-a", "/a,b", "/a" * 9],
)
def test_a_path_that_is_not_plain_is_refused(path):
    assert "path is" in asked(PoolState(), files(2, path))


@pytest.mark.parametrize(("path", "meets"), [("/a/b", True), ("/a", True), ("/ab", False)])
def test_a_path_inside_another_is_refused(path, meets):
    assert ("meets" in (asked(state(), files(2, path)) or "")) is meets
    assert ("meets" in (asked(state(path="/a/b/c"), files(2, path)) or "")) is (path != "/ab")
    assert ("meets" in (asked(PoolState(), files(1, "/a"), files(2, path)) or "")) is meets


def test_a_quota_below_what_is_used_is_refused_and_the_rest_is_not():
    assert "holds 5" in asked(state(), files(1, quota_bytes=4))
    assert asked(state(), files(1, quota_bytes=5)) is None
    assert "quota is 0" in asked(PoolState(), files(1, quota_bytes=0))


def test_files_do_not_move_and_are_not_given_away():
    assert "does not move" in asked(state(), files(1, "/b"))
    assert "clu_a" in asked(state(), files(1), owner=B)


def test_an_export_needs_files_of_the_same_owner_or_such_that_are_shared():
    assert "there is no filesystem 2" in asked(state(), Export("p", 2, 900))
    assert asked(state(), files(2, "/b"), Export("p", 2, 900)) is None
    assert "clu_a" in asked(state(), Export("p", 1, 901), owner=B)
    assert asked(state(SHARED), Export("p", 1, 901), owner=B) is None


@pytest.mark.parametrize(("vni", "is_refused"), [(0, True), (1, False), (2**24, True)])
def test_a_vni_has_24_bits(vni, is_refused):
    assert (asked(state(), Export("p", 1, vni)) is not None) is is_refused


def test_a_number_that_no_qgroup_has_is_refused():
    assert "its number" in asked(PoolState(), files(2**48))
    assert asked(PoolState(), files(2**48 - 1)) is None


@given(st.lists(st.integers(1, 50), min_size=1, max_size=6), st.integers(0, 100))
def test_quotas_never_exceed_the_smaller_of_promise_and_disk(quotas, size_bytes):
    entries = [files(n, f"/n{n}", quota) for n, quota in enumerate(quotas)]
    refused = asked(PoolState(size_bytes=size_bytes), *entries, capacity_bytes=80) is not None
    assert refused is (sum(quotas) > min(80, size_bytes))


def test_a_pool_that_is_over_its_promise_still_gives_room_back():
    over = state(quota_bytes=90)
    assert asked(over, files(1, quota_bytes=85), capacity_bytes=80) is None
    assert asked(over, files(1, quota_bytes=95), capacity_bytes=80) is not None


def test_files_leave_with_their_exports_or_not_at_all():
    assert "still exported" in refuses_removal(state(), {"filesystem/1": files(1)})
    leaving = {"filesystem/1": files(1), "export/1/900": Export("p", 1, 900)}
    assert refuses_removal(state(), leaving) is None
