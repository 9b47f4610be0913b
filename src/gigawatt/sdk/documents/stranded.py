"""Documents of stranded GPUs: free, and of no use to a size that somebody may ask for."""

from gigawatt.sdk.documents.base import Answer
from gigawatt.sdk.documents.fleet import NodeStateName


class SizeRoom(Answer):
    """One size: how often it fits now, side by side, and the free GPUs that are of no use to it.

    ``in_part_gpu_count`` lie on nodes of which another part is taken, ``too_few_gpu_count`` on
    whole nodes of which too few are together. ``asked_count`` are requests of that size that wait,
    or were refused for want of room in the last seven days.
    """

    gpu_count: int
    fit_count: int
    in_part_gpu_count: int
    too_few_gpu_count: int
    asked_count: int


class FabricRoom(Answer):
    """Whole free nodes on one fabric: a request of several nodes lies on one fabric."""

    fabric_id: str
    whole_node_count: int


class NodeEmptied(Answer):
    """A node that becomes whole if the slices on it move to the named nodes, which have room.

    ``gained_gpu_count`` GPUs that are free there now are then of use to who needs whole nodes.
    """

    node_id: str
    cluster_ids: list[str]
    cluster_names: list[str]
    moved_gpu_count: int
    gained_gpu_count: int
    to_node_ids: list[str]


class NodeOut(Answer):
    """A node out of service that nobody holds."""

    node_id: str
    state: NodeStateName
    state_reason: str


class TypeRoom(Answer):
    """One type of node at one site, in GPUs; the five counts after ``gpu_count`` sum to it.

    ``placeable``: free for whoever asks on demand, ``part_gpu_count`` of them on nodes of which
    another part is taken; ``promised``: free, and kept for reservations; ``leaving``: given back
    and not yet clean; ``out``: on nodes that are drained or quarantined. ``emptied`` says what to
    move, the least first; each takes those before it as done.
    """

    node_type: str
    gpu_type: str
    site_id: str
    gpus_per_node: int
    gpu_count: int
    placeable_gpu_count: int
    promised_gpu_count: int
    leaving_gpu_count: int
    out_gpu_count: int
    held_gpu_count: int
    part_gpu_count: int
    sizes: list[SizeRoom]
    fabrics: list[FabricRoom]
    emptied: list[NodeEmptied]
    out_nodes: list[NodeOut]
    out_node_count: int


class Stranded(Answer):
    """What of the fleet is free and cannot be given, and what would change it."""

    types: list[TypeRoom]
