"""Storage servers of a lab: btrfs on a file, or a whole Ceph on one."""

from gigawatt.lab.layout import LabSpec
from gigawatt.lab.running import Part
from gigawatt.lab.storage.btrfs import BtrfsPart
from gigawatt.lab.storage.cephfs import CephfsPart


def storage_part(spec: LabSpec) -> Part:
    """The storage plane that a lab shall have."""
    return CephfsPart() if spec.storage == "cephfs" else BtrfsPart()
