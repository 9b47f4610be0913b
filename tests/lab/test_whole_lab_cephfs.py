"""Goal: two tenants share a lab whose files are on a real CephFS, and nothing passes between them.

Method: clusters are carved by the API; ssh, dd, ceph-fuse and Ceph's own tools judge. Every "no"
has a "yes" beside it that is asked in the same way. At the end ``gw lab audit`` finds nothing, and
then each kind of thing that somebody plants.
"""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from whole_lab import Carved, Tenant, WholeLab, whole_lab

from gigawatt.lab.layout import OUTSIDE
from gigawatt.lab.running import missing_packages
from gigawatt.lab.storage.cephfs import DATA_POOL, FILESYSTEM, CephfsPart, conf_path
from gigawatt.sdk import documents as doc

LOST = missing_packages({**CephfsPart(has_s3=True).package_of_tool, "s3cmd": "s3cmd"})
pytestmark = [
    pytest.mark.lab,
    pytest.mark.slow,
    pytest.mark.timeout(1_200),
    pytest.mark.skipif(bool(LOST), reason=f"not installed: {', '.join(LOST)}"),
]

MIB = 1 << 20
STORAGE_BYTES = 48 * MIB
AHEAD_BYTES = 4 * MIB
POOL = "ib0-fs"
OF_CLUSTERS = {"key", "subvolume", "client", "objects", "mount", "export", "export server"}


@pytest.fixture(scope="module")
def lab(tmp_path_factory) -> Iterator[WholeLab]:
    home = tmp_path_factory.mktemp("whole")
    storage = ("--storage", "cephfs", "--storage-size", "1GiB", "--s3")
    with whole_lab(home, 4, 0, storage=storage) as lab:
        yield lab


@pytest.fixture(scope="module")
def tenants(lab) -> Iterator[tuple[Tenant, Tenant]]:
    ann, ben = lab.tenant("ann"), lab.tenant("ben")
    with ann.client, ben.client:
        yield ann, ben


def ceph(lab: WholeLab, *words: str) -> str:
    conf = ("--conf", str(conf_path(lab.folder.path)))
    done = lab.run(None, words[0], *conf, *words[1:])
    assert done.returncode == 0, done.stderr
    return done.stdout


def on(lab: WholeLab, tenant: Tenant, cluster: Carved, command: str):
    """A command on the only machine of a cluster, by ssh."""
    where, (address,) = f"node{cluster.rows[0]}", cluster.addresses
    return lab.ssh(where, tenant.key_path, address, command)


def settled(lab: WholeLab, tenant: Tenant, cluster: Carved) -> None:
    lab.until(lambda: on(lab, tenant, cluster, "true").returncode == 0, "ssh")


def folder_of(lab: WholeLab, cluster: Carved) -> str:
    name = f"{POOL}-{cluster.filesystem}"
    return ceph(lab, "ceph", "fs", "subvolume", "getpath", FILESYSTEM, name, POOL).strip()


def judge_paths(lab: WholeLab, tenants, a: Carved, b: Carved) -> None:
    """A machine has its own files and no others; the key of one opens nothing of the other."""
    for tenant, own, other in ((tenants[0], a, b), (tenants[1], b, a)):
        here, there = f"/mnt/{POOL}/{own.filesystem}", f"/mnt/{POOL}/{other.filesystem}"
        done = on(lab, tenant, own, f"echo {tenant.name} > {here}/name && cat {here}/name")
        assert done.stdout == f"{tenant.name}\n", done.stderr
        assert on(lab, tenant, own, f"ls /mnt/{POOL}").stdout.split() == [str(own.filesystem)]
        for path in (there, f"{here}/../{other.filesystem}", str(lab.folder.path / "storage")):
            assert on(lab, tenant, own, f"ls {path}/*").returncode != 0
        assert on(lab, tenant, own, "cat /mnt/keyring").returncode != 0
    entity = f"client.gw-{a.vni}-{a.filesystem}-{POOL}"
    keyring = lab.home / "keyring"
    keyring.write_text(ceph(lab, "ceph", "auth", "get", entity))
    keyring.chmod(0o600)
    for folder, opens in ((folder_of(lab, a), True), (folder_of(lab, b), False), ("/", False)):
        words = ["--name", entity, "--keyring", str(keyring), "--admin-socket=", "--log-file="]
        target = lab.home / "tried"
        target.mkdir(exist_ok=True)
        conf = ["--conf", str(conf_path(lab.folder.path))]
        done = lab.run(None, "ceph-fuse", *conf, *words, "-r", folder, str(target))
        assert (done.returncode == 0) is opens, (folder, done.stderr)
        lab.run(None, "umount", str(target))


def judge_quota(lab: WholeLab, tenants, a: Carved, b: Carved) -> None:
    """A machine writes what was promised and one object more at most; nobody else notices."""
    own = f"/mnt/{POOL}/{a.filesystem}"
    done = on(lab, tenants[0], a, f"dd if=/dev/zero of={own}/fill bs=64k count=4096 conv=fsync")
    assert "Disk quota exceeded" in done.stderr
    size = int(on(lab, tenants[0], a, f"stat -c %s {own}/fill").stdout)
    assert STORAGE_BYTES - MIB <= size <= STORAGE_BYTES + AHEAD_BYTES
    again = on(lab, tenants[0], a, f"dd if=/dev/zero of={own}/more bs=1M count=1 conv=fsync")
    assert "Disk quota exceeded" in again.stderr
    theirs = f"/mnt/{POOL}/{b.filesystem}"
    done = on(lab, tenants[1], b, f"dd if=/dev/zero of={theirs}/own bs=1M count=8 conv=fsync")
    assert done.returncode == 0, done.stderr


def judge_reach(lab: WholeLab, a: Carved) -> None:
    """No machine speaks to a daemon of Ceph: not at any address of the storage server."""
    listed = lab.run(None, "ss", "-ltnpH").stdout.splitlines()
    daemons = {line.split()[3].rpartition(":")[2] for line in listed if '"ceph-' in line}
    assert len(daemons) >= 4, listed
    shown = json.loads(lab.run(None, "ip", "-json", "-4", "address").stdout)
    addresses = {one["local"] for link in shown for one in link.get("addr_info", ())}
    port = min(daemons)

    def tries(where: str | None, address: str) -> tuple[object, ...]:
        return (where, "timeout", "3", "bash", "-c", f"exec 3<>/dev/tcp/{address}/{port}")

    assert lab.does(*tries(None, "127.0.0.1"))
    asked = {address: tries(f"node{a.rows[0]}", address) for address in addresses}
    assert not any(lab.together(asked).values())


def storage_of(lab: WholeLab) -> set[tuple[str, str]]:
    return {(one["what"], one["where"]) for one in lab.audit() if one["plane"] == "storage"}


def test_two_tenants_share_a_cephfs_and_nothing_passes_between_them(lab, tenants):
    with ThreadPoolExecutor() as workers:
        asked = [
            workers.submit(lab.carve, tenant, name, 8, (row,), storage_bytes=STORAGE_BYTES)
            for tenant, name, row in zip(tenants, ("alpha", "beta"), (1, 2), strict=True)
        ]
    a, b = [one.result() for one in asked]
    for tenant, cluster in zip(tenants, (a, b), strict=True):
        settled(lab, tenant, cluster)
    judge_paths(lab, tenants, a, b)
    judge_quota(lab, tenants, a, b)
    judge_reach(lab, a)
    assert {what for what, _ in storage_of(lab)} >= OF_CLUSTERS
    assert "Proven" in lab.gw("prove")
    assert "nothing to repair" in lab.gw("reconcile")
    lab.release(tenants[0], a)
    own = f"/mnt/{POOL}/{b.filesystem}"
    assert on(lab, tenants[1], b, f"cat {own}/name").stdout == "ben\n"
    lab.release(tenants[1], b)
    assert json.loads(lab.gw("lab", "audit", lab.name, "--json", "--expect-empty")) == []
    for node in lab.operator.list_nodes().items:
        assert node.state == "available", node


def s3_words(lab: WholeLab, key: doc.S3Key, *words: str, wait_s: int = 60) -> tuple[str, ...]:
    """s3cmd with a key, in a file of the room; whoever runs it is told by the network namespace."""
    host = key.endpoint.removeprefix("http://")
    config = lab.home / key.access_key_id
    config.write_text(
        f"[default]\naccess_key = {key.access_key_id}\nsecret_key = {key.secret_access_key}\n"
        f"host_base = {host}\nhost_bucket = {host}\nuse_https = False\n"
    )
    config.chmod(0o600)
    bare = ("env", "-u", "http_proxy", "-u", "https_proxy", "-u", "HTTP_PROXY", "-u", "HTTPS_PROXY")
    return (*bare, "timeout", str(wait_s), "s3cmd", f"--config={config}", "--no-progress", *words)


def test_objects_of_two_tenants_are_reached_by_rule_and_key_alone(lab, tenants):
    keys, file_system_ids = [], []
    for tenant in tenants:
        made = tenant.client.create_file_system(
            doc.FileSystemRequest(project_id=tenant.project_id, name="data", quota_bytes=16 * MIB)
        )
        lab.ended(tenant, made.operation_id)
        file_system_ids.append(made.id)
        keys.append(tenant.client.rotate_s3_key(made.id))
    ann, ben = keys
    cluster = lab.carve(tenants[0], "gamma", 8, (1,), egress_cidrs=[f"{OUTSIDE}/32"])
    settled(lab, tenants[0], cluster)
    piece = lab.home / "piece"
    piece.write_bytes(bytes(6 * MIB))
    here = f"node{cluster.rows[0]}"
    done = lab.run(here, *s3_words(lab, ann, "mb", "s3://data"))
    assert done.returncode == 0, done.stderr
    for name, is_let in (("1", True), ("2", True), ("3", False)):
        done = lab.run(here, *s3_words(lab, ann, "put", str(piece), f"s3://data/{name}"))
        assert (done.returncode == 0) is is_let, done.stderr
        assert ("403 (QuotaExceeded)" in done.stderr) is not is_let
    (bucket,) = json.loads(ceph(lab, "radosgw-admin", "bucket", "list"))
    foreign = f"s3://{bucket.replace('/', ':')}"
    assert "403" in lab.run(here, *s3_words(lab, ben, "ls", foreign)).stderr
    assert lab.does(here, *s3_words(lab, ann, "ls", foreign))
    # Who is not let out by its own rules has no way to the door, whatever key it holds.
    assert not lab.does("node2", *s3_words(lab, ann, "ls", wait_s=12))
    assert {"S3 user", "S3 bucket", "S3 objects"} <= {what for what, _ in storage_of(lab)}
    lab.release(tenants[0], cluster)
    for tenant, one in zip(tenants, file_system_ids, strict=True):
        gone = tenant.client.delete_file_system(one)
        lab.ended(tenant, gone.operation_id)
    assert "403" in lab.run("outside", *s3_words(lab, ann, "ls")).stderr
    assert json.loads(lab.gw("lab", "audit", lab.name, "--json", "--expect-empty")) == []


def test_the_audit_finds_each_kind_of_thing_that_somebody_planted(lab):
    assert storage_of(lab) == set()
    user = ("--uid", "stranger", "--display-name", "stranger")
    ceph(lab, "radosgw-admin", "user", "create", *user)
    tree = lab.folder.path / "storage" / POOL / "exports" / "900" / "9"
    subvolume = ("fs", "subvolume")
    ceph(lab, "ceph", "auth", "get-or-create", "client.stranger", "mon", "allow r")
    ceph(lab, "ceph", "fs", "subvolumegroup", "create", FILESYSTEM, "strange")
    ceph(lab, "ceph", *subvolume, "create", FILESYSTEM, "alone")
    ceph(lab, "ceph", *subvolume, "snapshot", "create", FILESYSTEM, "alone", "kept")
    ceph(lab, "rados", "--pool", DATA_POOL, "--namespace", "lost", "put", "one", "/etc/hostname")
    assert lab.does(None, "mkdir", "-p", str(tree))
    ceph(lab, "ceph-fuse", "--admin-socket=", "--log-file=", str(tree))
    found = storage_of(lab)
    (server,) = [where for what, where in found if what == "export server"]
    assert server.startswith("ceph-fuse ")
    assert found == {
        ("key", "client.stranger"),
        ("S3 user", "stranger"),
        ("subvolume group", "strange"),
        ("subvolume", "alone"),
        ("snapshot", "alone kept"),
        ("objects", f"{DATA_POOL} lost"),
        ("client", "client.admin at /"),
        ("mount", str(tree)),
        ("export", str(tree)),
        ("export server", server),
    }
    assert lab.does(None, "umount", str(tree))
    assert lab.does(None, "rmdir", str(tree))
    ceph(lab, "rados", "--pool", DATA_POOL, "--namespace", "lost", "rm", "one")
    ceph(lab, "ceph", *subvolume, "snapshot", "rm", FILESYSTEM, "alone", "kept")
    ceph(lab, "ceph", *subvolume, "rm", FILESYSTEM, "alone")
    ceph(lab, "ceph", "fs", "subvolumegroup", "rm", FILESYSTEM, "strange")
    ceph(lab, "ceph", "auth", "rm", "client.stranger")
    ceph(lab, "radosgw-admin", "user", "rm", "--uid", "stranger")
    lab.until(lambda: storage_of(lab) == set(), "an empty storage plane")
