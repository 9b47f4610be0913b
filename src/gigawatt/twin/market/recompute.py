"""What every tenant owes, found again from the event log alone.

Another way on purpose: no meter, no rounding helper and no state of the replay; each node of each
cluster is an interval that opens and closes, cut where a month begins.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal

from gigawatt.errors import DataError

_Line = tuple[str, str, str, str, int]
Owed = dict[_Line, int]


@dataclass(slots=True)
class _Node:
    gpu_count: int
    micro_usd: int
    lender: str
    credit_micro_usd: int
    since_ms: int | None = None


@dataclass(slots=True)
class _Cluster:
    tenant: str
    term: str
    is_delivered: bool = False
    nodes: dict[str, _Node] = field(default_factory=dict)
    dead: set[str] = field(default_factory=set)


def recompute(lines: Iterable[str], start_s: float) -> Owed:
    """Micro-USD of every line of every invoice.

    A line is of a month, a tenant, a term (or what lending brought: credit), a cluster or
    reservation, and a price; each is rounded by itself, and one more takes what a tenant owes to
    whole cents.

    Args:
        lines: of the event log.
        start_s: Unix second at which the log begins.

    Raises:
        DataError: the log contradicts itself.
    """
    clusters: dict[str, _Cluster] = {}
    sums: dict[_Line, int] = defaultdict(int)
    for line in lines:
        seconds, kind, *words = line.split()
        at_ms = int(seconds.replace(".", "")) // 1000
        if kind == "open":
            clusters[words[0]] = _Cluster(words[1], words[2])
            continue
        if kind not in {"members", "deliver", "ready", "unready", "stop"}:
            continue
        cluster = clusters.get(words[0])
        if cluster is None:
            raise DataError(f"the event log names {words[0]!r} before it was opened")
        _happen(cluster, kind, words[1:])
        if kind == "stop":
            del clusters[words[0]]
        for month, tenant, what, price, amount in _settle(cluster, at_ms, start_s):
            sums[month, tenant, what, "" if what == "credit" else words[0], price] += amount
    if any(node.since_ms is not None for c in clusters.values() for node in c.nodes.values()):
        raise DataError("the event log ends while clusters are still paid for")
    rounded = {key: _half_up(amount) for key, amount in sums.items()}
    return {**rounded, **_to_cents(rounded)}


def _to_cents(lines: Owed) -> Owed:
    """What is missing of whole cents, of each tenant and month."""
    totals: dict[tuple[str, str], int] = defaultdict(int)
    for (month, tenant, what, *_), amount in lines.items():
        totals[month, tenant] += 0 if what == "credit" else amount
    return {
        (month, tenant, "rounding", "", 0): int(
            (Decimal(total) / 10_000).quantize(Decimal(1), ROUND_HALF_UP) * 10_000 - total
        )
        for (month, tenant), total in totals.items()
    }


def _happen(cluster: _Cluster, kind: str, words: list[str]) -> None:
    if kind in {"deliver", "stop"}:
        cluster.is_delivered = kind == "deliver"
    elif kind == "unready":
        cluster.dead.add(words[0])
    elif kind == "ready":
        cluster.dead.discard(words[0])
    else:
        members = {word.split("=")[0]: word.split("=")[1:] for word in words}
        for name in set(cluster.nodes) - set(members):
            cluster.nodes[name].gpu_count = -cluster.nodes[name].gpu_count  # it leaves
        for name, (gpus, micro_usd, *rest) in members.items():
            lender, credit = rest or ("", "0")
            if name not in cluster.nodes:
                cluster.nodes[name] = _Node(int(gpus), int(micro_usd), lender, int(credit))


def _settle(
    cluster: _Cluster, at_ms: int, start_s: float
) -> Iterator[tuple[str, str, str, int, int]]:
    """Close what is no longer paid for, open what is from now on."""
    for name, node in list(cluster.nodes.items()):
        has_left = node.gpu_count < 0
        is_paid = cluster.is_delivered and not has_left and name not in cluster.dead
        if is_paid and node.since_ms is None:
            node.since_ms = at_ms
        elif not is_paid and node.since_ms is not None:
            for month, passed_ms in _months(node.since_ms, at_ms, start_s):
                gpu_ms = abs(node.gpu_count) * passed_ms
                if node.micro_usd:
                    line = month, cluster.tenant, cluster.term, node.micro_usd
                    yield *line, gpu_ms * node.micro_usd
                if node.lender:
                    yield month, node.lender, "credit", 0, gpu_ms * node.credit_micro_usd
            node.since_ms = None
        if has_left:
            del cluster.nodes[name]


def _months(from_ms: int, to_ms: int, start_s: float) -> Iterator[tuple[str, int]]:
    """A stretch of time by calendar months."""
    begin = from_ms
    while begin < to_ms:
        moment = datetime.fromtimestamp(start_s + begin / 1000, UTC)
        first = moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        after = first.replace(year=first.year + (first.month == 12), month=first.month % 12 + 1)
        end = min(to_ms, round((after.timestamp() - start_s) * 1000))
        yield moment.strftime("%Y-%m"), end - begin
        begin = end


def _half_up(rated: int) -> int:
    return int((Decimal(rated) / Decimal(3_600_000)).quantize(Decimal(1), ROUND_HALF_UP))


def differences(owed: Mapping[_Line, int], billed: Owed) -> tuple[str, ...]:
    """Sentences about every line on which two computations differ; empty when they agree."""
    return tuple(
        f"{' '.join(map(str, key))}: {owed.get(key, 0)} micro-USD by the log,"
        f" {billed.get(key, 0)} billed"
        for key in sorted({*owed, *billed})
        if owed.get(key, 0) != billed.get(key, 0)
    )
