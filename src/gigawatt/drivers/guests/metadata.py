"""What a virtual machine says of itself: the slice that it was made for, in its definition.

So a read-back needs nothing but libvirt, and a lost control plane finds everything again.
"""

from dataclasses import dataclass
from xml.etree import ElementTree as Xml

from gigawatt.boundary.entries import HostSlice, Power
from gigawatt.drivers.guests.shares import Attachment
from gigawatt.ids import ClusterId, NodeId

NAMESPACE = "urn:gigawatt:slice:1"
"""XML namespace of our part of libvirt's metadata."""
METADATA_TAG = f"{{{NAMESPACE}}}slice"
_KEY_TAG = f"{{{NAMESPACE}}}ssh-key"
_POOL_TAG = f"{{{NAMESPACE}}}storage-pool"


@dataclass(frozen=True, slots=True)
class SliceMetadata:
    """One slice and its holder.

    Fields: entry.power is not kept: libvirt tells it; has_run says whether a guest of the holder
    may have run on the slice since it was last clean; attachment is None where it has no shares.
    """

    entry: HostSlice
    cluster_id: ClusterId
    has_run: bool
    attachment: Attachment | None = None


def metadata_element(metadata: SliceMetadata) -> Xml.Element:
    """As it stands in a definition."""
    entry = metadata.entry
    element = Xml.Element(
        METADATA_TAG,
        {
            "node": entry.node_id,
            "gpu-mask": f"{entry.gpu_mask:#x}",
            "guest": "yes" if entry.guest else "no",
            "hostname": entry.hostname,
            "image": entry.image,
            "cluster": metadata.cluster_id,
            "has-run": "yes" if metadata.has_run else "no",
        },
    )
    for key in entry.ssh_public_keys:
        Xml.SubElement(element, _KEY_TAG).text = key
    if metadata.attachment is not None:
        element.set("vni", str(metadata.attachment.vni))
        for pool_id in metadata.attachment.storage_pools:
            Xml.SubElement(element, _POOL_TAG).text = pool_id
    return element


def read_metadata(definition: Xml.Element, power: Power) -> SliceMetadata | None:
    """What a definition says; None if it does not say it, or not all of it."""
    element = definition.find(f"metadata/{METADATA_TAG}")
    if element is None:
        return None
    try:
        entry = HostSlice(
            node_id=NodeId(element.attrib["node"]),
            gpu_mask=int(element.attrib["gpu-mask"], 16),
            guest=element.attrib["guest"] == "yes",
            hostname=element.attrib["hostname"],
            image=element.attrib["image"],
            ssh_public_keys=tuple(key.text or "" for key in element.findall(_KEY_TAG)),
            power=power,
        )
        cluster_id = ClusterId(element.attrib["cluster"])
        has_run = element.attrib["has-run"] != "no"
        attachment = _attachment(element)
    except (KeyError, ValueError):
        return None
    if entry.gpu_mask <= 0:
        return None
    return SliceMetadata(entry, cluster_id, has_run, attachment)


def _attachment(element: Xml.Element) -> Attachment | None:
    vni = element.get("vni")
    if vni is None:
        return None
    return Attachment(int(vni), tuple(pool.text or "" for pool in element.findall(_POOL_TAG)))
