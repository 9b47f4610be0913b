"""The meter: from what happens to a cluster to usage that is billed, exact to the millisecond.

A fold: ``advance`` gives the meter after an event, and the usage that ended with it.
Time is whole milliseconds and intervals are half open, so usages of a node never overlap and the
sum over any cut of time is the same. A node is billed while all of this is so: the cluster was
verified and its release was not asked for; the node is a member, spares included, because they are
held; the node is ready, which a dead, quarantined or not yet verified one is not. What was promised
when a node joined is its price for as long as it stays on these terms, whatever the rate card says
later.

An event that is dated before the last one (another server's clock, or one that was put back)
counts as of the last: nothing is billed twice, and no time that was billed is taken back.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from gigawatt.ids import ClusterId, NodeId, ReservationId
from gigawatt.intent.term import Term

MS_PER_HOUR = 3_600_000


@dataclass(frozen=True, slots=True)
class Promise:
    """What a node of a cluster is and costs.

    Fields: gpu_count is what is held of the node, 1 to 16; price is in micro-USD per GPU-hour, 0
    for what a reservation covers, which is then named.
    """

    gpu_count: int
    price_micro_usd_per_gpu_hour: int
    term: Term = Term.ON_DEMAND
    reservation_id: ReservationId | None = None

    def holds_for(self, other: "Promise") -> bool:
        """Whether this one stays when ``other`` is offered: for the same GPUs on the same terms."""
        return (self.gpu_count, self.term, self.reservation_id) == (
            other.gpu_count,
            other.term,
            other.reservation_id,
        )


@dataclass(frozen=True, slots=True)
class Usage:
    """One node of one cluster in use from ``from_ms`` up to, and not with, ``to_ms``.

    Unix milliseconds. ``number`` counts the usages of a cluster from 0: with the cluster's id it
    names this usage for good, so that one which comes twice is kept once.
    """

    cluster_id: ClusterId
    number: int
    node_id: NodeId
    promise: Promise
    from_ms: int
    to_ms: int

    @property
    def gpu_ms(self) -> int:
        """GPU-milliseconds."""
        return (self.to_ms - self.from_ms) * self.promise.gpu_count

    @property
    def rated(self) -> int:
        """Micro-USD times milliseconds an hour: whole, so that sums are exact before rounding."""
        return self.gpu_ms * self.promise.price_micro_usd_per_gpu_hour


@dataclass(frozen=True, slots=True)
class Delivered:
    """The cluster was verified and handed over, or is again after a stop."""

    at_ms: int


@dataclass(frozen=True, slots=True)
class Stopped:
    """Release was asked for, by the tenant or by who preempts it, or the launch failed."""

    at_ms: int


@dataclass(frozen=True, slots=True)
class MembersChanged:
    """The verified members are now these."""

    at_ms: int
    promises: Mapping[NodeId, Promise]


@dataclass(frozen=True, slots=True)
class ReadinessChanged:
    """A node became ready or ceased to be; nodes are ready until somebody says otherwise."""

    at_ms: int
    node_id: NodeId
    is_ready: bool


@dataclass(frozen=True, slots=True)
class Cut:
    """Time to write down what is under way: the end of an hour, of a month, of a term."""

    at_ms: int


MeterEvent = Delivered | Stopped | MembersChanged | ReadinessChanged | Cut

_NO_PROMISES: Mapping[NodeId, Promise] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class UsageMeter:
    """The meter of one cluster.

    Fields:
        at_ms: the last event; None before the first.
        is_delivered: whether the tenant has it.
        promises: members.
        unready: nodes that are not ready, members or not.
        since_ms: start of the usage under way, of each node that is billed now.
        next_number: of the next usage.
    """

    cluster_id: ClusterId
    at_ms: int | None = None
    is_delivered: bool = False
    promises: Mapping[NodeId, Promise] = field(default_factory=lambda: _NO_PROMISES)
    unready: frozenset[NodeId] = frozenset()
    since_ms: Mapping[NodeId, int] = field(default_factory=dict)
    next_number: int = 0


def advance(usage_meter: UsageMeter, event: MeterEvent) -> tuple[UsageMeter, tuple[Usage, ...]]:
    """The meter after ``event``, and the usages that ended, by node.

    A node's usage ends when it is no longer billed, when its promise changes, and at a cut.
    """
    at_ms = event.at_ms if usage_meter.at_ms is None else max(event.at_ms, usage_meter.at_ms)
    after = _after(replace(usage_meter, at_ms=at_ms), event)
    running = _billed(after)
    ended = [
        node_id
        for node_id in sorted(usage_meter.since_ms)
        if isinstance(event, Cut)
        or node_id not in running
        or after.promises[node_id] != usage_meter.promises[node_id]
    ]
    usages: list[Usage] = []
    since_ms = dict(usage_meter.since_ms)
    for node_id in ended:
        from_ms = since_ms.pop(node_id)
        if at_ms > from_ms:
            number = usage_meter.next_number + len(usages)
            promise = usage_meter.promises[node_id]
            usages.append(Usage(usage_meter.cluster_id, number, node_id, promise, from_ms, at_ms))
    for node_id in running:
        since_ms.setdefault(node_id, at_ms)
    after = replace(after, since_ms=since_ms, next_number=usage_meter.next_number + len(usages))
    return after, tuple(usages)


def _after(usage_meter: UsageMeter, event: MeterEvent) -> UsageMeter:
    match event:
        case Delivered():
            return replace(usage_meter, is_delivered=True)
        case Stopped():
            return replace(usage_meter, is_delivered=False)
        case MembersChanged(promises=promises):
            kept = {node: usage_meter.promises.get(node, new) for node, new in promises.items()}
            kept |= {node: new for node, new in promises.items() if not kept[node].holds_for(new)}
            return replace(usage_meter, promises=MappingProxyType(kept))
        case ReadinessChanged(node_id=node_id, is_ready=is_ready):
            others = usage_meter.unready - {node_id}
            return replace(usage_meter, unready=others if is_ready else others | {node_id})
        case Cut():
            return usage_meter


def _billed(usage_meter: UsageMeter) -> frozenset[NodeId]:
    if not usage_meter.is_delivered:
        return frozenset()
    return frozenset(usage_meter.promises) - usage_meter.unready


def amount_micro_usd(usages: Iterable[Usage]) -> int:
    """What usages cost together, rounded half up once, at the end: an invoice line."""
    return rounded_micro_usd(sum(usage.rated for usage in usages))


def rounded_micro_usd(rated: int) -> int:
    """Micro-USD of a sum in micro-USD times milliseconds an hour, rounded half up.

    Example:
        >>> rounded_micro_usd(MS_PER_HOUR // 2)
        1
    """
    return (2 * rated + MS_PER_HOUR) // (2 * MS_PER_HOUR)
