"""What one process counts: requests, steps, device calls, transactions. Each series says whose.

Names follow prometheus.io, "Metric and label naming": base units, ``_total`` on counters. Labels
have few values, all of our own making: kinds, stages, planes, operation ids, status codes; never
what a tenant wrote, and never the id of a cluster.
"""

from collections import Counter
from collections.abc import Callable, Iterator

import prometheus_client as prometheus
from prometheus_client.core import Metric
from prometheus_client.registry import Collector, CollectorRegistry
from typing_extensions import override

from gigawatt import __version__
from gigawatt.boundary.plane import PLANES
from gigawatt.boundary.proof import Proof
from gigawatt.boundary.rules import RULES
from gigawatt.executor.call import Outcome
from gigawatt.executor.drift import FleetDrift
from gigawatt.executor.progress import Span, StageRun, Watch
from gigawatt.interfaces.store import OperationRecord
from gigawatt.planner.plan import OperationKind, Plan

REQUEST_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
TRANSACTION_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 10.0)
CALL_BUCKETS_S = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0)
OPERATION_BUCKETS_S = (1.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0)
"""Bounds of histograms in seconds. Ours: from what was measured to the limits of the policy."""

GaugeReader = Callable[[], float]


class OfOneReplica(Collector):
    """The metrics of a registry, each series marked with the replica that counted it."""

    def __init__(self, registry: CollectorRegistry, replica: str) -> None:
        """Mark the series of ``registry``; ``replica`` has no other value in this process."""
        self._registry = registry
        self._replica = replica

    @override
    def collect(self) -> Iterator[Metric]:
        for metric in self._registry.collect():
            metric.samples = [
                sample._replace(labels={**sample.labels, "replica": self._replica})
                for sample in metric.samples
            ]
            yield metric


class ProcessMetrics(Watch):
    """Counts what happens in this process."""

    def __init__(self) -> None:
        """Make a registry of its own, so that no other library's series are among ours."""
        self.registry = CollectorRegistry()
        prometheus.ProcessCollector(registry=self.registry)
        info = self._gauge("build_info", "Release that runs; always 1.", "version")
        info.labels(__version__).set(1)
        self._make_request_metrics()
        self._make_operation_metrics()
        self._make_device_metrics()
        self._make_isolation_metrics()

    def _gauge(self, name: str, text: str, *labels: str) -> prometheus.Gauge:
        return prometheus.Gauge(f"gigawatt_{name}", text, labels, registry=self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> prometheus.Counter:
        return prometheus.Counter(f"gigawatt_{name}", text, labels, registry=self.registry)

    def _histogram(
        self, name: str, text: str, buckets: tuple[float, ...], *labels: str
    ) -> prometheus.Histogram:
        return prometheus.Histogram(
            f"gigawatt_{name}", text, labels, buckets=buckets, registry=self.registry
        )

    def _make_request_metrics(self) -> None:
        self._requests = self._counter("http_requests", "Requests answered.", "operation", "status")
        self._request_seconds = self._histogram(
            "http_request_seconds",
            "Time until an answer began.",
            REQUEST_BUCKETS_S,
            "operation",
        )
        self._transactions = self._histogram(
            "database_transaction_seconds",
            "Time of a transaction of the store.",
            TRANSACTION_BUCKETS_S,
            "mode",
            "outcome",
        )
        for mode in ("read", "write"):
            self._transactions.labels(mode, "ok")
            self._transactions.labels(mode, "failed")

    def _make_operation_metrics(self) -> None:
        buckets = OPERATION_BUCKETS_S
        self._plans = self._histogram(
            "plan_seconds", "Time to make a plan.", REQUEST_BUCKETS_S, "kind"
        )
        self._checks = self._histogram(
            "plan_check_seconds", "Time of an independent check.", REQUEST_BUCKETS_S, "outcome"
        )
        self._commits = self._histogram(
            "commit_seconds", "Time to commit a plan.", REQUEST_BUCKETS_S, "kind"
        )
        self._operations = self._histogram(
            "operation_seconds",
            "Time from commit to the end of an operation.",
            buckets,
            "kind",
            "outcome",
        )
        self._left = self._counter(
            "operations_left", "Operations that a worker left to another.", "kind"
        )
        self._stages = self._histogram(
            "stage_seconds", "Time of a stage with its read-back.", buckets, "stage", "outcome"
        )
        for kind in OperationKind:
            self._left.labels(kind.value)
            for outcome in ("done", "unwound", "stuck"):
                self._operations.labels(kind.value, outcome)

    def _make_device_metrics(self) -> None:
        self._steps = self._histogram(
            "step_seconds",
            "Time of a step on its device, with all tries.",
            CALL_BUCKETS_S,
            "stage",
            "plane",
            "outcome",
        )
        self._errors = self._counter(
            "device_call_errors", "Tries of device calls that failed.", "plane", "error"
        )
        self._retries = self._counter(
            "device_call_retries", "Device calls that were tried again.", "plane"
        )
        for plane in PLANES:
            self._retries.labels(plane.value)
            for error in ("DriverRetryableError", "DriverPermanentError"):
                self._errors.labels(plane.value, error)

    def _make_isolation_metrics(self) -> None:
        self._violations = self._gauge(
            "isolation_violations", "Findings of the newest proof of isolation.", "scope", "rule"
        )
        self._proofs = self._counter("isolation_proofs", "Proofs of isolation.", "scope")
        self._drift = self._gauge(
            "reconcile_drift", "Entries that differed in the newest pass.", "plane", "kind"
        )
        self._passes = self._counter("reconcile_passes", "Passes of the reconciler.")
        self._proofs.labels("targets")
        for rule in RULES:
            self._violations.labels("targets", rule.name).set(0)

    def read_gauge(self, name: str, text: str, read: GaugeReader) -> None:
        """Show, as the gauge ``gigawatt_NAME``, what ``read`` gives at each scrape.

        For what another part of the process knows, such as the length of a queue. ``read`` must
        be quick and must not raise.
        """
        self._gauge(name, text).set_function(read)

    def request_ended(self, operation: str, status: int, duration_s: float) -> None:
        """A request was answered; ``operation`` is the id in the permission table, or "none"."""
        self._requests.labels(operation, str(status)).inc()
        self._request_seconds.labels(operation).observe(duration_s)

    def transaction_ended(self, mode: str, duration_s: float, went_well: bool) -> None:  # noqa: FBT001 - the store tells it so
        """A transaction ended."""
        self._transactions.labels(mode, "ok" if went_well else "failed").observe(duration_s)

    @override
    def planned(self, plan: Plan, span: Span) -> None:
        self._plans.labels(plan.kind.value).observe(span.duration_s)

    @override
    def checked(self, plan: Plan, note_count: int, span: Span) -> None:
        self._checks.labels("refused" if note_count else "passed").observe(span.duration_s)

    @override
    def committed(self, operation: OperationRecord, span: Span) -> None:
        self._commits.labels(operation.kind.value).observe(span.duration_s)

    @override
    def operation_ended(self, operation: OperationRecord, state: str, span: Span) -> None:
        kind = operation.kind.value
        if state == "left":
            self._left.labels(kind).inc()
            return
        whole = Span(operation.started_s, span.ended_s)
        self._operations.labels(kind, state).observe(whole.duration_s)

    @override
    def stage_ended(self, run: StageRun, failed_count: int, ended_s: float) -> None:
        outcome = "failed" if failed_count else "done"
        self._stages.labels(run.name, outcome).observe(Span(run.began_s, ended_s).duration_s)

    @override
    def call_ended(self, run: StageRun | None, outcome: Outcome) -> None:
        plane, stage = outcome.step.plane.value, "repair" if run is None else run.name
        took_s = Span(outcome.began_s, outcome.ended_s).duration_s
        self._steps.labels(stage, plane, outcome.state).observe(took_s)
        for error in outcome.errors:
            self._errors.labels(plane, error).inc()
        retry_count = len(outcome.errors) - (outcome.state == "failed")
        if retry_count > 0:
            self._retries.labels(plane).inc(retry_count)

    @override
    def drifted(self, drift: FleetDrift) -> None:
        self._passes.inc()
        missing = Counter(e.plane for entries in drift.missing.values() for e in entries)
        strange = Counter(entry.plane for entry in drift.strange.values())
        for plane in PLANES:
            self._drift.labels(plane.value, "missing").set(missing[plane])
            self._drift.labels(plane.value, "strange").set(strange[plane])

    @override
    def proved(self, proof: Proof) -> None:
        found = Counter[str]()
        for violation in proof.violations:
            found[violation.rule] += violation.finding_count
        self._proofs.labels(proof.scope).inc()
        for rule in RULES:
            self._violations.labels(proof.scope, rule.name).set(found[rule.name])
