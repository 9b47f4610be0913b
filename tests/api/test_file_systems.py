"""File systems over HTTP.

Goal: a project makes, mounts, resizes and deletes file systems; they outlive clusters; nobody
reaches those of others; quotas of storage hold for them and for clusters together.
Method: a real server on loopback with its worker; the typed client where a client would be used.
"""

from typing import Any

import pytest

from gigawatt.errors import ConflictError, QuotaError, UnknownIdError, VersionError
from gigawatt.sdk import documents as doc
from gigawatt.sdk.client import Client

TIB = 1 << 40


@pytest.fixture
def client(world: Any) -> Any:
    """The typed client of a member of acme."""
    with Client(world.url, world.keys["acme.member"]) as made:
        yield made


def request(world: Any, name: str = "data", quota_bytes: int = TIB) -> doc.FileSystemRequest:
    project_id = world.ids["acme"]["project"]
    return doc.FileSystemRequest(project_id=project_id, name=name, quota_bytes=quota_bytes)


def made(world: Any, client: Client, name: str = "data", quota_bytes: int = TIB) -> str:
    found = client.create_file_system(request(world, name, quota_bytes))
    assert found.operation_id is not None
    assert world.ended(found.operation_id)["state"] == "done"
    return found.id


def mounting(world: Any, client: Client, name: str, *file_system_ids: str) -> str:
    mounts = [doc.FileSystemMount(file_system_id=one) for one in file_system_ids]
    cluster = client.create_cluster(
        doc.ClusterRequest(
            project_id=world.ids["acme"]["project"],
            name=name,
            gpu_count=8,
            file_system_mounts=mounts,
        )
    )
    assert cluster.operation_id is not None
    assert world.ended(cluster.operation_id)["state"] == "done"
    return cluster.id


def ended(world: Any, found: Any) -> None:
    assert world.ended(found.operation_id)["state"] == "done"


def test_the_life_of_a_file_system(world: Any, client: Client):
    name = made(world, client)
    found = client.get_file_system(name)
    assert (found.state, found.quota_bytes, found.used_bytes) == ("active", TIB, 0)
    assert (found.mount_point, found.is_in_use) == ("/data/data", False)
    assert client.list_clusters().items == []
    assert [one.id for one in client.list_file_systems(name="data").items] == [name]
    with pytest.raises(UnknownIdError):
        client.get_cluster(name)

    cluster = mounting(world, client, "train", name)
    path = f"/tenants/{found.project_id}/{name}\t/data/data\tnfs\t"
    assert path in client.get_file(cluster, "fstab")
    config = client.get_cluster(cluster).config
    assert config is not None
    assert [mount.file_system_id for mount in config.file_system_mounts] == [name]
    seen = client.get_file_system(name)
    assert (seen.is_in_use, seen.cluster_ids) == (True, [cluster])
    with pytest.raises(ConflictError, match="in use by 1 clusters: train"):
        client.delete_file_system(name)
    with pytest.raises(VersionError):
        client.resize_file_system(name, 2 * TIB, version=seen.version + 1)
    ended(world, client.resize_file_system(name, 2 * TIB, version=seen.version))
    assert client.get_file_system(name).quota_bytes == 2 * TIB

    ended(world, client.release_cluster(cluster))
    assert client.get_file_system(name).is_in_use is False
    ended(world, client.delete_file_system(name))
    gone = client.get_file_system(name)
    assert (gone.state, gone.quota_bytes) == ("deleted", None)
    assert client.list_file_systems().items == []
    assert [one.id for one in client.list_file_systems(with_ended=True).items] == [name]


def test_the_same_request_twice_makes_one(world: Any):
    body = request(world).model_dump(mode="json")
    headers = {"Idempotency-Key": "once"}
    first = world.call("acme.member", "POST", "/file-systems", body, headers=headers)
    again = world.call("acme.member", "POST", "/file-systems", body, headers=headers)
    assert first.json()["id"] == again.json()["id"]
    assert again.headers["Idempotent-Replayed"] == "true"
    assert world.call("acme.member", "POST", "/file-systems", body).status_code == 400


def test_those_of_others_do_not_exist(world: Any, client: Client):
    name = made(world, client)
    assert world.call("other.owner", "GET", f"/file-systems/{name}").status_code == 404
    assert world.call("other.owner", "DELETE", f"/file-systems/{name}").status_code == 404
    wish = {
        "project_id": world.ids["other"]["project"],
        "name": "nosy",
        "gpu_count": 8,
        "file_system_mounts": [{"file_system_id": name}],
    }
    for path in ("/plans", "/clusters"):
        answer = world.call("other.owner", "POST", path, wish)
        assert (answer.status_code, name in answer.json()["detail"]) == (404, True)
        # An operator reaches both projects, but a cluster mounts what is its own project's.
        assert world.call("operator", "POST", path, wish).status_code == 404
    assert world.ok("other.owner", "GET", "/file-systems")["items"] == []


def test_a_quota_of_storage_holds_for_file_systems_and_clusters_together(
    world: Any, client: Client
):
    project_id = world.ids["acme"]["project"]
    path = f"/projects/{project_id}/storage-quota"
    granted = world.ok("operator", "PUT", path, {"granted_bytes": 3 * TIB})
    assert (granted["granted_bytes"], granted["held_bytes"]) == (3 * TIB, 0)
    assert granted["is_oversubscribed"] is False
    name = made(world, client, quota_bytes=2 * TIB)
    with pytest.raises(QuotaError, match="holds 2,199,023,255,552 and wants"):
        client.create_file_system(request(world, "more", 2 * TIB))
    with pytest.raises(QuotaError):
        client.resize_file_system(name, 4 * TIB)
    wish = doc.ClusterRequest(project_id=project_id, name="c", gpu_count=8, storage_bytes=2 * TIB)
    with pytest.raises(QuotaError):
        client.create_plan(wish)
    with pytest.raises(QuotaError):
        client.create_cluster(wish)
    ended(world, client.resize_file_system(name, TIB))
    ended(world, client.create_cluster(wish))
    assert client.get_storage_quota(project_id).held_bytes == 3 * TIB
    # More may be granted than there is; then everybody can see it.
    wide = world.ok("operator", "PUT", path, {"granted_bytes": 1 << 60})
    assert wide["is_oversubscribed"] is True
    assert wide["granted_bytes_of_all"] > wide["capacity_bytes_of_fleet"]


def test_an_unknown_image_is_refused_with_those_that_there_are(world: Any, client: Client):
    ids = [row.id for row in client.list_images().items]
    assert "debian-12-gpu" in ids
    wish = {"project_id": world.ids["acme"]["project"], "name": "c", "gpu_count": 8, "image": "x"}
    answer = world.call("acme.member", "POST", "/clusters", wish)
    assert answer.status_code == 400
    assert all(name in answer.json()["detail"] for name in ids)
