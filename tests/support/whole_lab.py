"""A lab as ``gw lab up`` makes it, tenants of it, and what a person with tools would do there."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hearing import hears

from gigawatt.lab.folder import LabFolder
from gigawatt.lab.launch import stop
from gigawatt.lab.places import room_command_of, subnet_environments
from gigawatt.lab.running import in_namespace, tool_environment
from gigawatt.sdk import Client
from gigawatt.sdk import documents as doc

SSH = (
    *("ssh", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "LogLevel=ERROR"),
    *("-o", "UserKnownHostsFile=/dev/null", "-o", "IdentitiesOnly=yes", "-o", "ConnectTimeout=4"),
)
CALL_S_MAX = 120.0
Done = subprocess.CompletedProcess[str]


@dataclass
class Carved:
    """A cluster that is active, with the addresses of its hosts in rank order."""

    document: doc.Cluster
    rows: tuple[int, ...]
    addresses: tuple[str, ...]
    hostnames: tuple[str, ...]
    seconds: float

    @property
    def vni(self) -> int:
        return self.document.status.keys.vni

    @property
    def filesystem(self) -> int:
        return self.document.status.keys.filesystem


@dataclass
class Tenant:
    """One tenant: its client, project and SSH key."""

    name: str
    client: Client
    project_id: str
    key_path: Path
    clusters: dict[str, Carved] = field(default_factory=dict)

    @property
    def public_key(self) -> str:
        return self.key_path.with_suffix(".pub").read_text().strip()


class WholeLab:
    """One lab that runs; nothing here asks a driver."""

    def __init__(
        self,
        home: Path,
        node_count: int,
        hypervisor_count: int,
        name: str,
        storage: Sequence[str] = (),
    ) -> None:
        self.home, self.name, self.storage = home, name, storage
        self.environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "GIGAWATT_HOME": str(home),
            "GIGAWATT_CONFIG": str(home / "profiles.toml"),
        }
        self.folder = LabFolder((home / "labs" / name).resolve())
        self.node_count, self.hypervisor_count = node_count, hypervisor_count

    def start(self) -> dict[str, Any]:
        sizes = ("--nodes", str(self.node_count), "--hypervisors", str(self.hypervisor_count))
        words = ("lab", "up", self.name, *sizes, *self.storage, "-o", "json")
        self.status = json.loads(self.gw(*words))
        self.url = self.status["url"]
        self.operator = Client(self.url, self.status["keys"]["operator"], timeout_s=CALL_S_MAX)
        return self.status

    def gw(self, *words: str, status: int = 0) -> str:
        """What ``gw`` printed; its exit status is ``status``."""
        done = subprocess.run(
            [sys.executable, "-m", "gigawatt.cli", *words],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == status, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout if status == 0 else done.stderr

    def tenant(self, name: str, gpu_count: int = 64) -> Tenant:
        """An organisation, project, account and key of their own, made by the operator."""
        key_path = self.home / f"key-{name}"
        words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(key_path)]
        subprocess.run(words, check=True)
        organisation = self.operator.create_organisation(name)
        project = self.operator.create_project(organisation.id, name)
        self.operator.set_quota(project.id, gpu_count)
        self.operator.set_storage_quota(project.id, 1 << 30)
        wanted = doc.CreateAccount(name=name, role="owner")
        account = self.operator.create_account(organisation.id, wanted)
        key = self.operator.create_api_key(account.id, doc.CreateApiKey(name="key"))
        client = Client(self.url, key.key, timeout_s=CALL_S_MAX)
        return Tenant(name, client, project.id, key_path)

    def carve(self, tenant: Tenant, name: str, gpu_count: int, rows: Sequence[int], **more: Any):
        """A cluster on nothing but these nodes, active."""
        others = [node for row, node in enumerate(self.node_ids) if row not in rows]
        request = doc.ClusterRequest(
            project_id=tenant.project_id,
            name=name,
            gpu_count=gpu_count,
            excluded_node_ids=others,
            ssh_public_keys=[tenant.public_key],
            **more,
        )
        cluster = tenant.client.create_cluster(request)
        operation = self.ended(tenant, cluster.operation_id)
        return self.carved(tenant, cluster.id, operation)

    def carved(self, tenant: Tenant, cluster_id: str, operation: doc.Operation) -> Carved:
        cluster = tenant.client.get_cluster(cluster_id)
        network = tenant.client.get_cluster_network(cluster_id)
        taken = (operation.finished_at - operation.started_at).total_seconds()
        hosts = [host for host in network.hosts if host.role == "member"]
        carved = Carved(
            cluster,
            tuple(self.node_ids.index(node) for node in cluster.status.members),
            tuple(host.ipv4 for host in hosts),
            tuple(host.hostname for host in hosts),
            taken,
        )
        tenant.clusters[cluster.name] = carved
        return carved

    def release(self, tenant: Tenant, carved: Carved) -> float:
        """Give a cluster back; seconds."""
        cluster = tenant.client.release_cluster(carved.document.id)
        operation = self.ended(tenant, cluster.operation_id)
        del tenant.clusters[carved.document.name]
        return (operation.finished_at - operation.started_at).total_seconds()

    @staticmethod
    def ended(tenant: Tenant, operation_id: str) -> doc.Operation:
        """An operation that came to its good end."""
        *_, operation = tenant.client.watch_operation(operation_id)
        assert operation.state == "done", (operation.state_reason, operation.failure)
        return operation

    @property
    def node_ids(self) -> list[str]:
        return [f"h-su000-n{row:02d}" for row in range(self.node_count)]

    def run(self, where: str | None, *command: str, stdin: str = "") -> Done:
        """A command in a network namespace of the room; None is the room's own."""
        return subprocess.run(
            room_command_of(self.folder, in_namespace(command, where)),
            input=stdin,
            capture_output=True,
            text=True,
            env=tool_environment(),
            check=False,
            timeout=CALL_S_MAX,
        )

    def does(self, where: str | None, *command: str) -> bool:
        return self.run(where, *command).returncode == 0

    def together(self, questions: dict[Any, Sequence[Any]]) -> dict[Any, bool]:
        """Whether each command succeeds, by its name; many at once, for most only wait."""
        with ThreadPoolExecutor(8) as workers:
            answers = workers.map(lambda words: self.does(*words), questions.values())
            return dict(zip(questions, answers, strict=True))

    def pings(self, where: str, address: str) -> tuple[str, ...]:
        return (where, "ping", "-q", "-c", "2", "-i", "0.3", "-W", "1", address)

    def arpings(self, where: str, address: str) -> tuple[str, ...]:
        return (where, "sh", "-c", hears(address))

    def ssh(self, where: str, key: Path, address: str, command: str, user: str = "root") -> Done:
        return self.run(where, *SSH, "-i", str(key), f"{user}@{address}", command)

    def until(self, is_so, what: str) -> None:
        """Look until it is so; each look takes a command's time."""
        for _ in range(60):
            if is_so():
                return
        raise AssertionError(f"waited in vain: {what}")

    def fabric(self, subnet: str, *command: str) -> str:
        """What a tool of a simulated subnet said."""
        environment = subnet_environments(self.folder)[subnet]
        words = ["env", *(f"{k}={v}" for k, v in environment.items()), *command]
        done = self.run(None, *words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def paths(self, subnet: str, pairs: Sequence[tuple[int, int]]) -> dict[tuple[int, int], bool]:
        """Whether the subnet manager gives a path, by ``saquery`` and pair of port GUIDs."""
        script = "".join(
            f"saquery -C ibsim0 PR --sgid {gid(a)} --dgid {gid(b)} | grep -c 'PathRecord dump'"
            " || true\n"
            for a, b in pairs
        )
        counts = self.fabric(subnet, "sh", "-c", script).split()
        return dict(zip(pairs, (count != "0" for count in counts), strict=True))

    def audit(self) -> list[dict[str, str]]:
        return json.loads(self.gw("lab", "audit", self.name, "--json"))


def gid(guid: int) -> str:
    """The link-local GID of a port, as ``saquery`` takes it."""
    words = [f"{guid >> shift & 0xFFFF:x}" for shift in (48, 32, 16, 0)]
    return "fe80:0:0:0:" + ":".join(words)


@contextmanager
def whole_lab(
    home: Path,
    node_count: int = 8,
    hypervisor_count: int = 1,
    name: str = "whole",
    storage: Sequence[str] = (),
) -> Iterator[WholeLab]:
    """A lab that is up until the end of the block; ``storage`` are options of ``gw lab up``."""
    lab = WholeLab(home, node_count, hypervisor_count, name, storage)
    try:
        lab.start()
        with lab.operator:
            yield lab
    finally:
        stop(lab.folder)
