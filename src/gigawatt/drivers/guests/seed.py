"""A guest's seed: the NoCloud files that cloud-init reads from a disk with the label "cidata".

Source: cloud-init, reference/datasources/nocloud and network-config-format-v2.
"""

import json
from collections.abc import Mapping
from hashlib import blake2b

from gigawatt.drivers.guests.shares import mount_commands
from gigawatt.drivers.guests.spec import GuestSpec

LABEL = "cidata"
"""Volume label by which a guest finds its seed."""


def seed_files(spec: GuestSpec) -> Mapping[str, str]:
    """Text of each file by name: hostname, SSH keys, shares, DHCP on the NIC of the slot.

    Strings are quoted as JSON does, which YAML reads too. Shares are mounted by commands:
    cloud-init's own ``mounts`` takes what is no device and no network's file system for absent.
    """
    entry = spec.entry
    lists = {
        "ssh_authorized_keys": entry.ssh_public_keys,
        "runcmd": [line for share in spec.shares for line in mount_commands(share)],
    }
    said = "".join(
        f"{name}:\n" + "".join(f"  - {json.dumps(item)}\n" for item in items)
        for name, items in lists.items()
        if items
    )
    digest = blake2b(repr((spec.cluster_id, entry)).encode(), digest_size=8).hexdigest()
    name, mac = json.dumps(entry.hostname), json.dumps(spec.nic.mac)
    return {
        "meta-data": f'instance-id: "{digest}"\nlocal-hostname: {name}\n',
        "user-data": "#cloud-config\n" + (said or "{}\n"),
        "network-config": "version: 2\nethernets:\n  in-band:\n    match:\n"
        f"      macaddress: {mac}\n    dhcp4: true\n",
    }
