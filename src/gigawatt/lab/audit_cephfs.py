"""What a lab's Ceph holds for tenants, by ``ceph`` and ``rados`` as its administrator."""

import json
from collections.abc import Iterator
from typing import Any

from gigawatt.boundary.plane import Plane
from gigawatt.errors import InputError
from gigawatt.lab.audit_scene import AuditScene, Leftover
from gigawatt.lab.storage.cephfs import CAPABILITIES, DATA_POOL, FILESYSTEM, conf_path
from gigawatt.lab.storage.s3_gateway import GATEWAY

CEPHS_OWN = "client.bootstrap-"
"""Keys that Ceph makes for itself begin so."""
GATEWAYS_DATA = (".buckets.data", ".buckets.non-ec")
"""Pools in which the gateway keeps objects end so."""
MANAGER = "a"
"""Whose sessions the manager's own modules open."""


def audit_cephfs(scene: AuditScene) -> Iterator[Leftover]:
    """Keys, subvolumes and their groups, snapshots, clients, objects, and doors of file systems.

    Raises:
        InputError: Ceph does not answer.
    """
    for entity in _ask(scene, "auth", "ls")["auth_dump"]:
        name = str(entity["entity"])
        if name not in {*CAPABILITIES, GATEWAY} and not name.startswith(CEPHS_OWN):
            yield Leftover(Plane.STORAGE, "key", name)
    yield from _subvolumes(scene)
    for session in _ask(scene, "tell", f"mds.{FILESYSTEM}:0", "session", "ls"):
        about = session.get("client_metadata", {})
        if about.get("entity_id") != MANAGER:
            where = f"client.{about.get('entity_id')} at {about.get('root')}"
            yield Leftover(Plane.STORAGE, "client", where)
    namespaces = set[str]()
    words = ["rados", "--conf", str(conf_path(scene.folder.path)), "--pool", DATA_POOL]
    for line in scene.said([*words, "ls", "--all"]).splitlines():
        # Namespace, tab, name; what Ceph itself keeps in the pool is in none.
        namespace, tab, _ = line.partition("\t")
        if tab and namespace.strip():
            namespaces.add(namespace.strip())
    for namespace in sorted(namespaces):
        yield Leftover(Plane.STORAGE, "objects", f"{DATA_POOL} {namespace}")
    if scene.spec.has_s3:
        yield from _doors(scene)


def _doors(scene: AuditScene) -> Iterator[Leftover]:
    """Users, buckets and objects of the gateway."""
    conf = ["--conf", str(conf_path(scene.folder.path))]
    for kind, what in (("user", "S3 user"), ("bucket", "S3 bucket")):
        for name in scene.listed(["radosgw-admin", *conf, kind, "list"]):
            yield Leftover(Plane.STORAGE, what, str(name))
    pools = scene.said(["rados", *conf, "lspools"]).split()
    for pool in (name for name in pools if name.endswith(GATEWAYS_DATA)):
        count = len(scene.said(["rados", *conf, "--pool", pool, "ls", "--all"]).splitlines())
        if count:
            yield Leftover(Plane.STORAGE, "S3 objects", f"{pool} {count}")


def _subvolumes(scene: AuditScene) -> Iterator[Leftover]:
    pools = frozenset(map(str, scene.layout.fleet.storage_pools.ids))
    listed = [str(one["name"]) for one in _ask(scene, "fs", "subvolumegroup", "ls", FILESYSTEM)]
    if not pools <= set(listed):
        raise InputError(f"Ceph has no subvolume group of {', '.join(sorted(pools - set(listed)))}")
    for group in listed:
        if group not in pools:
            yield Leftover(Plane.STORAGE, "subvolume group", group)
    for group in ("", *listed):
        named = ("--group_name", group) if group else ()
        for one in _ask(scene, "fs", "subvolume", "ls", FILESYSTEM, *named):
            name = str(one["name"])
            yield Leftover(Plane.STORAGE, "subvolume", f"{group} {name}".strip())
            about = ("fs", "subvolume", "snapshot", "ls", FILESYSTEM, name, *named)
            for snapshot in _ask(scene, *about):
                yield Leftover(
                    Plane.STORAGE, "snapshot", f"{group} {name} {snapshot['name']}".strip()
                )


def _ask(scene: AuditScene, *words: str) -> Any:  # noqa: ANN401 - whatever Ceph says
    """What Ceph says.

    Raises:
        InputError: it does not answer, or not in JSON.
    """
    command = ["ceph", "--conf", str(conf_path(scene.folder.path)), "--format=json", *words]
    said = scene.said(command)
    try:
        return json.loads(said)
    except ValueError as error:
        raise InputError(f"{' '.join(command)} printed {said[:200]!r}") from error
