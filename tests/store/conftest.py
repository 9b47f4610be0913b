"""Small clusters on a small fleet, and a store in memory, for the tests of this folder."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import pytest

from gigawatt.boundary.entries import (
    BmcAccount,
    Entry,
    Gateway,
    HostSlice,
    NetworkPort,
    PartitionMember,
)
from gigawatt.boundary.target import ClusterTarget, Keys, Member
from gigawatt.fleet.demo import hgx_fleet
from gigawatt.ids import ClusterId, FabricId, NodeId, OperationId, PlanId, SiteId, TenantId
from gigawatt.interfaces.store import OperationRecord
from gigawatt.placement.result import Spread
from gigawatt.planner.plan import OperationKind, Plan, PlanReport, Stage, make_step
from gigawatt.store.sqlite import open_store
from gigawatt.store.store import SqlStore


@dataclass(frozen=True)
class Build:
    """Makes targets and plans; ``nodes`` are the fleet's node ids."""

    nodes: tuple[NodeId, ...]

    def target(
        self,
        name: str = "a",
        nodes: Sequence[int] = (0, 1),
        *,
        number: int = 1,
        tenant: str = "ten_x",
        mask: int = 0xFF,
    ) -> ClusterTarget:
        """Cluster ``clu_NAME`` on the nodes of these numbers, with keys made from ``number``."""
        members = tuple(
            Member(self.nodes[node], mask, "member", index) for index, node in enumerate(nodes)
        )
        return ClusterTarget(
            cluster_id=ClusterId(f"clu_{name}"),
            tenant_id=TenantId(tenant),
            name=name,
            site_id=SiteId("site-a"),
            fabric_id=FabricId("ib0"),
            pool_id=None,
            members=members,
            keys=Keys(
                p_key=number, compute_vni=None, vni=4_096 + number, subnet=number, filesystem=None
            ),
            storage_bytes=0,
            image="debian-12-gpu",
            ssh_public_keys=(),
            egress_cidrs=(),
        )

    def with_nodes(self, target: ClusterTarget, nodes: Sequence[int]) -> ClusterTarget:
        """The same cluster on other nodes."""
        return replace(target, members=self.target(target.name, nodes).members)

    def entries(self, target: ClusterTarget, *, nics: bool = False) -> tuple[Entry, ...]:
        """A gateway, and on every node a port, an account and a host; with NICs if wanted."""
        keys = target.keys
        made: list[Entry] = [Gateway(target.site_id, keys.vni, "10.0.16.0/20", ())]
        for m in target.members:
            made += [
                NetworkPort(m.node_id, 0, keys.vni, f"10.0.16.{10 + m.host_index}/20"),
                BmcAccount(m.node_id, target.name, f"bmc/{m.node_id}"),
                HostSlice(m.node_id, m.gpu_mask, False, "host", target.image, (), "off"),
            ]
            if nics:
                guid = 1 + self.nodes.index(m.node_id)
                made.append(PartitionMember(target.fabric_id, keys.p_key or 0, guid, "full"))
        return tuple(made)

    def plan(
        self,
        kind: OperationKind,
        before: ClusterTarget | None,
        after: ClusterTarget | None,
        generation: int,
        *,
        quarantined: tuple[NodeId, ...] = (),
        expires_s: float = 1e9,
    ) -> Plan:
        """A plan of one stage; its steps ensure every entry of ``after``."""
        target = after or before
        assert target is not None
        steps = tuple(
            make_step("ensure", entry.plane, entry.device, [entry], None)
            for entry in (() if after is None else self.entries(after, nics=True))
        )
        return Plan(
            plan_id=PlanId(f"pln_{generation}"),
            kind=kind,
            cluster_id=target.cluster_id,
            tenant_id=target.tenant_id,
            parent_generation=generation,
            before=before,
            after=after,
            stages=(Stage("close the planes", steps, verify=True),),
            quarantined=quarantined,
            report=PlanReport("h100", 16, Spread(1, 1, 1, 2, 1), (), (), 1, 1.0),
            created_s=0.0,
            expires_s=expires_s,
        )

    def commit(
        self,
        store: SqlStore,
        kind: OperationKind,
        before: ClusterTarget | None,
        after: ClusterTarget | None,
        *,
        now_s: float = 100.0,
        quarantined: tuple[NodeId, ...] = (),
    ) -> OperationRecord:
        """Commit a plan made from what the store holds now; the operation is op_GENERATION."""
        generation = store.snapshot(now_s).generation
        plan = self.plan(kind, before, after, generation, quarantined=quarantined)
        return store.commit(plan, OperationId(f"op_{generation}"), now_s)

    def launched(self, store: SqlStore, target: ClusterTarget, now_s: float = 100.0) -> None:
        """Launch a cluster to the end."""
        operation = self.commit(store, OperationKind.LAUNCH, None, target, now_s=now_s)
        store.finish(operation, "done", {}, now_s)


@pytest.fixture(scope="session")
def build() -> Build:
    """The builder, on 32 nodes of 8 GPUs; it is immutable."""
    return Build(tuple(NodeId(name) for name in hgx_fleet(256).nodes.ids))


@pytest.fixture
def store() -> Iterator[SqlStore]:
    """An empty store in memory."""
    made = open_store(None)
    yield made
    made.close()
