"""What a hypervisor refuses to hold. Each function says why, or None."""

import re

from gigawatt.boundary.entries import HostSlice
from gigawatt.drivers.fenced import Entries
from gigawatt.drivers.guests.spec import Hypervisor

HOSTNAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9-]{1,63})*")
"""RFC 1123, section 2.1."""
KEY_LENGTH_MAX = 16_384
"""Letters of an SSH public key. Ours; RSA with 16,384 bits has some 2,800."""


def refuses_slices(
    hypervisor: Hypervisor, held: Entries, wanted: Entries, *, has_whole_nodes: bool
) -> str | None:
    """Why a hypervisor that holds ``held`` cannot come to hold ``wanted``."""
    for key, entry in wanted.items():
        if not isinstance(entry, HostSlice):
            return f"{key}: a host holds slices only"
        reason = _refuses_slice(hypervisor, entry) or _refuses_words(entry)
        if reason is None and not (entry.guest or has_whole_nodes):
            reason = "the node is a hypervisor and gives no bare metal"
        if reason is not None:
            return f"{key}: {reason}"
    taken = 0
    for key, entry in {**held, **wanted}.items():
        assert isinstance(entry, HostSlice), "a host holds slices only"
        if entry.gpu_mask & taken:
            return f"{key}: GPUs {entry.gpu_mask & taken:#x} are in another slice"
        taken |= entry.gpu_mask
    return None


def _refuses_slice(hypervisor: Hypervisor, entry: HostSlice) -> str | None:
    full = hypervisor.full_mask
    if entry.gpu_mask < 1 or entry.gpu_mask & ~full:
        return f"GPU mask is {entry.gpu_mask:#x}, the node has {full:#x}"
    if entry.slot not in hypervisor.settings.nic_of_slot:
        return f"slot {entry.slot} has no in-band port"
    if entry.image not in hypervisor.images:
        known = ", ".join(sorted(hypervisor.images)) or "none"
        return f"there is no image {entry.image!r}; there are {known}"
    return None


def _refuses_words(entry: HostSlice) -> str | None:
    if not HOSTNAME.fullmatch(entry.hostname):
        return f"{entry.hostname!r} is no host name"
    for key in entry.ssh_public_keys:
        if not key.isprintable() or not 1 <= len(key) <= KEY_LENGTH_MAX:
            return "an SSH key is not one line of printable letters"
    return None
