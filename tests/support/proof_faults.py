"""One planted fault or more for every rule of the proof, and what else each one breaks."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from proof_scene import (
    A2,
    FA,
    FB,
    FREE_NODE,
    POOL,
    SCOPES,
    SITE,
    SSH_IN,
    A,
    B,
    G,
    H,
    R,
    S,
    Scene,
    alter,
    bury,
    drop,
    guid,
    intrude,
    member,
    mount,
    node_id,
    of,
    on,
    plus,
    retarget,
    see,
)

from gigawatt.boundary.entries import (
    DEFAULT_P_KEY,
    BmcAccount,
    BmcRoute,
    ComputePort,
    Export,
    FileSystem,
    Gateway,
    HostSlice,
    NetworkPort,
    PartitionMember,
)
from gigawatt.boundary.keys import keys_of, subnet_of
from gigawatt.boundary.names import bmc_username_of
from gigawatt.boundary.plane import PLANES, Plane
from gigawatt.boundary.target import ClusterTarget, Member
from gigawatt.ids import FabricId, NodeId
from gigawatt.intent.firewall import InboundRule
from gigawatt.units import TIB


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


F, I, O, ST, HO = PLANES  # noqa: E741
B_HOST_1 = on(5)


FAULTS = [
    # Fabric.
    fault("default_full", F, [A], plus(member(DEFAULT_P_KEY, guid(0))), nodes=[node_id(0)]),
    fault(
        "shared_partition",
        F,
        [A, B],
        plus(member(A.keys.p_key, guid(4, 3))),
        "two_partitions",
        nodes=[node_id(4)],
    ),
    fault(
        "shared_partition",
        F,
        [A, B],
        alter(PartitionMember, of(guid(4)), p_key=A.keys.p_key),
        "missing_fabric_entry",
        "half_closed",
    ),
    fault(
        "shared_compute_vni",
        F,
        [R, S],
        alter(ComputePort, of(guid(14)), vni=R.keys.compute_vni),
        "missing_fabric_entry",
        "half_closed",
    ),
    fault(
        "two_partitions",
        F,
        [B, A],
        plus(member(A.keys.p_key, guid(4), "limited")),
        "shared_partition",
    ),
    fault(
        "two_partitions",
        F,
        [S, R],
        plus(ComputePort(FabricId("eth0"), R.keys.compute_vni, guid(14))),
        "shared_compute_vni",
    ),
    fault(
        "full_p_key_table",
        F,
        [A],
        plus(*(member(p_key, guid(0)) for p_key in range(0x100, 0x100 + 63))),
        "two_partitions",
        "fabric_stranger",
    ),
    fault(
        "p_key_out_of_range",
        F,
        [A],
        alter(PartitionMember, of(guid(0)), p_key=A.keys.p_key | 0x8000),
    ),
    fault(
        "p_key_out_of_range",
        F,
        [A],
        alter(PartitionMember, of(guid(0)), p_key=0),
        "fabric_stranger",
        "missing_fabric_entry",
        "half_closed",
    ),
    fault(
        "limited_member",
        F,
        [A],
        alter(PartitionMember, of(guid(0)), membership="limited"),
        nodes=[node_id(0)],
    ),
    fault("fabric_stranger", F, [A], plus(member(A.keys.p_key, guid(9))), nodes=[FREE_NODE]),
    fault("fabric_stranger", F, [A], plus(member(A.keys.p_key, 0xBAD))),
    fault("fabric_stranger", F, [A], plus(member(0x700, guid(0))), "two_partitions"),
    fault("fabric_stranger", F, [], plus(ComputePort(FabricId("eth0"), 0x90_0000, guid(16)))),
    fault(
        "wrong_switch_port",
        F,
        [A, B],
        see(of(guid(4)), switch_port=1),
        nodes=[node_id(4)],
    ),
    fault("wrong_switch_port", F, [A], intrude(0xBAD, guid(0))),
    fault("unseen_nic", F, [B], see(of(guid(5, 7))), scopes=("read_back",), nodes=[node_id(5)]),
    fault(
        "off_fabric",
        F,
        [B],
        retarget(B, members=(*B.members, Member(node_id(15), 0xF, "member", 2))),
        nodes=[node_id(15)],
    ),
    fault(
        "missing_fabric_entry",
        F,
        [A],
        drop(PartitionMember, of(guid(2, 5))),
        nodes=[node_id(2)],
    ),
    # In-band.
    fault(
        "shared_network",
        I,
        [A, B],
        alter(NetworkPort, on(4), vni=A.keys.vni),
        "missing_network_entry",
        "half_closed",
        nodes=[node_id(4)],
    ),
    fault("stray_address", I, [B], alter(NetworkPort, on(4), ipv4="10.0.32.1/20")),
    fault("stray_address", I, [B], alter(NetworkPort, B_HOST_1, ipv4="10.0.32.10/20")),
    fault(
        "same_address",
        I,
        [B],
        retarget(B, members=(B.members[0], replace(B.members[1], host_index=0))),
        nodes=[node_id(5)],
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
        plus(NetworkPort(node_id(6), 4, A.keys.vni, "10.0.0.99/20")),
    ),
    fault("in_band_stranger", I, [A], plus(NetworkPort(NodeId("x"), 0, A.keys.vni, "10.0.0.9/20"))),
    fault("in_band_stranger", I, [], plus(Gateway(SITE, 0x7000, "10.9.0.0/20", ()))),
    fault("missing_network_entry", I, [A], drop(NetworkPort, on(2)), nodes=[node_id(2)]),
    fault("missing_network_entry", I, [B], drop(Gateway, lambda e: e.vni == B.keys.vni)),
    # Out-of-band.
    fault("bmc_to_bmc", O, [A, B], plus(BmcRoute(SITE, f"bmc:{node_id(0)}", node_id(4)))),
    fault("bmc_to_bmc", O, [], plus(BmcRoute(SITE, f"bmc:{FREE_NODE}", node_id(10)))),
    fault(
        "foreign_bmc_route",
        O,
        [A, B],
        plus(BmcRoute(SITE, "cluster:clu_a", node_id(4))),
        nodes=[node_id(4)],
    ),
    fault("foreign_bmc_route", O, [G, H], plus(BmcRoute(SITE, "cluster:clu_g", node_id(6)))),
    fault("foreign_bmc_route", O, [A], plus(BmcRoute(SITE, "cluster:clu_a", FREE_NODE))),
    fault("planted_account", O, [B], plus(BmcAccount(node_id(4), "ipmi", "x"))),
    fault(
        "planted_account",
        O,
        [B],
        plus(BmcAccount(node_id(4), bmc_username_of(A.cluster_id), "bmc/clu_a/h-su000-n00")),
    ),
    fault("planted_account", O, [G, H], plus(BmcAccount(node_id(6), "root", "x"))),
    fault("out_of_band_stranger", O, [], plus(BmcAccount(FREE_NODE, "gw-old", "x"))),
    fault("out_of_band_stranger", O, [B], plus(BmcRoute(SITE, "cluster:clu_gone", node_id(4)))),
    fault("missing_bmc_entry", O, [B], drop(BmcRoute, on(5)), nodes=[node_id(5)]),
    fault("missing_bmc_entry", O, [B], drop(BmcAccount, on(5)), nodes=[node_id(5)]),
    # Storage.
    fault("foreign_export", ST, [A, B], plus(Export(POOL, A.keys.filesystem, B.keys.vni))),
    fault("foreign_export", ST, [A, A2], plus(Export(POOL, A.keys.filesystem, A2.keys.vni))),
    fault("foreign_export", ST, [FA, B], plus(Export(POOL, FA.keys.filesystem, B.keys.vni))),
    fault(
        "export_without_mount", ST, [FA, A2], plus(Export(POOL, FA.keys.filesystem, A2.keys.vni))
    ),
    fault("foreign_mount", ST, [B, FA], retarget(B, mounts=(mount(FA),)), "foreign_export"),
    fault(
        "foreign_mount",
        ST,
        [A, FB],
        retarget(A, mounts=(replace(mount(FA), filesystem=FB.keys.filesystem),)),
        "foreign_export",
    ),
    fault(
        "foreign_mount",
        ST,
        [B],
        retarget(B, mounts=(replace(mount(FB), filesystem=777),)),
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
        nodes=[node_id(6)],
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
    fault("altered_host", HO, [B], alter(HostSlice, on(4), ssh_public_keys=A.ssh_public_keys)),
    fault("altered_host", HO, [B], alter(HostSlice, on(4), image="rootkit")),
    fault(
        "half_closed",
        HO,
        [B],
        drop(PartitionMember, of(guid(4))),
        "missing_fabric_entry",
        nodes=[node_id(4)],
    ),
    fault(
        "half_closed",
        HO,
        [G],
        drop(NetworkPort, lambda e: e.slot == 0 and on(6)(e)),
        "missing_network_entry",
    ),
    fault(
        "host_stranger",
        HO,
        [],
        plus(HostSlice(FREE_NODE, 0xFF, False, "old-0001", "x", (), "on")),
        nodes=[FREE_NODE],
    ),
    fault("missing_host_entry", HO, [A], drop(HostSlice, on(1)), nodes=[node_id(1)]),
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
            (F, PartitionMember, of(guid(4))),
            (I, NetworkPort, on(4)),
            (I, Gateway, lambda e: e.vni == B.keys.vni),
            (O, BmcAccount, on(4)),
            (ST, FileSystem, lambda e: e.filesystem == B.keys.filesystem),
            (HO, HostSlice, on(4)),
        )
    ),
    fault(
        "double_held",
        HO,
        [A, B],
        retarget(B, members=(*B.members, Member(node_id(0), 0xFF, "member", 2))),
        "two_partitions",
        "shared_partition",
        "shared_network",
        "foreign_bmc_route",
        "planted_account",
        "altered_host",
        "overlapping_slices",
    ),
]
