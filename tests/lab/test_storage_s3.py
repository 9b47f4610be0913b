"""Goal: a door for objects opens one tenant's buckets, holds its quota, and leaves nothing behind.

Method: the lab's Ceph with its object gateway, and the real driver. s3cmd judges, with the keys
that the driver gave out; what is left is asked of Ceph's own tools. Every refusal has the case
beside it that is let through.
"""

import asyncio
import json
import subprocess
from pathlib import Path

import pytest
from running_cephfs import (
    DEVICE,
    MIB,
    POOL,
    emptied,
    files,
    give,
    marks,
    opened,
    running_cephfs,
    withdraw,
)

from gigawatt.drivers.cephfs.objects import tenant_of
from gigawatt.errors import DriverPermanentError
from gigawatt.ids import ClusterId
from gigawatt.interfaces.object_doors import ObjectDoor, ObjectKey
from gigawatt.lab.running import Running, tool_environment
from gigawatt.lab.storage.cephfs import CephfsPart, conf_path
from memory_secrets import MemorySecrets

pytestmark = marks({**CephfsPart(has_s3=True).package_of_tool, "s3cmd": "s3cmd"})

QUOTA_BYTES = 20 * MIB
A, B = ClusterId("fsy_a"), ClusterId("fsy_b")
OURS, THEIRS = files(1, A, QUOTA_BYTES), files(2, B, QUOTA_BYTES)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    with running_cephfs(tmp_path_factory.mktemp("lab"), has_s3=True) as made:
        yield made


@pytest.fixture
def driver(lab, tmp_path):
    driver = emptied(opened(lab, tmp_path / "driver", MemorySecrets()))
    give(driver, [OURS], A)
    give(driver, [THEIRS], B)
    return driver


def new_key(driver, number: int = 1, owner: ClusterId = A) -> ObjectKey:
    made = asyncio.run(driver.new_object_key(DEVICE, number, owner))
    assert made is not None
    return made


def door(driver, number: int = 1) -> ObjectDoor:
    found = asyncio.run(driver.object_door(DEVICE, number))
    assert found is not None
    return found


def ask(lab: Running, *words: str) -> str:
    return lab.run([words[0], "--conf", str(conf_path(lab.folder)), *words[1:]])


def s3(key: ObjectKey, folder: Path, *words: str):
    """s3cmd with a key, which is in a file of its owner's."""
    host = key.endpoint.removeprefix("http://")
    config = folder / key.access_key_id
    config.write_text(
        f"[default]\naccess_key = {key.access_key_id}\nsecret_key = {key.secret_access_key}\n"
        f"host_base = {host}\nhost_bucket = {host}\nuse_https = False\n"
    )
    config.chmod(0o600)
    environment = {k: v for k, v in tool_environment().items() if "proxy" not in k.lower()}
    return subprocess.run(
        ["s3cmd", f"--config={config}", "--no-progress", *words],
        capture_output=True,
        text=True,
        env=environment,
        timeout=120,
        check=False,
    )


def file_of(folder: Path, mib: int) -> str:
    path = folder / f"{mib}-mib"
    path.write_bytes(bytes(mib * MIB))
    return str(path)


def left(lab: Running) -> list[str]:
    found = [*json.loads(ask(lab, "radosgw-admin", "user", "list"))]
    found += json.loads(ask(lab, "radosgw-admin", "bucket", "list"))
    for pool in ask(lab, "rados", "lspools").split():
        if ".buckets.data" in pool:
            found += ask(lab, "rados", "--pool", pool, "ls", "--all").splitlines()
    return found


def test_a_door_is_shut_until_somebody_asks_and_opens_ones_own_buckets_only(lab, driver, tmp_path):
    assert door(driver) == ObjectDoor(door(driver).endpoint)
    ours, theirs = new_key(driver), new_key(driver, 2, B)
    small = file_of(tmp_path, 1)
    # The same name in both: tenants do not meet, and do not hear of each other.
    for key in (ours, theirs):
        assert s3(key, tmp_path, "mb", "s3://data").returncode == 0
    assert s3(ours, tmp_path, "put", small, "s3://data/own").returncode == 0
    got = tmp_path / "got"
    assert s3(ours, tmp_path, "get", "s3://data/own", str(got)).returncode == 0
    assert got.stat().st_size == MIB
    assert "own" in s3(ours, tmp_path, "ls", "s3://data").stdout
    assert s3(theirs, tmp_path, "ls", "s3://data").stdout == ""
    elsewhere = f"s3://{tenant_of(POOL, 1)}:data"
    for words in (("ls", elsewhere), ("put", small, f"{elsewhere}/evil")):
        refused = s3(theirs, tmp_path, *words)
        assert "403" in refused.stderr, refused.stderr
    assert s3(ours, tmp_path, "ls", elsewhere).returncode == 0
    wrong = ObjectKey(ours.endpoint, ours.access_key_id, theirs.secret_access_key)
    assert "403 (SignatureDoesNotMatch)" in s3(wrong, tmp_path, "ls").stderr
    found = door(driver)
    assert (found.access_key_id, found.quota_bytes) == (ours.access_key_id, QUOTA_BYTES)
    assert found.used_bytes == MIB
    assert ours.secret_access_key not in repr((ours, found))


def test_a_quota_is_kept_and_follows_that_of_the_file_system(lab, driver, tmp_path):
    key, piece = new_key(driver), file_of(tmp_path, 8)
    assert s3(key, tmp_path, "mb", "s3://data").returncode == 0
    for name, is_let in (("1", True), ("2", True), ("3", False)):
        done = s3(key, tmp_path, "put", piece, f"s3://data/{name}")
        assert (done.returncode == 0) is is_let
        assert ("403 (QuotaExceeded)" in done.stderr) is not is_let
    give(driver, [files(1, A, 2 * QUOTA_BYTES)], A)
    assert door(driver).quota_bytes == 2 * QUOTA_BYTES
    assert s3(key, tmp_path, "put", piece, "s3://data/3").returncode == 0


def test_another_key_ends_the_former_and_a_shut_door_leaves_nothing(lab, driver, tmp_path):
    first, piece = new_key(driver), file_of(tmp_path, 12)
    assert s3(first, tmp_path, "mb", "s3://data").returncode == 0
    assert s3(first, tmp_path, "put", piece, "s3://data/one").returncode == 0
    second = new_key(driver)
    assert second.access_key_id != first.access_key_id
    assert "403 (InvalidAccessKeyId)" in s3(first, tmp_path, "ls", "s3://data").stderr
    assert "one" in s3(second, tmp_path, "ls", "s3://data").stdout
    with pytest.raises(DriverPermanentError, match="no filesystem 1 of fsy_b"):
        new_key(driver, 1, B)
    with pytest.raises(DriverPermanentError, match="no filesystem 1 of fsy_b"):
        asyncio.run(driver.shut_object_door(DEVICE, 1, B))
    assert left(lab)
    asyncio.run(driver.shut_object_door(DEVICE, 1, A))
    assert "403 (InvalidAccessKeyId)" in s3(second, tmp_path, "ls", "s3://data").stderr
    assert left(lab) == []
    assert door(driver).access_key_id is None
    asyncio.run(driver.shut_object_door(DEVICE, 1, A))
    # Opened anew it is empty, whatever the gateway remembers of it.
    third = new_key(driver)
    assert s3(third, tmp_path, "mb", "s3://data").returncode == 0
    assert s3(third, tmp_path, "put", piece, "s3://data/one").returncode == 0


def test_a_door_ends_with_its_file_system(lab, driver, tmp_path):
    key, piece = new_key(driver), file_of(tmp_path, 12)
    assert s3(key, tmp_path, "mb", "s3://data").returncode == 0
    assert s3(key, tmp_path, "put", piece, "s3://data/one").returncode == 0
    withdraw(driver, [OURS], A)
    assert "403 (InvalidAccessKeyId)" in s3(key, tmp_path, "ls", "s3://data").stderr
    assert left(lab) == []
