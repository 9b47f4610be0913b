"""The places and states of a cluster's nodes, as a document of the wire."""

from gigawatt.boundary.names import hostname_of
from gigawatt.boundary.target import ClusterTarget, Member
from gigawatt.fleet.model import Fleet
from gigawatt.interfaces.store import StoreSnapshot
from gigawatt.sdk import documents as doc


def topology_document(
    fleet: Fleet, snapshot: StoreSnapshot, target: ClusterTarget
) -> doc.ClusterTopology:
    """Where the members of a cluster stand, and how they are; spares last."""
    members = sorted(target.members, key=lambda member: member.role == "spare")
    return doc.ClusterTopology(
        cluster_id=target.cluster_id,
        fabric_id=target.fabric_id,
        nodes=[_node(fleet, snapshot, target.name, member) for member in members],
    )


def _node(fleet: Fleet, snapshot: StoreSnapshot, name: str, member: Member) -> doc.ClusterNode:
    row = fleet.node_index(member.node_id)
    first, last = fleet.first_nic_of_node[row], fleet.first_nic_of_node[row + 1]
    state, reason = snapshot.node_states.get(member.node_id, ("available", ""))
    return doc.ClusterNode(
        node_id=member.node_id,
        hostname=hostname_of(name, member.host_index),
        role=member.role,
        gpu_count=member.gpu_mask.bit_count(),
        rack_id=fleet.racks.ids[int(fleet.nodes.rack[row])],
        leaf_group_id=fleet.leaf_groups.ids[int(fleet.nodes.leaf_group[row])],
        pod_id=fleet.pods.ids[int(fleet.pod_of_node[row])],
        nvlink_domain_id=fleet.nvlink_domains.ids[int(fleet.nodes.nvlink_domain[row])],
        leaf_switch_ids=[fleet.switches.ids[leaf] for leaf in fleet.nics.leaf[first:last].tolist()],
        state=state,
        state_reason=reason,
    )
