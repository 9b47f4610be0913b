"""What the power command knows of the machines: one JSON file, written by the lab."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from gigawatt.errors import InputError, UnknownIdError
from gigawatt.ids import NodeId


@dataclass(frozen=True, slots=True)
class MachineConfig:
    """One machine.

    Fields:
        netns: its network namespace, a file; ``eth0`` in it is its in-band interface.
        leaf_netns, leaf_port: where its switch port is; the bridge that this is in, ``br<VNI>``,
            says of which network it is. Empty: it has no switch port and no storage.
        folder: its disk, log and place for mounting; nobody else's.
    """

    node_id: NodeId
    netns: str
    leaf_netns: str
    leaf_port: str
    folder: str

    @property
    def disk(self) -> Path:
        """The upper layer: all that was ever written."""
        return Path(self.folder) / "disk"

    @property
    def console(self) -> Path:
        """What the machine says while it starts."""
        return Path(self.folder) / "console.log"


@dataclass(frozen=True, slots=True)
class MachinesConfig:
    """All machines of a lab.

    Fields: storage_pools is the folder of each storage pool by id; hidden are folders of this
    machine that none of its machines may see.
    """

    hosts: Mapping[NodeId, MachineConfig]
    storage_pools: Mapping[str, str]
    hidden: tuple[str, ...]

    def host(self, node_id: str) -> MachineConfig:
        """The machine of a node.

        Raises:
            UnknownIdError: there is none.
        """
        found = self.hosts.get(NodeId(node_id))
        if found is None:
            raise UnknownIdError(f"there is no machine of node {node_id!r}")
        return found


def config_text(config: MachinesConfig) -> str:
    """The file's content."""
    return json.dumps(asdict(config), indent=1)


def read_config(text: str) -> MachinesConfig:
    """The inverse of ``config_text``.

    Raises:
        InputError: the text is not of this form.
    """
    try:
        raw = json.loads(text)
        hosts = {NodeId(name): MachineConfig(**one) for name, one in raw["hosts"].items()}
        return MachinesConfig(hosts, dict(raw["storage_pools"]), tuple(raw["hidden"]))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"the machines' settings do not read: {error}") from error
