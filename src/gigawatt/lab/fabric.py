"""A real OpenSM over a simulated InfiniBand fabric (ibsim) of a fleet.

One ibsim and one OpenSM per subnet, all reading one ``partitions.conf``. Real are the subnet
manager, its tables and its answers to PathRecord; not real are packets, M_Keys and links.

Every process is told by the kernel to die with the one that started it (``setpriv --pdeathsig``),
so a crash leaves nothing running; the kernel means the thread, so start a lab in one that stays.
Needs Debian's ``opensm``, ``ibsim-utils``, ``libumad2sim0``,
``infiniband-diags`` and ``util-linux``.
"""

import os
import subprocess
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from select import select

import numpy as np

from gigawatt.drivers.opensm.subnet import ManagedFabric, Subnet
from gigawatt.errors import InputError
from gigawatt.fleet.discovery.ibnet_writer import ibnet_text
from gigawatt.fleet.model import Fleet
from gigawatt.ids import FabricId
from gigawatt.lab.running import DIE_WITH_PARENT, missing_packages

UMAD2SIM = Path("/usr/lib/x86_64-linux-gnu/umad2sim/libumad2sim.so")
TOOL_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
PACKAGE_OF_TOOL = {"opensm": "opensm", "ibsim": "ibsim-utils", "setpriv": "util-linux"}
ADAPTER = "ibsim0"
START_S_MAX = 60.0
OPENSM_CONF = "force_log_flush TRUE\nsweep_interval 2\nsminfo_polling_timeout 1000\n"
"""Without force_log_flush the log, which says when the subnet is up, comes minutes late."""


def missing_fabric_packages() -> tuple[str, ...]:
    """Debian packages that a simulated fabric needs and this machine does not have."""
    lost = missing_packages(PACKAGE_OF_TOOL)
    return lost if UMAD2SIM.exists() else (*lost, "libumad2sim0")


def missing_tools() -> str:
    """What is not installed, in one sentence; empty when the lab can run."""
    lost = missing_fabric_packages()
    return f"not installed: {', '.join(lost)}" if lost else ""


def subnets_of(fleet: Fleet, fabric_index: int) -> tuple[tuple[int, ...], ...]:
    """Rows of the switches of each subnet of a fabric: those that links join."""
    rows = np.flatnonzero(fleet.switches.fabric == fabric_index).tolist()
    above = {row: row for row in rows}

    def top(row: int) -> int:
        while above[row] != row:
            above[row] = above[above[row]]
            row = above[row]
        return row

    for a, b in zip(fleet.links.lower.tolist(), fleet.links.upper.tolist(), strict=True):
        if a in above:
            above[top(a)] = top(b)
    groups: defaultdict[int, list[int]] = defaultdict(list)
    for row in rows:
        groups[top(row)].append(row)
    return tuple(sorted(tuple(group) for group in groups.values()))


@dataclass
class LabSubnet:
    """The processes of one subnet."""

    subnet: Subnet
    folder: Path
    ibsim: subprocess.Popen[bytes]
    managers: list[subprocess.Popen[bytes]]
    leaf_guids: tuple[int, ...]

    def console(self, line: str) -> None:
        """Give ibsim a line of its console, e.g. ``Unlink "H-0002c903000fffff"``."""
        assert self.ibsim.stdin is not None, "opened with a pipe"
        self.ibsim.stdin.write(line.encode() + b"\n")
        self.ibsim.stdin.flush()

    def log(self, number: int = 0) -> str:
        """What one of its subnet managers has logged so far."""
        path = self.folder / f"opensm{number}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def start_manager(self, conf_path: Path, number: int = 0) -> None:
        """Start subnet manager ``number`` on leaf ``number``; it is not waited for."""
        folder = self.folder / f"manager{number}"
        folder.mkdir(exist_ok=True)
        (folder / "opensm.conf").write_text(OPENSM_CONF)
        env = client_environment(self.subnet.environment["IBSIM_SOCKNAME"], self.leaf_guids[number])
        command = [*DIE_WITH_PARENT, "opensm", "-F", "opensm.conf", "-P", str(conf_path)]
        command += ["-f", str(self.folder / f"opensm{number}.log"), "--dump_files_dir", "."]
        process = subprocess.Popen(  # noqa: S603 - a fixed tool
            command,
            cwd=folder,
            env={
                **env,
                "PATH": TOOL_PATH,
                "OSM_TMP_DIR": str(folder),
                "OSM_CACHE_DIR": str(folder),
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.managers[number:] = [process, *self.managers[number + 1 :]]
        self.subnet.pid_paths[number].write_text(str(process.pid))

    def stop(self) -> None:
        """Kill its processes and wait for them."""
        for process in (*self.managers, self.ibsim):
            process.kill()
        for process in (*self.managers, self.ibsim):
            process.wait()
        if self.ibsim.stdin is not None:
            self.ibsim.stdin.close()
        if self.ibsim.stdout is not None:
            self.ibsim.stdout.close()


def reader_row(fleet: Fleet, switch_rows: Collection[int]) -> int:
    """The switch from which a subnet is read: one on which no manager runs, if there is one.

    ibsim gives answers meant for us to a killed manager of the same switch. The master is on the
    first leaf and the standby on the second, so the reader is on the last leaf of three or more,
    and on a spine over two.
    """
    rows = set(switch_rows)
    leaves = rows.intersection(fleet.nics.leaf.tolist())
    spines = rows - leaves
    return max(spines) if len(leaves) == 2 and spines else max(leaves)


def reader_guids(fleet: Fleet, fabric_index: int) -> tuple[int, ...]:
    """Port GUIDs from which the lab's subnets are read; to be laid down as managers."""
    groups = subnets_of(fleet, fabric_index)
    return tuple(int(fleet.switches.guid[reader_row(fleet, rows)]) for rows in groups)


def client_environment(socket_name: str, switch_guid: int) -> dict[str, str]:
    """What makes a program see one simulated subnet from one of its switches."""
    return {
        "LD_PRELOAD": str(UMAD2SIM),
        "IBSIM_SOCKNAME": socket_name,
        "SIM_HOST": f"S-{switch_guid:016x}",
    }


@dataclass(frozen=True)
class FabricLab:
    """A running fabric and what its driver has to know of it."""

    fabric: ManagedFabric
    subnets: tuple[LabSubnet, ...]


@contextmanager
def fabric_lab(fleet: Fleet, fabric_index: int, folder: Path) -> Iterator[FabricLab]:
    """Run one fabric of a fleet; all its processes are gone at the end.

    Args:
        fleet: the fleet.
        fabric_index: row of an InfiniBand fabric.
        folder: for files and logs. ``partitions.conf`` must be in it already: an OpenSM that finds
            none makes every port a full member of the default partition.

    Raises:
        InputError: a package is missing, or ``partitions.conf``, or a process does not start.
    """
    missing = missing_tools()
    if missing:
        raise InputError(missing, next_step="apt-get install opensm ibsim-utils infiniband-diags")
    conf_path = folder / "partitions.conf"
    if not conf_path.exists():
        raise InputError(f"there is no {conf_path}: OpenSM would open the whole fabric")
    with ExitStack() as stack:
        subnets: list[LabSubnet] = []
        for number, rows in enumerate(subnets_of(fleet, fabric_index)):
            subnet = _start_ibsim(fleet, fabric_index, rows, folder / f"subnet{number}")
            stack.callback(subnet.stop)
            subnet.start_manager(conf_path)
            subnets.append(subnet)
        for subnet in subnets:
            _await_up(subnet)
        fabric_id = FabricId(fleet.fabrics.ids[fabric_index])
        found = ManagedFabric(fabric_id, conf_path, tuple(x.subnet for x in subnets))
        yield FabricLab(found, tuple(subnets))


def _start_ibsim(
    fleet: Fleet, fabric_index: int, switch_rows: tuple[int, ...], folder: Path
) -> LabSubnet:
    folder.mkdir()
    (folder / "net").write_text(ibnet_text(fleet, fabric_index, switch_rows))
    nic_rows = np.flatnonzero(np.isin(fleet.nics.leaf, switch_rows))
    leaves = sorted({int(leaf) for leaf in fleet.nics.leaf[nic_rows]})
    # An abstract socket: the name has to differ from that of every other lab on the machine.
    name = f"gigawatt-{os.getpid()}-{abs(hash(str(folder))):x}"
    switch_ports = int(fleet.switches.switch_port_count[list(switch_rows)].sum()) + len(switch_rows)
    sizes = _sizes(len(nic_rows), len(switch_rows), switch_ports)
    ibsim = subprocess.Popen(  # noqa: S603 - a fixed tool
        [*DIE_WITH_PARENT, "ibsim", "-s", *sizes, "net"],
        cwd=folder,
        env={"PATH": TOOL_PATH, "IBSIM_SOCKNAME": name},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    leaf_guids = tuple(int(fleet.switches.guid[leaf]) for leaf in leaves)
    subnet = Subnet(
        name=folder.name,
        pid_paths=tuple(folder / f"opensm{number}.pid" for number in range(2)),
        adapter=ADAPTER,
        adapter_port=0,
        guids=frozenset(int(guid) for guid in fleet.nics.guid[nic_rows]),
        environment=client_environment(
            name, int(fleet.switches.guid[reader_row(fleet, switch_rows)])
        ),
        options_paths=(folder / "manager0" / "opensm.conf",),
    )
    lab = LabSubnet(subnet, folder, ibsim, [], leaf_guids)
    try:
        _await_line(ibsim, b"simulator ready")
    except BaseException:
        lab.stop()
        raise
    return lab


def _sizes(nic_count: int, switch_count: int, switch_ports: int) -> list[str]:
    """Options that make room in ibsim, whose defaults end at 2,048 nodes and 256 switches."""
    counts: Mapping[str, int] = {
        "-N": max(2_048, 2 * (nic_count + switch_count)),
        "-S": max(256, 2 * switch_count),
        "-P": max(13_312, 2 * (nic_count * 2 + switch_ports)),
    }
    return [word for flag, count in counts.items() for word in (flag, str(count))]


def _await_line(process: subprocess.Popen[bytes], words: bytes) -> None:
    assert process.stdout is not None, "opened with a pipe"
    seen = b""
    while words not in seen:
        is_readable, _, _ = select([process.stdout], [], [], START_S_MAX)
        chunk = os.read(process.stdout.fileno(), 65_536) if is_readable else b""
        if not chunk:
            raise InputError(f"ibsim did not start; it said {seen[-200:]!r}")
        seen += chunk


def _await_up(subnet: LabSubnet) -> None:
    """Wait until a manager says that its subnet is up; its log is followed, not polled blindly."""
    for _ in range(int(START_S_MAX / 0.02)):
        if "SUBNET UP" in subnet.log():
            return
        if subnet.managers[0].poll() is not None:
            break
        select([], [], [], 0.02)
    raise InputError(
        f"OpenSM of {subnet.subnet.name} did not come up; it logged {subnet.log()[-200:]!r}"
    )
