"""What Ceph's command line says in JSON, and the names that we give things in Ceph."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from gigawatt.ids import ClusterId, StoragePoolId

MARK = "gigawatt"
"""Metadata of a finished subvolume: its number, owner and path."""

_MARK = re.compile(r"(\d+):([A-Za-z0-9_.-]+):(/.*)")
_ENTITY = re.compile(r"gw-(\d+)-(\d+)-(.+)")


@dataclass(frozen=True, slots=True)
class Subvolume:
    """One subvolume. Fields: folder is its path in CephFS; quota_bytes is 0 if it has none."""

    folder: str
    rados_pool: str
    rados_namespace: str
    quota_bytes: int
    used_bytes: int


def subvolume_name(pool_id: StoragePoolId, filesystem: int) -> str:
    """Name of a subvolume. It has the pool in it: RADOS namespaces are named after it alone."""
    return f"{pool_id}-{filesystem}"


def entity_of(pool_id: StoragePoolId, filesystem: int, vni: int) -> str:
    """Name of the key of an export, without ``client.``."""
    return f"gw-{vni}-{filesystem}-{pool_id}"


def secret_ref_of(pool_id: StoragePoolId, filesystem: int, vni: int) -> str:
    """Under which name the key of an export is among the secrets."""
    return f"storage/{pool_id}/{vni}/{filesystem}"


def mark_of(filesystem: int, owner: ClusterId, path: str) -> str:
    """Value of the mark."""
    return f"{filesystem}:{owner}:{path}"


def read_mark(text: str) -> tuple[int, ClusterId, str] | None:
    """Number, owner and path of a mark; None if it is none."""
    found = _MARK.fullmatch(text)
    return (int(found[1]), ClusterId(found[2]), found[3]) if found else None


def export_of_entity(pool_id: StoragePoolId, entity: str) -> tuple[int, int] | None:
    """File system and VNI of a key of this pool; None for other keys."""
    found = _ENTITY.fullmatch(entity)
    if found is None or found[3] != pool_id:
        return None
    return int(found[2]), int(found[1])


def documents(text: str) -> tuple[Any, ...]:
    """JSON documents, one after the other.

    Raises:
        ValueError: it is something else.
    """
    decoder, at, found = json.JSONDecoder(), 0, []
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        document, at = decoder.raw_decode(text, at)
        found.append(document)
    return tuple(found)


def read_subvolume(document: Mapping[str, Any]) -> Subvolume:
    """A subvolume, from ``ceph fs subvolume info``.

    Raises:
        KeyError, ValueError: Ceph says it in another way.
    """
    quota = document["bytes_quota"]
    return Subvolume(
        folder=str(document["path"]),
        rados_pool=str(document["data_pool"]),
        rados_namespace=str(document["pool_namespace"]),
        quota_bytes=0 if quota == "infinite" else int(quota),
        used_bytes=int(document["bytes_used"]),
    )


def name_in(subvolume: Subvolume) -> str:
    """Name of a subvolume, which is the last but one part of where it is."""
    return subvolume.folder.split("/")[-2]


def read_capabilities(document: Mapping[str, Any]) -> dict[str, Mapping[str, str]]:
    """What each client may do, from ``ceph auth ls``, by its name without ``client.``."""
    return {
        str(one["entity"]).removeprefix("client."): one["caps"]
        for one in document["auth_dump"]
        if str(one["entity"]).startswith("client.")
    }


def capabilities_for(subvolume: Subvolume) -> dict[str, str]:
    """What the key of an export may do, and nothing else.

    The RADOS namespace is what keeps it from the objects of others, which no path does.
    """
    where = f"pool={subvolume.rados_pool} namespace={subvolume.rados_namespace}"
    return {
        "mds": f"allow rw path={subvolume.folder}",
        "mon": "allow r",
        "osd": f"allow rw {where}",
    }


def entities_at_work(documents_of_ranks: Iterable[Any]) -> frozenset[str]:
    """Names of the clients with an open session, from ``ceph tell mds.RANK session ls``."""
    return frozenset(
        str(session.get("client_metadata", {}).get("entity_id", ""))
        for document in documents_of_ranks
        for session in document
    )
