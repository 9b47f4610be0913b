"""The plan: everything that will happen, decided before anything happens.

A plan names its parent generation (compare-and-set at commit), the target before and after, and
the steps in stages. No meaningful choice is left for the executor. It can be shown, stored,
checked, applied, resumed and unwound.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b
from typing import Annotated, Literal

from pydantic import Discriminator

from gigawatt.boundary.entries import Entry
from gigawatt.boundary.plane import Plane
from gigawatt.boundary.target import ClusterTarget
from gigawatt.ids import ClusterId, DeviceId, NodeId, PlanId, TenantId
from gigawatt.intent.prices import PriceBasis
from gigawatt.intent.term import Term
from gigawatt.placement.result import Alternative, Spread

Action = Literal["ensure", "remove"]


class OperationKind(StrEnum):
    """What a plan does to its cluster. What gives back goes forward; the rest can be unwound.

    A file system is launched, configured (another quota) and released like a cluster.
    """

    LAUNCH = "launch"
    GROW = "grow"
    SHRINK = "shrink"
    REPLACE = "replace"
    CONFIGURE = "configure"
    RELEASE = "release"

    @property
    def is_reversible(self) -> bool:
        """Whether a permanent failure restores the target before."""
        return self not in {OperationKind.SHRINK, OperationKind.RELEASE}


@dataclass(frozen=True, slots=True)
class Step:
    """One idempotent driver call: entries to ensure on, or remove from, one device.

    Fields:
        key: unique in the plan and equal for equal content, so that a journal can skip it.
        node_id: the node that is lost if this step fails for good; None for a shared device.
    """

    key: str
    action: Action
    plane: Plane
    device: DeviceId
    entries: tuple[Annotated[Entry, Discriminator("kind")], ...]
    node_id: NodeId | None


@dataclass(frozen=True, slots=True)
class Stage:
    """Steps that may run at the same time, after every earlier stage is done.

    Fields:
        name: short imperative shown to people, e.g. "close the planes".
        verify: read every device of the stage back and compare before going on.
    """

    name: str
    steps: tuple[Step, ...]
    verify: bool


@dataclass(frozen=True, slots=True)
class PlanReport:
    """What a person wants to know before saying yes.

    Fields: price_micro_usd_per_hour is what all members after it cost, held spares included;
    expected_s is how long it should take in seconds, from past operations of the kind, None when
    there are none; term and price_micro_usd_per_gpu_hour are of the nodes that join, and the
    basis says where that price is from. The price is None when no node joins, or those that join
    keep what was promised for those that they replace. ``until_s`` is when at the latest its nodes
    are taken back, in Unix seconds, as far as that is known; None for never.
    """

    gpu_type: str
    gpu_count: int
    spread: Spread
    reasons: tuple[str, ...]
    alternatives: tuple[Alternative, ...]
    price_micro_usd_per_hour: int
    expected_s: float | None
    term: Term = Term.ON_DEMAND
    price_micro_usd_per_gpu_hour: int | None = None
    price_basis: PriceBasis | None = None
    until_s: float | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """One operation on one cluster; see the module docstring.

    Fields: before is None for a launch, after is None once released; ``quarantined`` are nodes
    the plan gives up as broken; created_s and expires_s are Unix seconds.
    """

    plan_id: PlanId
    kind: OperationKind
    cluster_id: ClusterId
    tenant_id: TenantId
    parent_generation: int
    before: ClusterTarget | None
    after: ClusterTarget | None
    stages: tuple[Stage, ...]
    quarantined: tuple[NodeId, ...]
    report: PlanReport
    created_s: float
    expires_s: float

    @property
    def steps(self) -> tuple[Step, ...]:
        """Steps of all stages in order."""
        return tuple(step for stage in self.stages for step in stage.steps)


def make_step(
    action: Action,
    plane: Plane,
    device: DeviceId,
    entries: Sequence[Entry],
    node_id: NodeId | None,
) -> Step:
    """A step whose key names action, device and a hash of the content."""
    ordered = tuple(sorted(entries, key=lambda entry: entry.key))
    digest = blake2b(digest_size=6)
    for entry in ordered:
        digest.update(repr(entry).encode())
    key = f"{action} {device} {digest.hexdigest()}"
    return Step(key, action, plane, device, ordered, node_id)
