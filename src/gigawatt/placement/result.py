"""What the placer answers: a placement with what it costs in spread, or why not."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spread:
    """How far apart the members are; smaller is better, compared field by field in this order.

    Fields: counts of pods, leaf groups, NVLink domains and nodes touched by members (spares not
    counted), and the switches that the worst pair of members has between them: 0 inside one
    NVLink domain, 1 in a leaf group, 3 in a pod, 5 across pods.
    """

    pod_count: int
    leaf_group_count: int
    nvlink_domain_count: int
    node_count: int
    hop_count_max: int


@dataclass(frozen=True, slots=True)
class Alternative:
    """Another way to serve the request: one sentence, its spread and its price."""

    sentence: str
    gpu_type: str
    site_id: str
    spread: Spread
    price_micro_usd_per_hour: int


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a request goes.

    Fields:
        members: (node index, GPU mask) in rank order: neighbours in rank are neighbours in the
            fabric, so a ring crosses each group border once.
        spares: the same for spare nodes.
        gpu_type: the type chosen.
        fabric: fabric index.
        spread: of the members.
        price_micro_usd_per_hour: price of members and spares.
        reasons: why here, one sentence each.
        alternatives: other ways, cheapest first.
    """

    members: tuple[tuple[int, int], ...]
    spares: tuple[tuple[int, int], ...]
    gpu_type: str
    fabric: int
    spread: Spread
    price_micro_usd_per_hour: int
    reasons: tuple[str, ...]
    alternatives: tuple[Alternative, ...]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request does not fit now.

    Fields:
        reasons: why not, level by level, widest first, e.g. "pod: no pod has 500 free nodes, the
            best has 212 (ib0-pod003)".
        would_fit: what would fit instead, largest first.
        is_impossible: it would not fit an empty fleet either.
    """

    reasons: tuple[str, ...]
    would_fit: tuple[str, ...]
    is_impossible: bool
