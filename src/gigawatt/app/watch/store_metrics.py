"""What the database knows, as metrics: the same on every replica, and exact across restarts."""

import threading
from collections import Counter
from collections.abc import Iterator

import numpy as np
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeHistogramMetricFamily,
    GaugeMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from typing_extensions import override

from gigawatt.errors import GigawattError
from gigawatt.fleet.model import Fleet
from gigawatt.interfaces.clock import Clock
from gigawatt.interfaces.gauges import Gauges, StoreGauges
from gigawatt.planner.phases import ENDED, PHASE_SLA_S, Phase
from gigawatt.planner.plan import OperationKind

CACHED_S = 1.0
"""A scrape sooner than this after another gets the same reading. Ours: Prometheus asks every 15 s,
and whoever asks in a loop must not load the database."""

AGE_BUCKETS_S = (60.0, 300.0, 900.0, 1800.0, 3600.0, 14_400.0, 86_400.0, 604_800.0)

EVENT_KINDS = (
    "committed",
    "taken_over",
    "revised",
    "failed",
    "done",
    "unwound",
    "stuck",
    "drift",
    "node",
    "node_lost",
)
"""Kinds of lines in the trail that are shown from the start, so that a rate sees the first one."""


class StoreMetrics(Collector):
    """Reads the store when it is scraped."""

    def __init__(self, fleet: Fleet, gauges: Gauges, clock: Clock) -> None:
        """Read ``gauges``, and place what they say in the fleet."""
        self._fleet, self._gauges, self._clock = fleet, gauges, clock
        self._lock = threading.Lock()
        self._read_s = float("-inf")
        self._reading: tuple[StoreGauges, float] | None = None
        self._event_counts = Counter[str](dict.fromkeys(EVENT_KINDS, 0))
        self._newest_event = 0
        self._gpu_seconds: dict[str, float] = {}

    @override
    def collect(self) -> Iterator[Metric]:
        with self._lock:
            found = self._newest()
        is_up = GaugeMetricFamily("gigawatt_store_up", "Whether the store answered.")
        is_up.add_metric([], float(found is not None))
        yield is_up
        if found is not None:
            stored, now_s = found
            yield from _clusters(stored, now_s)
            yield from _nodes(self._fleet, stored)
            yield from _books(stored)
            yield from self._counters(stored)

    def describe(self) -> Iterator[Metric]:
        """Nothing: registering must not read the store."""
        return iter(())

    def _newest(self) -> tuple[StoreGauges, float] | None:
        """The reading to show and its moment; None when the store does not answer."""
        now_s = self._clock.now_s()
        if 0 <= now_s - self._read_s < CACHED_S:
            return self._reading
        self._read_s = now_s
        try:
            stored = self._gauges.read(now_s, self._newest_event)
        except GigawattError:
            self._reading = None
            return None
        self._event_counts.update(stored.event_counts)
        self._newest_event = max(self._newest_event, stored.newest_event)
        for gpu_type, held_s in stored.gpu_seconds.items():
            # A counter that falls by the skew of two clocks would count as a restart.
            self._gpu_seconds[gpu_type] = max(held_s, self._gpu_seconds.get(gpu_type, 0.0))
        self._reading = (stored, now_s)
        return self._reading

    def _counters(self, stored: StoreGauges) -> Iterator[Metric]:
        held = CounterMetricFamily(
            "gigawatt_gpu_held_seconds", "GPU-seconds that clusters held.", labels=["gpu_type"]
        )
        for gpu_type in dict.fromkeys((*_gpu_types(self._fleet), *self._gpu_seconds)):
            held.add_metric([gpu_type], self._gpu_seconds.get(gpu_type, 0.0))
        kinds = CounterMetricFamily("gigawatt_events", "Lines of the trail.", labels=["kind"])
        for kind, count in sorted(self._event_counts.items()):
            kinds.add_metric([kind], count)
        calls = CounterMetricFamily("gigawatt_audit_rows", "Rows of the audit of calls.")
        calls.add_metric([], stored.audit_count)
        yield from (held, kinds, calls)


def _clusters(stored: StoreGauges, now_s: float) -> Iterator[Metric]:
    counts = GaugeMetricFamily("gigawatt_clusters", "Clusters by phase.", labels=["phase"])
    volumes = GaugeMetricFamily(
        "gigawatt_file_systems", "Live file systems by phase.", labels=["phase"]
    )
    late = GaugeMetricFamily(
        "gigawatt_clusters_over_sla",
        "Clusters and file systems longer in a phase than its SLA.",
        labels=["phase"],
    )
    allowed = GaugeMetricFamily(
        "gigawatt_phase_sla_seconds", "How long a phase should last.", labels=["phase"]
    )
    ages = GaugeHistogramMetricFamily(
        "gigawatt_cluster_state_age_seconds",
        "Time in the current phase.",
        labels=["phase"],
    )
    for phase in Phase:
        live = sum(p is phase for p, _ in stored.live_clusters)
        ended = stored.ended_cluster_count.get(phase.value, 0)
        counts.add_metric([phase.value], live + ended)
        every = (*stored.live_clusters, *stored.live_file_systems)
        found = [max(0.0, now_s - since_s) for p, since_s in every if p is phase]
        if phase in PHASE_SLA_S:
            sla_s = PHASE_SLA_S[phase]
            late.add_metric([phase.value], sum(age_s > sla_s for age_s in found))
            allowed.add_metric([phase.value], sla_s)
        if phase not in ENDED:
            volumes.add_metric([phase.value], len(found) - live)
            ages.add_metric([phase.value], _buckets(found), gsum_value=sum(found))
    yield from (counts, volumes, late, allowed, ages)


def _buckets(ages_s: list[float]) -> list[tuple[str, float]]:
    found = [(f"{bound:.1f}", float(sum(a <= bound for a in ages_s))) for bound in AGE_BUCKETS_S]
    return [*found, ("+Inf", float(len(ages_s)))]


def _gpu_types(fleet: Fleet) -> list[str]:
    return list(dict.fromkeys(kind.gpu_type for kind in fleet.node_types))


def _nodes(fleet: Fleet, stored: StoreGauges) -> Iterator[Metric]:
    """Nodes and GPUs by site, GPU type and state. What is held of a drained node stays held."""
    labels = ["site", "gpu_type", "state"]
    node_counts = GaugeMetricFamily("gigawatt_nodes", "Nodes by state.", labels=labels)
    gpu_counts = GaugeMetricFamily("gigawatt_gpus", "GPUs by state.", labels=labels)
    row_of, count = fleet.nodes.index_of, len(fleet.nodes)
    states = np.full(count, "available", dtype=object)
    for node_id, state in stored.node_states.items():
        if node_id in row_of:
            states[row_of[node_id]] = state
    held = {state: np.zeros(count, np.int64) for state in ("held", "tombstone")}
    for (node_id, state), gpu_count in stored.gpu_counts.items():
        if node_id in row_of:
            held[state][row_of[node_id]] += gpu_count
    left = fleet.gpu_count_of_node - held["held"] - held["tombstone"]
    types = np.array([kind.gpu_type for kind in fleet.node_types], dtype=object)[fleet.nodes.type]
    for site_row, site in enumerate(fleet.sites.ids):
        for gpu_type in _gpu_types(fleet):
            mine = (fleet.site_of_node == site_row) & (types == gpu_type)
            if not mine.any():
                continue
            for state in ("available", "drained", "quarantined"):
                rows = mine & (states == state)
                node_counts.add_metric([site, gpu_type, state], int(rows.sum()))
                named = "free" if state == "available" else state
                gpu_counts.add_metric([site, gpu_type, named], int(left[rows].sum()))
            for state, gpus in held.items():
                gpu_counts.add_metric([site, gpu_type, state], int(gpus[mine].sum()))
    yield from (node_counts, gpu_counts)


def _books(stored: StoreGauges) -> Iterator[Metric]:
    keys = GaugeMetricFamily(
        "gigawatt_keys", "Keys outside of their pool.", labels=["key_pool", "state"]
    )
    for (key_pool, state), count in sorted(stored.key_counts.items()):
        keys.add_metric([key_pool, state], count)
    under_way = GaugeMetricFamily(
        "gigawatt_operations_open", "Operations not ended.", labels=["kind", "state"]
    )
    for kind in OperationKind:
        for state in ("applying", "unwinding", "stuck"):
            count = stored.open_operation_counts.get((kind.value, state), 0)
            under_way.add_metric([kind.value, state], count)
    yield from (keys, under_way)
    yield _plain(
        "gigawatt_operations_waiting",
        "Open operations that no living worker holds.",
        stored.waiting_operation_count,
    )
    yield _plain("gigawatt_tombstones", "Absences not yet observed.", stored.tombstone_count)


def _plain(name: str, text: str, count: int) -> Metric:
    family = GaugeMetricFamily(name, text)
    family.add_metric([], count)
    return family
