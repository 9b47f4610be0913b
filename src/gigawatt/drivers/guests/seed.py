"""A guest's seed: the NoCloud files that cloud-init reads from a disk with the label "cidata".

Source: cloud-init, reference/datasources/nocloud and network-config-format-v2.
"""

import json
from collections.abc import Mapping
from hashlib import blake2b

from gigawatt.drivers.guests.spec import GuestSpec

LABEL = "cidata"
"""Volume label by which a guest finds its seed."""


def seed_files(spec: GuestSpec) -> Mapping[str, str]:
    """Text of each file by name: hostname, SSH keys, DHCP on the NIC of the slot.

    Strings are quoted as JSON does, which YAML reads too.
    """
    entry = spec.entry
    keys = "".join(f"  - {json.dumps(key)}\n" for key in entry.ssh_public_keys)
    digest = blake2b(repr((spec.cluster_id, entry)).encode(), digest_size=8).hexdigest()
    name, mac = json.dumps(entry.hostname), json.dumps(spec.nic.mac)
    return {
        "meta-data": f'instance-id: "{digest}"\nlocal-hostname: {name}\n',
        "user-data": f"#cloud-config\nssh_authorized_keys:\n{keys}"
        if keys
        else "#cloud-config\n{}\n",
        "network-config": "version: 2\nethernets:\n  in-band:\n    match:\n"
        f"      macaddress: {mac}\n    dhcp4: true\n",
    }
