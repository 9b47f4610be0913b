"""Doors for objects over HTTP.

Goal: who may change a file system opens and shuts its door for objects; the secret of its key is
shown once and kept nowhere; a storage pool without doors says so.
Method: a real server on loopback; the storage pools' fake driver, with and without doors over it.
"""

from typing import Any

import pytest
from plain_doors import ENDPOINT, TIB, WithDoors, hidden

from gigawatt.boundary.plane import Plane
from gigawatt.errors import InputError, UnknownIdError
from gigawatt.sdk import documents as doc
from gigawatt.sdk.client import Client


@pytest.fixture
def client(world: Any) -> Any:
    with Client(world.url, world.keys["acme.member"]) as made:
        yield made


@pytest.fixture
def file_system_id(world: Any, client: Client) -> str:
    project_id = world.ids["acme"]["project"]
    request = doc.FileSystemRequest(project_id=project_id, name="data", quota_bytes=TIB)
    found = client.create_file_system(request)
    assert found.operation_id is not None
    assert world.ended(found.operation_id)["state"] == "done"
    return found.id


@pytest.fixture
def doors(world: Any, monkeypatch: pytest.MonkeyPatch) -> WithDoors:
    drivers = world.service.control.around.drivers
    made = WithDoors(drivers[Plane.STORAGE])
    monkeypatch.setitem(drivers, Plane.STORAGE, made)
    return made


def test_a_pool_without_doors_says_so(client: Client, file_system_id: str):
    for call in (client.get_s3_door, client.rotate_s3_key, client.shut_s3_door):
        with pytest.raises(InputError, match="has no door for objects"):
            call(file_system_id)


def test_a_door_opens_changes_its_key_and_shuts(
    client: Client, file_system_id: str, doors: WithDoors
):
    assert not client.get_s3_door(file_system_id).is_open
    first = client.rotate_s3_key(file_system_id)
    assert (first.endpoint, first.access_key_id) == (ENDPOINT, "AK0")
    assert first.secret_access_key == hidden("AK0")
    second = client.rotate_s3_key(file_system_id)
    assert second.access_key_id == "AK1"
    found = client.get_s3_door(file_system_id)
    assert (found.is_open, found.access_key_id) == (True, "AK1")
    assert (found.quota_bytes, found.used_bytes) == (TIB, 5)
    shut = client.shut_s3_door(file_system_id)
    assert (shut.is_open, shut.access_key_id) == (False, None)


def test_the_secret_is_shown_once_and_kept_nowhere(
    world: Any, file_system_id: str, doors: WithDoors
):
    path = f"/file-systems/{file_system_id}/s3:rotate-key"
    key = {"Idempotency-Key": "one"}
    first = world.ok("acme.member", "POST", path, headers=key)
    assert first["secret_access_key"] == hidden("AK0")
    again = world.ok("acme.member", "POST", path, headers=key)
    assert (again["access_key_id"], again["secret_access_key"]) == ("AK0", None)
    assert len(doors.keys.popitem()[1]) == 1, "repeated, not made again"
    organisation_id = world.ids["acme"]["organisation"]
    audit = world.call("operator", "GET", f"/organisations/{organisation_id}/audit").text
    assert "AK0" in audit
    assert "secret-of" not in audit


def test_nobody_else_comes_near(world: Any, file_system_id: str, doors: WithDoors):
    with Client(world.url, world.keys["other.owner"]) as stranger:
        for call in (stranger.get_s3_door, stranger.rotate_s3_key, stranger.shut_s3_door):
            with pytest.raises(UnknownIdError):
                call(file_system_id)
    assert doors.keys == {}


def test_a_file_system_that_is_gone_has_no_door(
    world: Any, client: Client, file_system_id: str, doors: WithDoors
):
    gone = client.delete_file_system(file_system_id)
    assert gone.operation_id is not None
    assert world.ended(gone.operation_id)["state"] == "done"
    assert world.call("acme.member", "GET", f"/file-systems/{file_system_id}/s3").status_code == 409
