"""Settings of the storage plane over CephFS, as the site file has them."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from gigawatt.drivers.storage.folders import PlainFolder

NAME = r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}$"


class CephfsSettings(BaseModel):
    """The pools of one Ceph cluster.

    Fields:
        pool_ids: storage pools as the fleet calls them. Each is a subvolume group of this name,
            which must be there.
        filesystem: name of the CephFS.
        ceph_options: options of every ``ceph``, ``rados`` and ``ceph-fuse``, e.g. ``--conf PATH``.
        admin_name: entity as which the driver calls; must be allowed to administer keys.
        mount_root: folder whose ``POOL/exports``, shared mounts, get a mount for each export, for
            whoever attaches ``POOL/exports/VNI`` to the hosts of a network; without it hosts mount
            by themselves, with the key among the secrets.
        s3_endpoint: URL of this Ceph's object gateway (RGW) as tenants are told it; without it no
            file system has a door for objects.
        command_prefix: words before every command; empty when this machine has Ceph's tools.
        is_quoted: whether the prefix gives the words to a shell, as ``ssh`` does.
        command_s_max: seconds that one command may take.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    driver: Literal["cephfs"]
    pool_ids: Annotated[tuple[Annotated[str, Field(pattern=NAME)], ...], Field(min_length=1)]
    filesystem: Annotated[str, Field(pattern=NAME)]
    ceph_options: tuple[str, ...] = ()
    admin_name: str = "client.admin"
    mount_root: PlainFolder | None = None
    s3_endpoint: Annotated[str, Field(pattern=r"^https?://[^\s/]+/?$")] | None = None
    command_prefix: tuple[str, ...] = ()
    is_quoted: bool = False
    command_s_max: Annotated[float, Field(gt=0, le=600)] = 60.0
