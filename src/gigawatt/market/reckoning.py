"""Usage reckoned a second time, from what the log of operations says: to check the meter.

It shares nothing with the fold of ``market.meter``: it walks from one line of the log to the next
and asks of each node, for the time in between, whether it was to be billed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from gigawatt.ids import ClusterId, NodeId
from gigawatt.market.meter import Promise


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time, half open, in which a node was used on one promise."""

    from_ms: int
    to_ms: int
    promise: Promise


def joined(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Spans in order of time, those that touch on the same promise as one.

    Example:
        >>> two_usd = Promise(8, 2_000_000)
        >>> len(joined([Span(5, 9, two_usd), Span(0, 5, two_usd)]))
        1
    """
    found: list[Span] = []
    for span in sorted(spans, key=lambda span: (span.from_ms, span.to_ms)):
        if found and found[-1].to_ms == span.from_ms and found[-1].promise == span.promise:
            found[-1] = Span(found[-1].from_ms, span.to_ms, span.promise)
        else:
            found.append(span)
    return tuple(found)


@dataclass(slots=True)
class _Cluster:
    now_ms: int
    is_delivered: bool = False
    promises: dict[NodeId, Promise] = field(default_factory=dict)
    spans: dict[NodeId, list[Span]] = field(default_factory=dict)


class Reckoning:
    """What was to be billed, by cluster and node; told line by line, in the order of the log."""

    def __init__(self) -> None:
        """Nothing happened yet."""
        self._clusters: dict[ClusterId, _Cluster] = {}
        self._broken: set[NodeId] = set()

    def verified(
        self, cluster_id: ClusterId, members: Mapping[NodeId, Promise], at_ms: int
    ) -> None:
        """These are the members of a cluster now; at first, it is handed over with them."""
        cluster = self._clusters.get(cluster_id)
        if cluster is None:
            cluster = self._clusters[cluster_id] = _Cluster(at_ms, is_delivered=True)
        self._pass(cluster, at_ms)
        for node_id, promise in members.items():
            old = cluster.promises.get(node_id)
            if old is None or not old.holds_for(promise):
                cluster.promises[node_id] = promise
        for node_id in cluster.promises.keys() - members.keys():
            del cluster.promises[node_id]

    def left(self, cluster_id: ClusterId, node_ids: Iterable[NodeId], at_ms: int) -> None:
        """A cluster gives nodes back."""
        cluster = self._clusters.get(cluster_id)
        if cluster is not None:
            self._pass(cluster, at_ms)
            for node_id in node_ids:
                cluster.promises.pop(node_id, None)

    def released(self, cluster_id: ClusterId, at_ms: int) -> None:
        """Release of a cluster was asked for."""
        cluster = self._clusters.get(cluster_id)
        if cluster is not None:
            self._pass(cluster, at_ms)
            cluster.is_delivered = False

    def judged(self, node_id: NodeId, at_ms: int, *, is_broken: bool) -> None:
        """A node was quarantined or is no more; the same again changes nothing."""
        if is_broken is (node_id in self._broken):
            return
        for cluster in self._clusters.values():
            if node_id in cluster.promises:
                self._pass(cluster, at_ms)
        (self._broken.add if is_broken else self._broken.discard)(node_id)

    def cut(self, at_ms: int) -> None:
        """Time went on to here for every cluster that is billed for a node."""
        for cluster in self._clusters.values():
            if cluster.is_delivered and cluster.promises.keys() - self._broken:
                self._pass(cluster, at_ms)

    def spans(self) -> Mapping[ClusterId, Mapping[NodeId, tuple[Span, ...]]]:
        """What was to be billed up to the last line about each cluster, by node."""
        return {
            cluster_id: {node_id: joined(spans) for node_id, spans in cluster.spans.items()}
            for cluster_id, cluster in self._clusters.items()
        }

    def _pass(self, cluster: _Cluster, at_ms: int) -> None:
        """Let time pass for one cluster; it never goes back."""
        from_ms, cluster.now_ms = cluster.now_ms, max(cluster.now_ms, at_ms)
        if not cluster.is_delivered or cluster.now_ms == from_ms:
            return
        for node_id, promise in cluster.promises.items():
            if node_id not in self._broken:
                spans = cluster.spans.setdefault(node_id, [])
                spans.append(Span(from_ms, cluster.now_ms, promise))
