"""Machines for tests in a lab room: an in-band leaf with DHCP, and the power command's file.

A stand-in for the lab's own network where only machines are tested: one bridge for each VNI on one
leaf, and dnsmasq on it.
"""

import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from gigawatt.ids import NodeId
from gigawatt.lab.machine.config import MachineConfig, MachinesConfig, config_text
from gigawatt.lab.running import tool_environment

LEAF = "leaf0"


def run(*words: str, namespace: str | None = None, check: bool = True, timeout: float = 60.0):
    prefix = ["nsenter", f"--net=/run/netns/{namespace}", "--"] if namespace else []
    done = subprocess.run(
        [*prefix, *words],
        capture_output=True,
        text=True,
        env=tool_environment(),
        timeout=timeout,
        check=False,
    )
    assert not check or done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
    return done


@dataclass
class RunningMachines:
    """Machines ``node0`` .. and the leaf that they hang on; ``close`` at the end.

    Fields: vnis by node; the node's address is ``10.VNI.0.(10 + node)``.
    """

    folder: Path
    vni_of: dict[int, int]
    pools: dict[str, str] = field(default_factory=dict)
    programs: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    def start(self) -> "RunningMachines":
        run("ip", "netns", "add", LEAF)
        for vni in sorted(set(self.vni_of.values())):
            run("ip", "link", "add", f"br{vni}", "type", "bridge", namespace=LEAF)
            run("ip", "addr", "add", f"10.{vni}.0.1/24", "dev", f"br{vni}", namespace=LEAF)
            run("ip", "link", "set", f"br{vni}", "up", namespace=LEAF)
        for node, vni in self.vni_of.items():
            name = f"node{node}"
            run("ip", "netns", "add", name)
            run("ip", "link", "set", "lo", "up", namespace=name)
            words = ["ip", "link", "add", f"p{node}s0", "type", "veth", "peer", "name", "eth0"]
            run(*words, "address", mac(node), "netns", name, namespace=LEAF)
            run("ip", "link", "set", f"p{node}s0", "master", f"br{vni}", "up", namespace=LEAF)
            run("ip", "link", "set", "eth0", "up", namespace=name)
            Path(self.machine(node).folder).mkdir(parents=True)
        self._serve_addresses()
        machines = {self.node_id(n): self.machine(n) for n in self.vni_of}
        config = MachinesConfig(machines, self.pools, (str(self.folder),))
        self.config_path.write_text(config_text(config))
        return self

    def _serve_addresses(self) -> None:
        words = ["dnsmasq", "--no-daemon", "--port=0", "--no-resolv", "--no-hosts", "--conf-file="]
        words += ["--dhcp-authoritative", f"--dhcp-leasefile={self.folder}/leases"]
        for vni in sorted(set(self.vni_of.values())):
            words.append(f"--dhcp-range=10.{vni}.0.10,10.{vni}.0.200,255.255.255.0")
        for node in self.vni_of:
            words.append(f"--dhcp-host={mac(node)},{self.address(node)}")
        with (self.folder / "dnsmasq.log").open("ab") as log:
            self.programs.append(
                subprocess.Popen(
                    ["nsenter", f"--net=/run/netns/{LEAF}", "--", *words],
                    stdout=log,
                    stderr=log,
                    env=tool_environment(),
                )
            )

    @property
    def config_path(self) -> Path:
        return self.folder / "machines.json"

    @property
    def power_command(self) -> tuple[str, ...]:
        return (sys.executable, "-m", "gigawatt.lab.machine", "--config", str(self.config_path))

    def node_id(self, node: int) -> NodeId:
        return NodeId(f"node{node}")

    def address(self, node: int) -> str:
        return f"10.{self.vni_of[node]}.0.{10 + node}"

    def machine(self, node: int) -> MachineConfig:
        return MachineConfig(
            self.node_id(node),
            f"/run/netns/node{node}",
            f"/run/netns/{LEAF}",
            f"p{node}s0",
            f"{self.folder}/machines/{node}",
        )

    def power(self, *words: str, check: bool = True):
        return run(*self.power_command, *words, check=check)

    def state(self, node: int) -> str:
        return self.power("state", self.node_id(node)).stdout.split()[0]

    def ssh(self, node: int, key: Path, command: str, user: str = "tenant", check: bool = False):
        """What a command in the machine says, once its SSH server answers; 15 s at most."""
        words = ["ssh", "-i", str(key), "-o", "StrictHostKeyChecking=no", "-o", "LogLevel=ERROR"]
        words += ["-o", "UserKnownHostsFile=/dev/null", "-o", "IdentitiesOnly=yes"]
        words += ["-o", "BatchMode=yes", "-o", "ConnectTimeout=1", "-o", "ConnectionAttempts=15"]
        return run(*words, f"{user}@{self.address(node)}", command, namespace=LEAF, check=check)

    def close(self) -> None:
        for node in self.vni_of:
            with suppress(AssertionError):
                self.power("off", self.node_id(node))
        for program in self.programs:
            program.kill()
            program.wait()
        for name in [LEAF, *(f"node{node}" for node in self.vni_of)]:
            run("ip", "netns", "delete", name, check=False)


def mac(node: int) -> str:
    return f"02:67:77:00:{node:02x}:00"


def make_key(folder: Path, name: str) -> tuple[Path, str]:
    """A new SSH key: file of the private half, text of the public one."""
    path = folder / name
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(path))
    return path, path.with_suffix(".pub").read_text().strip()
