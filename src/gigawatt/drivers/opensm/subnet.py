"""Where the driver finds the subnet managers of a fabric, and how it tells them to read again.

A fabric whose rails meet nowhere is several subnets, each with a manager of its own; all of them
read one ``partitions.conf``.
"""

import os
import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from gigawatt.errors import DriverRetryableError
from gigawatt.ids import DeviceId, FabricId

PROCESS_NAME = "opensm"


@dataclass(frozen=True, slots=True)
class Subnet:
    """One subnet and its managers.

    Fields:
        name: what to call it in a message.
        pid_paths: files that hold the process number of each manager; the master and any standby.
        adapter: adapter of this machine that is cabled to the subnet, e.g. ``mlx5_0``.
        adapter_port: its port, from 1; 0 where the machine is itself a switch.
        environment: of the process that reads the subnet, beyond this process's own.
        guids: port GUIDs of the fleet's NICs that hang on it.
        options_paths: ``opensm.conf`` of each manager, to be judged; none where nobody said.
    """

    name: str
    pid_paths: tuple[Path, ...]
    adapter: str
    adapter_port: int
    guids: frozenset[int]
    environment: dict[str, str] = field(default_factory=dict)
    options_paths: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class ManagedFabric:
    """One InfiniBand fabric as its driver finds it.

    Fields:
        conf_path: the ``partitions.conf`` that all its managers read (``opensm -P``); its folder
            must be writable, and on the same disk.
        subnets: all of them.
        manager_guids: port GUIDs of the managers' own machines; full members of the default
            partition by right, and no tenant's.
        build: which OpenSM its managers are; they read different options.
    """

    fabric_id: FabricId
    conf_path: Path
    subnets: tuple[Subnet, ...]
    manager_guids: frozenset[int] = frozenset()
    build: Literal["upstream", "nvidia"] = "upstream"

    @property
    def device(self) -> DeviceId:
        """The fabric as entries name it."""
        return DeviceId(f"fabric/{self.fabric_id}")


def hang_up(subnet: Subnet) -> None:
    """Tell every living manager of a subnet to read its partitions and sweep (SIGHUP).

    Raises:
        DriverRetryableError: none lives.
    """
    told = 0
    for path in subnet.pid_paths:
        pid = _living(path)
        if pid is not None:
            os.kill(pid, signal.SIGHUP)
            told += 1
    if not told:
        raise DriverRetryableError(
            f"subnet {subnet.name}: no OpenSM is running",
            next_step=f"Start opensm for subnet {subnet.name}; ports keep the P_Keys they have.",
        )


def _living(path: Path) -> int | None:
    """The process that a file names, if it lives and is a subnet manager."""
    try:
        pid = int(_content(path))
        # A number may have been given to another process since; that one is not to be told.
        head, _, tail = _content(f"/proc/{pid}/stat").rpartition(b")")
    except (OSError, ValueError):
        return None
    is_manager = head.partition(b"(")[2] == PROCESS_NAME.encode()
    return pid if is_manager and tail.split()[0] != b"Z" else None


def _content(path: Path | str) -> bytes:
    """The first bytes of a small file, read in the shortest way: managers wait to be told."""
    opened = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(opened, 4_096)
    finally:
        os.close(opened)
