"""The whole lab in this process's room, as ``gw lab up`` starts it, so that tests may break it.

Tenant A has a cluster all the time; tenant B's comes and goes. Everything of both is spoken of by
rows of the fleet: two nodes each, on both leaves of the in-band network and of every rail.
"""

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from select import select
from time import monotonic

from gigawatt.errors import GigawattError
from gigawatt.lab.audit import audit_inside
from gigawatt.lab.audit_scene import AuditScene, Leftover
from gigawatt.lab.control_plane import ControlPlane
from gigawatt.lab.fabric_part import FabricPart
from gigawatt.lab.folder import LabFolder, LabStatus
from gigawatt.lab.layout import LabSpec
from gigawatt.lab.parts import parts_of
from gigawatt.lab.running import Running
from gigawatt.lab.supervisor import Supervisor
from gigawatt.sdk import Client
from gigawatt.sdk import documents as doc
from gigawatt.units import GIB, MIB

SPEC = LabSpec(
    "faults", node_count=10, spine_count=2, leaf_count=2, hypervisor_count=1, storage_bytes=GIB
)
A_NODES, B_NODES = (1, 8), (2, 9)
SPARE = 3
ENDED = frozenset({"done", "unwound", "stuck"})
GONE = frozenset({"released", "failed"})
OPERATION_S_MAX, LOOK_S = 120.0, 0.05
HOME_MIB = 48
STORAGE_BYTES = 64 * MIB


class FaultLab:
    """A lab, its clients, and what a person would ask of them."""

    def __init__(self, path: Path) -> None:
        self.folder = LabFolder(path)
        self.folder.make()
        home = self.folder.home.path
        home.mkdir(mode=0o700)
        # A disk of its own for all that the control plane keeps, so that it can be full.
        options = f"size={HOME_MIB}m,mode=0700"
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "home", str(home)], check=True)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        status = LabStatus(SPEC, self.url, 0.0)
        self.parts = (*parts_of(SPEC), ControlPlane(self._socket.fileno()))
        began_s = monotonic()
        self.lab: Running = Supervisor(self.folder, status, self.parts).bring_up()
        self.took_s = monotonic() - began_s
        (self.fabric,) = (part for part in self.parts if isinstance(part, FabricPart))
        keys = self.folder.read_keys()
        self.operator = Client(self.url, keys.operator)
        self.b = Client(self.url, keys.tenant)
        self.a, self.a_project = self._another_tenant()
        self.b_project = self.b.list_projects().items[0].id
        # Of A's cluster once it stands, and what an audit finds then.
        self.a_id, self.a_vni, self.a_proxy = "", 0, ""
        self.a_alone: frozenset[Leftover] = frozenset()

    def audit(self) -> frozenset[Leftover]:
        """Everything of any tenant, by the components' own tools."""
        return frozenset(audit_inside(AuditScene(self.folder, SPEC, self.lab.layout)))

    def vni(self, name: str) -> int:
        """The number of a cluster's network."""
        status = self.operator.list_clusters(name=name).items[0].status
        assert status is not None
        return status.keys.vni

    def _another_tenant(self) -> tuple[Client, str]:
        organisation = self.operator.create_organisation("victim")
        project = self.operator.create_project(organisation.id, "victim")
        gpu_count = self.lab.fleet.gpu_count
        self.operator.set_quota(project.id, gpu_count)
        account = doc.CreateAccount(name="victim", kind="user", role="owner")
        account_id = self.operator.create_account(organisation.id, account).id
        key = self.operator.create_api_key(account_id, doc.CreateApiKey(name="lab"))
        assert key.key is not None
        return Client(self.url, key.key), project.id

    @property
    def subnets(self):
        """Simulated subnets, by rail."""
        started = self.fabric._started
        assert started is not None
        return started.subnets

    @property
    def disk(self) -> Path:
        """Where the storage part keeps its one pool."""
        return self.folder.path / "storage" / self.lab.fleet.storage_pools.ids[0]

    def node_id(self, row: int) -> str:
        return self.lab.fleet.nodes.ids[row]

    def guid(self, row: int, rail: int) -> int:
        fleet = self.lab.fleet
        return int(fleet.nics.guid[int(fleet.first_nic_of_node[row]) + rail])

    def request(self, name: str, project_id: str, nodes: tuple[int, ...], spare_count: int = 0):
        wanted = len(nodes) - spare_count
        others = [row for row in range(SPEC.node_count) if row not in nodes]
        return doc.ClusterRequest(
            project_id=project_id,
            name=name,
            gpu_count=8 * wanted,
            spare_count=spare_count,
            storage_bytes=STORAGE_BYTES,
            excluded_node_ids=[self.node_id(row) for row in others],
        )

    def operation(self, cluster_id: str) -> doc.Operation:
        """The newest operation of a cluster, by stage."""
        newest = self.operator.list_operations(cluster_id=cluster_id, limit=1).items[0]
        return self.operator.get_operation(newest.id)

    def until(self, is_so: Callable[[], bool], what: str | Callable[[], object]):
        """Look until it is so."""
        until_s = monotonic() + OPERATION_S_MAX
        while not is_so():
            if monotonic() > until_s:
                raise AssertionError(f"waited in vain for {what() if callable(what) else what}")
            select([], [], [], LOOK_S)

    def reconciled(self) -> doc.Reconciliation:
        """One whole pass of the reconciler."""
        found = self.operator.create_reconciliation()
        until_s = monotonic() + OPERATION_S_MAX
        while found.state == "running":
            assert monotonic() < until_s, "the reconciler does not end"
            found = self.operator.get_reconciliation(found.id, wait_s=20.0)
        return found

    def run(self, *words: str, where: str | None = None, stdin: str = "") -> str:
        return self.lab.run(words, namespace=where, stdin=stdin)

    def kill(self, name: str) -> None:
        program = self.lab.programs[name]
        program.kill()
        program.wait()

    def start_control_plane(self) -> None:
        """Start the server again as an operator would: over its home, on its socket."""
        words = [sys.executable, "-m", "gigawatt.cli", "server"]
        server = self.lab.spawn(
            "control",
            [*words, "--listen", f"fd:{self._socket.fileno()}", "--reconcile", "60"],
            descriptors=(self._socket.fileno(),),
            env={"GIGAWATT_HOME": str(self.folder.home.path), "PYTHONPATH": python_path()},
        )
        self.until(lambda: self.serves() or server.poll() is not None, "the control plane")
        assert server.poll() is None, self.lab.log_path("control").read_text()[-400:]

    def serves(self) -> bool:
        try:
            self.operator.who_am_i()
        except GigawattError:
            return False
        return True

    def close(self) -> None:
        for client in (self.a, self.b, self.operator):
            client.close()
        self.lab.stop()
        self.fabric.close()
        self._socket.close()


def python_path() -> str:
    return os.pathsep.join(str(Path(place).resolve()) for place in sys.path if place)
