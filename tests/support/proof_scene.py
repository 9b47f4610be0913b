"""A site with every make of cluster on it, and what may be changed in it before it is proven."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace

from gigawatt.boundary.entries import Entry, PartitionMember, PortLocation
from gigawatt.boundary.keys import keys_of, take_filesystem, take_keys
from gigawatt.boundary.proof import Proof, prove
from gigawatt.boundary.render import render
from gigawatt.boundary.target import ClusterTarget, Member, Mount
from gigawatt.fleet.builder import BlockSpec, build_fleet
from gigawatt.fleet.demo import GB200_NVL72_NODE, HGX_H100
from gigawatt.fleet.model import FabricKind
from gigawatt.ids import ClusterId, FabricId, FileSystemId, NodeId, SiteId, StoragePoolId, TenantId
from gigawatt.intent.firewall import InboundRule
from gigawatt.interfaces.driver import Observation
from gigawatt.units import PIB, TIB

SITE = SiteId("site-a")


FLEET = build_fleet(
    "two-fabrics",
    [
        BlockSpec("site-a", "US", "hall-1", HGX_H100, 12, "h", "ib0", storage_bytes=PIB),
        BlockSpec("site-a", "US", "hall-1", GB200_NVL72_NODE, 6, "g", "eth0", FabricKind.ROCE),
    ],
)
POOL = StoragePoolId("ib0-fs")
SCOPES = ("targets", "read_back")
SSH_IN = InboundRule("tcp", (22, 22), "192.0.2.0/24")


@dataclass(frozen=True)
class Scene:
    """Everything a proof is given."""

    targets: tuple[ClusterTarget, ...]
    entries: tuple[Entry, ...]
    port_locations: tuple[PortLocation, ...] = ()
    buried: frozenset = frozenset()
    buried_keys: frozenset = frozenset()

    def prove(self, scope) -> Proof:
        return prove(
            FLEET,
            self.targets,
            self.entries if scope == "targets" else _observed(self.entries),
            port_locations=self.port_locations,
            buried=self.buried,
            buried_keys=self.buried_keys,
            scope=scope,
        )


def _observed(entries) -> list[Entry]:
    """The entries as a read-back gives them: by device, without order."""
    by_device = defaultdict(set)
    for entry in entries:
        by_device[entry.device].add(entry)
    observation = Observation(entries={d: frozenset(held) for d, held in by_device.items()})
    return [entry for held in observation.entries.values() for entry in held]


def _make_targets() -> tuple[ClusterTarget, ...]:
    whole, wide = 0xFF, 0xF
    wanted = {
        "a": ("ten_a", [(0, whole, "member"), (1, whole, "member"), (2, whole, "spare")], TIB),
        "a2": ("ten_a", [(3, whole, "member")], 0),
        "b": ("ten_b", [(4, whole, "member"), (5, whole, "member")], TIB),
        "g": ("ten_g", [(6, 0b0011, "member")], 0),
        "h": ("ten_h", [(6, 0b1100, "member")], TIB),
        "r": ("ten_r", [(12, wide, "member"), (13, wide, "member")], TIB),
        "s": ("ten_s", [(14, wide, "member")], 0),
    }
    taken = defaultdict(set)
    targets = []
    for name, (tenant, nodes, storage_bytes) in wanted.items():
        is_infiniband = nodes[0][0] < 12
        fabric = FabricId("ib0" if is_infiniband else "eth0")
        keys = take_keys(
            taken,
            fabric_id=fabric,
            is_infiniband=is_infiniband,
            site_id=SITE,
            pool_id=POOL if storage_bytes else None,
        )
        target = ClusterTarget(
            cluster_id=ClusterId(f"clu_{name}"),
            tenant_id=TenantId(tenant),
            name=name,
            site_id=SITE,
            fabric_id=fabric,
            pool_id=POOL if storage_bytes else None,
            members=tuple(
                Member(FLEET.node_id(node), mask, role, index)
                for index, (node, mask, role) in enumerate(nodes)
            ),
            keys=keys,
            storage_bytes=storage_bytes,
            image="debian-12-gpu",
            ssh_public_keys=(f"ssh-ed25519 AAAA{name} {name}",),
            egress_cidrs=("0.0.0.0/0",) if name == "a" else (),
        )
        for pool_id, key in keys_of(target):
            taken[pool_id].add(key)
        targets.append(target)
    for name, tenant in (("a", "ten_a"), ("b", "ten_b")):
        keys = take_filesystem(taken, POOL)
        holder = ClusterTarget(
            FileSystemId(ClusterId(f"fsy_{name}")), TenantId(tenant), name, SITE, FabricId(""),
            POOL, (), keys, TIB, "", (), (),
        )  # fmt: skip
        taken[keys_of(holder)[0][0]].add(keys.filesystem)
        targets.append(holder)
    targets[0] = replace(targets[0], mounts=(mount(targets[-2]),), inbound_rules=(SSH_IN,))
    return tuple(targets)


def mount(holder: ClusterTarget) -> Mount:
    return Mount(FileSystemId(holder.cluster_id), POOL, holder.keys.filesystem, "/data/x")


def _locate(node: int) -> list[PortLocation]:
    rows = range(int(FLEET.first_nic_of_node[node]), int(FLEET.first_nic_of_node[node + 1]))
    fabric = FabricId(FLEET.fabrics.ids[int(FLEET.fabric_of_node[node])])
    return [
        PortLocation(
            fabric,
            int(FLEET.nics.guid[row]),
            FLEET.switches.ids[int(FLEET.nics.leaf[row])],
            int(FLEET.nics.leaf_switch_port[row]),
        )
        for row in rows
    ]


def _make_scene() -> Scene:
    targets = _make_targets()
    return Scene(
        targets=targets,
        entries=tuple(entry for target in targets for entry in render(FLEET, target)),
        port_locations=tuple(p for node in range(len(FLEET.nodes)) for p in _locate(node)),
    )


SCENE = _make_scene()
A, A2, B, G, H, R, S, FA, FB = SCENE.targets
FREE_NODE = FLEET.node_id(9)


def guid(node: int, rail: int = 0) -> int:
    return int(FLEET.nics.guid[int(FLEET.first_nic_of_node[node]) + rail])


def node_id(node: int) -> NodeId:
    return FLEET.node_id(node)


def plus(*entries: Entry):
    """A scene with entries added."""
    return lambda scene: replace(scene, entries=scene.entries + entries)


def alter(kind, where: Callable[[Entry], bool], **changes):
    """A scene with the entries of a kind that ``where`` picks changed; at least one is."""

    def apply(scene: Scene) -> Scene:
        picked = [e for e in scene.entries if isinstance(e, kind) and where(e)]
        assert picked
        return replace(
            scene,
            entries=tuple(replace(e, **changes) if e in picked else e for e in scene.entries),
        )

    return apply


def drop(kind, where: Callable[[Entry], bool]):
    """A scene without the entries of a kind that ``where`` picks; at least one is."""

    def apply(scene: Scene) -> Scene:
        kept = tuple(e for e in scene.entries if not (isinstance(e, kind) and where(e)))
        assert len(kept) < len(scene.entries)
        return replace(scene, entries=kept)

    return apply


def retarget(cluster: ClusterTarget, **changes):
    """A scene in which one target is another, and everything is rendered again."""

    def apply(scene: Scene) -> Scene:
        targets = tuple(replace(t, **changes) if t == cluster else t for t in scene.targets)
        entries = tuple(entry for target in targets for entry in render(FLEET, target))
        return replace(scene, targets=targets, entries=entries)

    return apply


def see(where: Callable[[PortLocation], bool], **changes):
    """A scene in which the fabric sees some NICs elsewhere, or not at all."""

    def apply(scene: Scene) -> Scene:
        locations = [replace(p, **changes) if where(p) else p for p in scene.port_locations]
        if not changes:
            locations = [p for p in locations if not where(p)]
        return replace(scene, port_locations=tuple(locations))

    return apply


def intrude(guid: int, at: int):
    """A scene in which the fabric sees ``guid`` on the switch port of the NIC ``at`` as well."""

    def apply(scene: Scene) -> Scene:
        place = next(p for p in scene.port_locations if p.guid == at)
        return replace(scene, port_locations=(*scene.port_locations, replace(place, guid=guid)))

    return apply


def bury(kind, where: Callable[[Entry], bool]):
    """A scene in which entries are under a tombstone although a target holds them."""
    return lambda scene: replace(
        scene,
        buried=frozenset(
            (e.device, e.key) for e in scene.entries if isinstance(e, kind) and where(e)
        ),
    )


def member(p_key, guid, membership="full") -> PartitionMember:
    return PartitionMember(FabricId("ib0"), p_key, guid, membership)


def on(node: int):
    return lambda entry: entry.node_id == node_id(node)


def of(guid: int):
    return lambda entry: entry.guid == guid
