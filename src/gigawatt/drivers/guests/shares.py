"""Shares of a guest: how the exports of its network come to it, by virtiofs; pure.

A share shows ``exports/<VNI>`` of one storage pool (``drivers.storage.exports``): whatever is
exported there, and as long as it is. libvirt starts its server, virtiofsd, with the guest and ends
it with it, through a program of ours that lies among the guest's files. That attaches the folder
as a host has it attached, in a mount namespace which ends with the server. So nothing of a share
is mounted where it would have to be taken away, and the folder above the file systems is read-only
whatever the guest's root does.

Source: virtiofsd(1) of QEMU 7.2; libvirt, kbase/virtiofs.html.
"""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gigawatt.drivers.storage.exports import attach_commands, network_folder

MOUNT_FOLDER = "/mnt"
"""A pool's file systems are in ``/mnt/POOL`` of a guest, as in that of a machine of a lab."""
SERVER_OPTIONS = ("-o", "modcaps=-mknod,cache=auto")
"""A guest's root makes no device nodes; the machines of a lab may not either. Another guest's
change is seen within a second, as with NFS; without any cache no file could be mapped shared
(Linux 6.1, fs/fuse/file.c, ``FOPEN_DIRECT_IO``)."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """What a guest was given: these storage pools, as the in-band network ``vni`` may see them."""

    vni: int
    storage_pools: tuple[str, ...]


@dataclass(frozen=True, slots=True, order=True)
class Share:
    """One share.

    Fields:
        pool_id: of the storage pool, and the tag by which the guest mounts it.
        source: folder of the hypervisor that it shows.
        server: program that libvirt starts as its virtiofsd.
    """

    pool_id: str
    source: str
    server: str

    @property
    def target(self) -> str:
        """Where the guest mounts it."""
        return f"{MOUNT_FOLDER}/{self.pool_id}"


def shares_of(
    attachment: Attachment | None, pool_folders: Mapping[str, str], files: str
) -> tuple[Share, ...]:
    """The shares of a guest whose files are in ``files``; pools without a folder have none."""
    if attachment is None:
        return ()
    return tuple(
        Share(
            pool_id,
            str(network_folder(Path(pool_folders[pool_id]), attachment.vni)),
            f"{files}/share-{pool_id}",
        )
        for pool_id in sorted(attachment.storage_pools)
        if pool_id in pool_folders
    )


def server_program(share: Share, virtiofsd: str) -> str:
    """The text of ``share.server``; whatever words it is given are virtiofsd's."""
    source = Path(share.source)
    # Over itself: libvirt tells virtiofsd the folder by the name that its definition has.
    attach = attach_commands(source.parent.parent, int(source.name), source)
    lines = [shlex.join(command) for command in attach]
    lines.append(f'exec {shlex.join([virtiofsd, *SERVER_OPTIONS])} "$@"')
    script = shlex.quote("\n".join(lines))
    return f'#!/bin/sh\nexec unshare --mount --propagation slave sh -euc {script} share "$@"\n'


def mount_commands(share: Share) -> tuple[str, ...]:
    """Shell commands of the guest that mount it now, and say so in its file table for later."""
    table = f"{share.pool_id} {share.target} virtiofs nosuid,nodev,nofail 0 0"
    return (
        f"mkdir -p {share.target}",
        f"echo {shlex.quote(table)} >> /etc/fstab",
        f"mount {share.target}",
    )
