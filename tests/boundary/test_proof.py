"""Goal: the proof blesses nothing that is broken, and says by rule and by name what is.

Method: one site with every make of cluster on it (whole nodes with a spare, guests that share a
node, two clusters of one tenant, an Ethernet fabric, file systems that stand alone) is proven;
then one fault is planted for every rule, in the targets' entries and again in what devices say,
and must be found by exactly the rules listed. A meta test demands a fault for every rule of the
table.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest

from gigawatt.boundary.entries import (
    DEFAULT_P_KEY,
    BmcAccount,
    BmcRoute,
    ComputePort,
    Entry,
    Export,
    FileSystem,
    Gateway,
    HostSlice,
    NetworkPort,
    PartitionMember,
    PortLocation,
)
from gigawatt.boundary.keys import keys_of, subnet_of, take_filesystem, take_keys
from gigawatt.boundary.names import bmc_username_of
from gigawatt.boundary.plane import PLANES, Plane
from gigawatt.boundary.proof import Proof, prove
from gigawatt.boundary.render import render
from gigawatt.boundary.rules import RULES
from gigawatt.boundary.target import ClusterTarget, Member, Mount
from gigawatt.errors import UnknownIdError
from gigawatt.fleet.builder import BlockSpec, build_fleet
from gigawatt.fleet.demo import GB200_NVL72_NODE, HGX_H100, hgx_fleet
from gigawatt.fleet.model import FabricKind
from gigawatt.ids import (
    ClusterId,
    FabricId,
    FileSystemId,
    NodeId,
    SiteId,
    StoragePoolId,
    TenantId,
)
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
    targets[0] = replace(targets[0], mounts=(_mount(targets[-2]),), inbound_rules=(SSH_IN,))
    return tuple(targets)


def _mount(holder: ClusterTarget) -> Mount:
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


def _guid(node: int, rail: int = 0) -> int:
    return int(FLEET.nics.guid[int(FLEET.first_nic_of_node[node]) + rail])


def _node(node: int) -> NodeId:
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


@dataclass(frozen=True)
class Fault:
    """One planted fault: the rule that must name it, who is concerned, what else is found."""

    rule: str
    plane: Plane
    clusters: tuple[ClusterTarget, ...]
    plant: Callable[[Scene], Scene]
    also: frozenset[str] = frozenset()
    scopes: tuple[str, ...] = SCOPES
    nodes: tuple[NodeId, ...] = field(default=())


def fault(rule, plane, clusters, plant, *also, scopes=SCOPES, nodes=()) -> Fault:
    return Fault(rule, plane, tuple(clusters), plant, frozenset(also), scopes, tuple(nodes))


def _member(p_key, guid, membership="full") -> PartitionMember:
    return PartitionMember(FabricId("ib0"), p_key, guid, membership)


def _on(node: int):
    return lambda entry: entry.node_id == _node(node)


def _of(guid: int):
    return lambda entry: entry.guid == guid


F, I, O, ST, HO = PLANES  # noqa: E741
P_KEY = {t.cluster_id: t.keys.p_key for t in SCENE.targets}
B_HOST_1 = lambda e: e.node_id == _node(5)  # noqa: E731
FAULTS = [
    # Fabric.
    fault("default_full", F, [A], plus(_member(DEFAULT_P_KEY, _guid(0))), nodes=[_node(0)]),
    fault(
        "shared_partition",
        F,
        [A, B],
        plus(_member(A.keys.p_key, _guid(4, 3))),
        "two_partitions",
        nodes=[_node(4)],
    ),
    fault(
        "shared_partition",
        F,
        [A, B],
        alter(PartitionMember, _of(_guid(4)), p_key=A.keys.p_key),
        "missing_fabric_entry",
        "half_closed",
    ),
    fault(
        "shared_compute_vni",
        F,
        [R, S],
        alter(ComputePort, _of(_guid(14)), vni=R.keys.compute_vni),
        "missing_fabric_entry",
        "half_closed",
    ),
    fault(
        "two_partitions",
        F,
        [B, A],
        plus(_member(A.keys.p_key, _guid(4), "limited")),
        "shared_partition",
    ),
    fault(
        "two_partitions",
        F,
        [S, R],
        plus(ComputePort(FabricId("eth0"), R.keys.compute_vni, _guid(14))),
        "shared_compute_vni",
    ),
    fault(
        "full_p_key_table",
        F,
        [A],
        plus(*(_member(p_key, _guid(0)) for p_key in range(0x100, 0x100 + 63))),
        "two_partitions",
        "fabric_stranger",
    ),
    fault(
        "p_key_out_of_range",
        F,
        [A],
        alter(PartitionMember, _of(_guid(0)), p_key=A.keys.p_key | 0x8000),
    ),
    fault(
        "p_key_out_of_range",
        F,
        [A],
        alter(PartitionMember, _of(_guid(0)), p_key=0),
        "fabric_stranger",
        "missing_fabric_entry",
        "half_closed",
    ),
    fault(
        "limited_member",
        F,
        [A],
        alter(PartitionMember, _of(_guid(0)), membership="limited"),
        nodes=[_node(0)],
    ),
    fault("fabric_stranger", F, [A], plus(_member(A.keys.p_key, _guid(9))), nodes=[FREE_NODE]),
    fault("fabric_stranger", F, [A], plus(_member(A.keys.p_key, 0xBAD))),
    fault("fabric_stranger", F, [A], plus(_member(0x700, _guid(0))), "two_partitions"),
    fault("fabric_stranger", F, [], plus(ComputePort(FabricId("eth0"), 0x90_0000, _guid(16)))),
    fault(
        "wrong_switch_port",
        F,
        [A, B],
        see(_of(_guid(4)), switch_port=1),
        nodes=[_node(4)],
    ),
    fault("wrong_switch_port", F, [A], intrude(0xBAD, _guid(0))),
    fault("unseen_nic", F, [B], see(_of(_guid(5, 7))), scopes=("read_back",), nodes=[_node(5)]),
    fault(
        "off_fabric",
        F,
        [B],
        retarget(B, members=(*B.members, Member(_node(15), 0xF, "member", 2))),
        nodes=[_node(15)],
    ),
    fault(
        "missing_fabric_entry",
        F,
        [A],
        drop(PartitionMember, _of(_guid(2, 5))),
        nodes=[_node(2)],
    ),
    # In-band.
    fault(
        "shared_network",
        I,
        [A, B],
        alter(NetworkPort, _on(4), vni=A.keys.vni),
        "missing_network_entry",
        "half_closed",
        nodes=[_node(4)],
    ),
    fault("stray_address", I, [B], alter(NetworkPort, _on(4), ipv4="10.0.32.1/20")),
    fault("stray_address", I, [B], alter(NetworkPort, B_HOST_1, ipv4="10.0.32.10/20")),
    fault(
        "same_address",
        I,
        [B],
        retarget(B, members=(B.members[0], replace(B.members[1], host_index=0))),
        nodes=[_node(5)],
    ),
    fault(
        "overlapping_subnet",
        I,
        [A, B],
        alter(Gateway, lambda e: e.vni == B.keys.vni, subnet="10.0.0.0/16"),
        "foreign_gateway",
        "overlapping_subnet",
    ),
    fault(
        "foreign_gateway",
        I,
        [B, S],
        alter(Gateway, lambda e: e.vni == B.keys.vni, subnet=subnet_of(S.keys.subnet)),
        "overlapping_subnet",
    ),
    fault(
        "wide_egress",
        I,
        [B],
        alter(Gateway, lambda e: e.vni == B.keys.vni, egress_cidrs=("0.0.0.0/0",)),
    ),
    fault(
        "wide_egress",
        I,
        [B, A],
        retarget(B, egress_cidrs=(subnet_of(A.keys.subnet),)),
    ),
    fault("wide_egress", I, [B], retarget(B, egress_cidrs=("everywhere",))),
    fault(
        "wide_ingress",
        I,
        [B],
        alter(Gateway, lambda e: e.vni == B.keys.vni, inbound_rules=(SSH_IN,)),
    ),
    fault(
        "wide_ingress",
        I,
        [A],
        alter(
            Gateway,
            lambda e: e.vni == A.keys.vni,
            inbound_rules=(SSH_IN, replace(SSH_IN, port_range=None)),
        ),
    ),
    fault(
        "wide_ingress",
        I,
        [B, A],
        retarget(B, inbound_rules=(replace(SSH_IN, source_cidr=subnet_of(A.keys.subnet)),)),
    ),
    fault(
        "wide_ingress",
        I,
        [B],
        retarget(B, inbound_rules=(InboundRule("icmp", (1, 2), "0.0.0.0/0"),)),
    ),
    fault(
        "missing_network_entry",
        I,
        [A],
        alter(Gateway, lambda e: e.vni == A.keys.vni, inbound_rules=()),
    ),
    fault("in_band_stranger", I, [A], plus(NetworkPort(FREE_NODE, 0, A.keys.vni, "10.0.0.99/20"))),
    fault(
        "in_band_stranger",
        I,
        [A, G, H],
        plus(NetworkPort(_node(6), 4, A.keys.vni, "10.0.0.99/20")),
    ),
    fault("in_band_stranger", I, [A], plus(NetworkPort(NodeId("x"), 0, A.keys.vni, "10.0.0.9/20"))),
    fault("in_band_stranger", I, [], plus(Gateway(SITE, 0x7000, "10.9.0.0/20", ()))),
    fault("missing_network_entry", I, [A], drop(NetworkPort, _on(2)), nodes=[_node(2)]),
    fault("missing_network_entry", I, [B], drop(Gateway, lambda e: e.vni == B.keys.vni)),
    # Out-of-band.
    fault("bmc_to_bmc", O, [A, B], plus(BmcRoute(SITE, f"bmc:{_node(0)}", _node(4)))),
    fault("bmc_to_bmc", O, [], plus(BmcRoute(SITE, f"bmc:{FREE_NODE}", _node(10)))),
    fault(
        "foreign_bmc_route",
        O,
        [A, B],
        plus(BmcRoute(SITE, "cluster:clu_a", _node(4))),
        nodes=[_node(4)],
    ),
    fault("foreign_bmc_route", O, [G, H], plus(BmcRoute(SITE, "cluster:clu_g", _node(6)))),
    fault("foreign_bmc_route", O, [A], plus(BmcRoute(SITE, "cluster:clu_a", FREE_NODE))),
    fault("planted_account", O, [B], plus(BmcAccount(_node(4), "ipmi", "x"))),
    fault(
        "planted_account",
        O,
        [B],
        plus(BmcAccount(_node(4), bmc_username_of(A.cluster_id), "bmc/clu_a/h-su000-n00")),
    ),
    fault("planted_account", O, [G, H], plus(BmcAccount(_node(6), "root", "x"))),
    fault("out_of_band_stranger", O, [], plus(BmcAccount(FREE_NODE, "gw-old", "x"))),
    fault("out_of_band_stranger", O, [B], plus(BmcRoute(SITE, "cluster:clu_gone", _node(4)))),
    fault("missing_bmc_entry", O, [B], drop(BmcRoute, _on(5)), nodes=[_node(5)]),
    fault("missing_bmc_entry", O, [B], drop(BmcAccount, _on(5)), nodes=[_node(5)]),
    # Storage.
    fault("foreign_export", ST, [A, B], plus(Export(POOL, A.keys.filesystem, B.keys.vni))),
    fault("foreign_export", ST, [A, A2], plus(Export(POOL, A.keys.filesystem, A2.keys.vni))),
    fault("foreign_export", ST, [FA, B], plus(Export(POOL, FA.keys.filesystem, B.keys.vni))),
    fault(
        "export_without_mount", ST, [FA, A2], plus(Export(POOL, FA.keys.filesystem, A2.keys.vni))
    ),
    fault("foreign_mount", ST, [B, FA], retarget(B, mounts=(_mount(FA),)), "foreign_export"),
    fault(
        "foreign_mount",
        ST,
        [A, FB],
        retarget(A, mounts=(replace(_mount(FA), filesystem=FB.keys.filesystem),)),
        "foreign_export",
    ),
    fault(
        "foreign_mount",
        ST,
        [B],
        retarget(B, mounts=(replace(_mount(FB), filesystem=777),)),
        "unknown_export",
    ),
    fault("unknown_export", ST, [B], plus(Export(POOL, 777, B.keys.vni))),
    fault("unknown_export", ST, [A], plus(Export(POOL, A.keys.filesystem, 0x7000))),
    fault(
        "foreign_path",
        ST,
        [B, A],
        alter(FileSystem, lambda e: e.filesystem == B.keys.filesystem, path="/tenants/ten_a/clu_a"),
    ),
    fault("storage_stranger", ST, [], plus(FileSystem(POOL, 777, "/tenants/old", TIB))),
    fault(
        "missing_storage_entry",
        ST,
        [B],
        drop(Export, lambda e: e.filesystem == B.keys.filesystem),
    ),
    fault(
        "missing_storage_entry",
        ST,
        [B],
        drop(FileSystem, lambda e: e.filesystem == B.keys.filesystem),
    ),
    fault(
        "missing_storage_entry",
        ST,
        [A],
        drop(Export, lambda e: e.filesystem == FA.keys.filesystem),
    ),
    fault(
        "missing_storage_entry",
        ST,
        [FB],
        drop(FileSystem, lambda e: e.filesystem == FB.keys.filesystem),
    ),
    *(
        fault(
            "wrong_quota",
            ST,
            [who],
            alter(
                FileSystem,
                lambda e, who=who: e.filesystem == who.keys.filesystem,
                quota_bytes=TIB * 100,
            ),
        )
        for who in (B, FA)
    ),
    # Host.
    fault(
        "overlapping_slices",
        HO,
        [G, H],
        alter(HostSlice, lambda e: e.gpu_mask == 0b0011, gpu_mask=0b0111),
        "foreign_slice",
        "missing_host_entry",
        nodes=[_node(6)],
    ),
    fault(
        "foreign_slice",
        HO,
        [G],
        alter(HostSlice, lambda e: e.gpu_mask == 0b0011, gpu_mask=0b0001),
        "missing_host_entry",
    ),
    fault(
        "bare_metal_slice",
        HO,
        [G, H],
        alter(HostSlice, lambda e: e.gpu_mask == 0b0011, guest=False),
    ),
    fault("altered_host", HO, [B], alter(HostSlice, _on(4), ssh_public_keys=A.ssh_public_keys)),
    fault("altered_host", HO, [B], alter(HostSlice, _on(4), image="rootkit")),
    fault(
        "half_closed",
        HO,
        [B],
        drop(PartitionMember, _of(_guid(4))),
        "missing_fabric_entry",
        nodes=[_node(4)],
    ),
    fault(
        "half_closed",
        HO,
        [G],
        drop(NetworkPort, lambda e: e.slot == 0 and _on(6)(e)),
        "missing_network_entry",
    ),
    fault(
        "host_stranger",
        HO,
        [],
        plus(HostSlice(FREE_NODE, 0xFF, False, "old-0001", "x", (), "on")),
        nodes=[FREE_NODE],
    ),
    fault("missing_host_entry", HO, [A], drop(HostSlice, _on(1)), nodes=[_node(1)]),
    # Ownership.
    fault("shared_key", F, [A, B], retarget(B, keys=replace(B.keys, p_key=A.keys.p_key))),
    fault(
        "shared_key", I, [A, B], retarget(B, keys=replace(B.keys, vni=A.keys.vni)), "foreign_export"
    ),
    fault(
        "shared_key",
        I,
        [A, B],
        retarget(B, keys=replace(B.keys, subnet=A.keys.subnet)),
        "overlapping_subnet",
    ),
    fault(
        "shared_key", ST, [A, B], retarget(B, keys=replace(B.keys, filesystem=A.keys.filesystem))
    ),
    fault(
        "shared_key",
        ST,
        [FA, FB],
        retarget(FB, keys=replace(FB.keys, filesystem=FA.keys.filesystem)),
        "foreign_mount",
        "foreign_export",
    ),
    fault(
        "key_out_of_range",
        F,
        [B],
        retarget(B, keys=replace(B.keys, p_key=DEFAULT_P_KEY)),
        "default_full",
        "missing_fabric_entry",
        "half_closed",
    ),
    fault("key_out_of_range", I, [B], retarget(B, keys=replace(B.keys, vni=1))),
    fault("key_out_of_range", ST, [B], retarget(B, keys=replace(B.keys, filesystem=2**31))),
    *(
        fault(
            "reused_key",
            plane,
            [B],
            lambda scene, held=held: replace(scene, buried_keys=frozenset([held])),
        )
        for plane, held in zip((F, I, I, ST), keys_of(B), strict=True)
    ),
    *(
        fault("reused_entry", plane, [B], bury(kind, where), scopes=("targets",))
        for plane, kind, where in (
            (F, PartitionMember, _of(_guid(4))),
            (I, NetworkPort, _on(4)),
            (I, Gateway, lambda e: e.vni == B.keys.vni),
            (O, BmcAccount, _on(4)),
            (ST, FileSystem, lambda e: e.filesystem == B.keys.filesystem),
            (HO, HostSlice, _on(4)),
        )
    ),
    fault(
        "double_held",
        HO,
        [A, B],
        retarget(B, members=(*B.members, Member(_node(0), 0xFF, "member", 2))),
        "two_partitions",
        "shared_partition",
        "shared_network",
        "foreign_bmc_route",
        "planted_account",
        "altered_host",
        "overlapping_slices",
    ),
]


def _name(planted: Fault) -> str:
    return f"{planted.rule}-{planted.plane.value}"


@pytest.mark.parametrize("scope", SCOPES)
def test_a_sound_site_is_proven(scope):
    proof = SCENE.prove(scope)
    assert proof.violations == ()
    assert (proof.is_isolated, proof.is_connected, proof.is_proven) == (True, True, True)


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("planted", FAULTS, ids=_name)
def test_a_planted_fault_is_caught_by_its_rule_and_named(planted, scope):
    proof = planted.plant(SCENE).prove(scope)
    found = {violation.rule for violation in proof.violations}
    if scope not in planted.scopes:
        assert found <= planted.also
        return
    assert found == {planted.rule} | planted.also
    wanted = {target.cluster_id for target in planted.clusters}
    named = [
        violation
        for violation in proof.violations
        if violation.rule == planted.rule
        and violation.plane is planted.plane
        and set(violation.cluster_ids) == wanted
    ]
    assert len(named) == 1, proof.violations
    assert set(planted.nodes) <= set(named[0].node_ids)
    assert all(cluster_id in named[0].sentence for cluster_id in wanted)
    assert not proof.is_proven


def test_every_rule_has_a_planted_fault_and_an_attack():
    planted = {(fault.rule, fault.plane) for fault in FAULTS}
    assert planted == {(rule.name, rule.plane) for rule in RULES}
    assert all(rule.attack.endswith(".") for rule in RULES)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.name}-{rule.plane.value}")
def test_what_a_rule_breaks_is_what_the_proof_denies(rule):
    planted = next(f for f in FAULTS if (f.rule, f.plane) == (rule.name, rule.plane))
    proof = planted.plant(SCENE).prove(planted.scopes[0])
    assert (proof.is_isolated if rule.breaks == "isolation" else proof.is_connected) is False


def test_counts_say_how_many_pairs_were_decided():
    proof = SCENE.prove("targets")
    assert proof.entry_count == len(SCENE.entries)
    assert proof.cluster_pair_count == dict.fromkeys(PLANES, 9 * 8 // 2)
    assert proof.tenant_pair_count == dict.fromkeys(PLANES, 6 * 5 // 2)
    assert proof.node_pair_count == {
        t.cluster_id: len(t.members) * (len(t.members) - 1) // 2 for t in SCENE.targets
    }
    assert proof.node_pair_count[A.cluster_id] == 3


def test_two_clusters_of_one_tenant_are_fenced_from_each_other():
    proof = plus(_member(A.keys.p_key, _guid(3)))(SCENE).prove("read_back")
    shared = next(v for v in proof.violations if v.rule == "shared_partition")
    assert shared.cluster_ids == (A.cluster_id, A2.cluster_id)
    assert shared.tenant_ids == (TenantId("ten_a"),)


def test_a_fabric_that_failed_open_names_everybody_on_it():
    opened = tuple(
        replace(e, p_key=DEFAULT_P_KEY) if isinstance(e, PartitionMember) else e
        for e in SCENE.entries
    )
    proof = replace(SCENE, entries=opened).prove("read_back")
    full = [v for v in proof.violations if v.rule == "default_full"]
    assert {v.cluster_ids for v in full} == {(t.cluster_id,) for t in (A, A2, B, G, H)}
    assert next(v for v in full if v.cluster_ids == (A.cluster_id,)).finding_count == 24


def test_what_is_being_removed_from_a_free_node_is_excused_until_someone_gets_the_node():
    """A shrink: node 5 leaves B, its entries are under tombstones, then A gets the node."""
    left = replace(B, members=B.members[:1])
    leaving = [e for e in render(FLEET, B) if e not in set(render(FLEET, left))]
    tombstones = frozenset((e.device, e.key) for e in leaving)
    targets = tuple(left if t == B else t for t in SCENE.targets)
    during = replace(SCENE, targets=targets, buried=tombstones)
    assert during.prove("read_back").is_proven
    assert not replace(during, buried=frozenset()).prove("read_back").is_isolated

    grown = replace(A, members=(*A.members, Member(_node(5), 0xFF, "member", 3)))
    too_early = replace(during, targets=tuple(grown if t == A else t for t in targets))
    rules = {v.rule for v in too_early.prove("read_back").violations if v.breaks == "isolation"}
    assert {"shared_partition", "shared_network", "foreign_bmc_route", "planted_account"} <= rules
    planned = replace(
        too_early, entries=tuple(e for t in too_early.targets for e in render(FLEET, t))
    )
    assert {v.rule for v in planned.prove("targets").violations} == {"reused_entry"}


def test_what_a_released_cluster_left_on_a_node_that_was_handed_on_is_a_leak():
    """A release: B is gone but still on its devices, under tombstones, and A gets its node 4."""
    left_over = render(FLEET, B)
    grown = replace(A, members=(*A.members, Member(_node(4), 0xFF, "member", 3)))
    others = tuple(t for t in SCENE.targets if t not in (A, B))
    tombstones = frozenset((e.device, e.key) for e in left_over)
    gone = replace(SCENE, targets=(A, *others), buried=tombstones)
    assert gone.prove("read_back").is_proven
    proof = replace(gone, targets=(grown, *others)).prove("read_back")
    leaks = {v.rule for v in proof.violations if v.breaks == "isolation"}
    assert {
        "fabric_stranger",
        "in_band_stranger",
        "out_of_band_stranger",
        "planted_account",
        "altered_host",
    } <= leaks
    assert {v.node_ids for v in proof.violations if v.breaks == "isolation"} == {(_node(4),)}


def test_a_cluster_that_is_off_and_not_closed_yet_is_isolated_but_not_connected():
    entries = tuple(e for t in SCENE.targets if t != B for e in render(FLEET, t))
    proof = replace(SCENE, entries=entries).prove("read_back")
    assert proof.is_isolated
    assert not proof.is_connected
    assert {v.cluster_ids for v in proof.violations} == {(B.cluster_id,)}
    assert proof.concerning(A.cluster_id) == ()
    assert len(proof.concerning(B.cluster_id)) == len(proof.violations)


def test_two_clusters_of_a_tenant_may_mount_one_file_system():
    shared = retarget(A2, mounts=(_mount(FA),))(SCENE)
    for scope in SCOPES:
        assert shared.prove(scope).is_proven


def test_a_file_system_without_a_holder_is_a_stranger_with_all_that_mount_it():
    orphaned = replace(SCENE, targets=tuple(t for t in SCENE.targets if t != FA))
    rules = {violation.rule for violation in orphaned.prove("read_back").violations}
    assert rules == {"storage_stranger", "unknown_export", "foreign_mount"}


def test_a_target_on_an_unknown_node_is_refused():
    stray = replace(A, members=(Member(NodeId("nowhere"), 0xFF, "member", 0),))
    with pytest.raises(UnknownIdError, match="nowhere"):
        prove(FLEET, [stray], ())


def test_one_planted_port_in_a_full_fleet_of_ten_thousand_gpus_is_found():
    fleet, taken, targets = hgx_fleet(10_000), defaultdict(set), []
    edges = [number * len(fleet.nodes) // 100 for number in range(101)]
    for number, (first, last) in enumerate(pairwise(edges)):
        keys = take_keys(
            taken, fabric_id=FabricId("ib0"), is_infiniband=True, site_id=SITE, pool_id=POOL
        )
        target = replace(
            A,
            cluster_id=ClusterId(f"clu_{number}"),
            tenant_id=TenantId(f"ten_{number}"),
            members=tuple(
                Member(fleet.node_id(node), 0xFF, "member", node - first)
                for node in range(first, last)
            ),
            keys=keys,
            mounts=(),
        )
        for pool_id, key in keys_of(target):
            taken[pool_id].add(key)
        targets.append(target)
    entries = [entry for target in targets for entry in render(fleet, target)]
    proof = prove(fleet, targets, entries)
    assert proof.is_proven
    assert proof.tenant_pair_count == dict.fromkeys(PLANES, 100 * 99 // 2)
    planted = _member(targets[41].keys.p_key, int(fleet.nics.guid[-1]))
    found = prove(fleet, targets, [*entries, planted], scope="read_back")
    assert {(v.rule, v.cluster_ids) for v in found.violations} == {
        ("shared_partition", ("clu_41", "clu_99")),
        ("two_partitions", ("clu_99", "clu_41")),
    }
