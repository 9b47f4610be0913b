"""What is told to who watches.

Goal: a watch hears of every step, stage and operation once, with times of the clock that ran; it
changes nothing, and a resumed operation is told in the same trace. Method: operations in virtual
time with a watch that keeps what it is told, with faults, take-overs and a watch that raises.
"""

import asyncio
import logging
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from gigawatt.app.control import Control
from gigawatt.app.ids import CountingIds
from gigawatt.app.watch.process_metrics import ProcessMetrics
from gigawatt.app.watch.trace_ids import root_span_id, trace_id_of
from gigawatt.app.watch.traces import CALL_SPANS_MAX, parse_traceparent, tracing
from gigawatt.app.watch.watches import Watches
from gigawatt.boundary.entries import BmcAccount
from gigawatt.drivers.fake.faults import FaultKind, FaultRule
from gigawatt.drivers.fake.latency import Latency
from gigawatt.executor.executor import Executor
from gigawatt.executor.progress import Watch
from gigawatt.fleet.demo import hgx_fleet


class Ears(Watch):
    """Keeps what it is told."""

    def __init__(self):
        self.calls, self.stages, self.ends, self.plans, self.drifts = [], [], [], [], []

    def planned(self, plan, span):
        self.plans.append(plan)

    def call_ended(self, run, outcome):
        self.calls.append((run, outcome))

    def stage_ended(self, run, failed_count, ended_s):
        self.stages.append((run, failed_count, ended_s))

    def operation_ended(self, operation, state, span):
        self.ends.append((operation, state, span))

    def drifted(self, drift):
        self.drifts.append(drift)


def watched(site, *watches):
    """The site with a control plane that tells."""
    around = replace(site.control.around, watch=Watches(watches))
    site.control = Control(around, CountingIds(), site.policy)
    return site


def test_every_step_and_stage_is_told_once_with_its_time(make_site):
    ears = Ears()
    site = watched(make_site(latency=Latency(median_s={"boot host": 60.0})), ears)
    plan = site.plan("train", 32)
    operation = site.carry_out(plan)
    told = Counter(outcome.step.key for _, outcome in ears.calls)
    assert told == Counter(step.key for step in plan.steps)
    assert [run.name for run, _, _ in ears.stages] == [stage.name for stage in plan.stages]
    assert {run.number for run, _ in ears.calls} == {run.number for run, _, _ in ears.stages}
    [(_, state, span)] = ears.ends
    assert state == operation.state == "done"
    assert span.duration_s >= 60.0
    boots = [o for run, o in ears.calls if run.name == "boot the hosts"]
    assert all(outcome.ended_s - outcome.began_s > 1.0 for outcome in boots)
    assert [p.plan_id for p in ears.plans] == [plan.plan_id]


def test_failed_tries_are_counted_by_plane_and_class(site):
    ears, metrics = Ears(), ProcessMetrics()
    site = watched(site, ears, metrics)
    site.faults.add(FaultRule(FaultKind.LOST_REPLY, "bmc/*", count=3))
    assert site.carry_out(site.plan("train", 16)).state == "done"
    tries = [error for _, outcome in ears.calls for error in outcome.errors]
    assert tries == ["DriverRetryableError"] * 3

    def value(name, **labels):
        return metrics.registry.get_sample_value(f"gigawatt_{name}", labels)

    lost = {"plane": "out_of_band", "error": "DriverRetryableError"}
    assert value("device_call_errors_total", **lost) == 3
    assert value("device_call_retries_total", plane="out_of_band") == 3
    assert value("device_call_retries_total", plane="fabric") == 0
    assert value("operation_seconds_count", kind="launch", outcome="done") == 1


def test_drift_is_told_by_plane(site):
    ears, metrics = Ears(), ProcessMetrics()
    site = watched(site, ears, metrics)
    cluster_id = site.launch("train", 16)
    node_id = site.nodes(cluster_id)[0]
    stranger = BmcAccount(node_id, "sticky", "vault/sticky")
    site.world.plant(stranger)
    site.reconcile()
    read = metrics.registry.get_sample_value
    strange = {"plane": "out_of_band", "kind": "strange"}
    assert read("gigawatt_reconcile_drift", strange) == 1
    assert read("gigawatt_reconcile_passes_total") == 1


class Broken(Watch):
    def call_ended(self, run, outcome):
        raise ValueError("no")


def test_a_watch_that_fails_stops_nothing_and_is_told_once(site, caplog):
    ears = Ears()
    site = watched(site, Broken(), ears)
    with caplog.at_level(logging.ERROR):
        assert site.carry_out(site.plan("train", 16)).state == "done"
    assert ears.calls
    assert len(caplog.records) == 1


def test_an_operation_that_another_worker_carries_on_stays_in_its_trace(make_site):
    exporter = InMemorySpanExporter()
    site = make_site(latency=Latency(median_s={"boot host": 60.0}))
    with tracing(exporter, "r") as watch:
        site = watched(site, watch)
        plan = site.plan("train", 16)
        operation = site.control.commit(plan)

        async def break_off_and_carry_on():
            first = asyncio.create_task(site.control.run(operation.operation_id, "first"))
            await asyncio.sleep(10.0)
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
            await asyncio.sleep(60.0)
            await Executor(site.control.around, "second", site.policy).run(operation.operation_id)

        site.run(break_off_and_carry_on())
        watch._emitter.processor.force_flush()
    spans = exporter.get_finished_spans()
    assert {span.context.trace_id for span in spans} == {trace_id_of(plan.plan_id)}
    workers = [span for span in spans if span.name == "operation launch"]
    assert [span.attributes["gigawatt.state"] for span in workers] == ["left", "done"]
    assert {span.parent.span_id for span in workers} == {root_span_id(plan.plan_id)}
    assert len({span.context.span_id for span in spans}) == len(spans)


def test_spans_of_calls_are_bounded_and_failed_ones_always_told(make_site):
    exporter = InMemorySpanExporter()
    site = make_site(hgx_fleet(4_096))
    site.faults.add(FaultRule(FaultKind.LOST_REPLY, "bmc/*", count=5))
    with tracing(exporter, "r") as watch:
        site = watched(site, watch)
        assert site.carry_out(site.plan("big", 4_000)).state == "done"
        watch._emitter.processor.force_flush()
    spans = exporter.get_finished_spans()
    by_stage = Counter(s.parent.span_id for s in spans if "gigawatt.device" in s.attributes)
    assert max(by_stage.values()) <= CALL_SPANS_MAX + 5
    failed = [s for s in spans if s.attributes.get("gigawatt.failed_tries")]
    assert sum(s.attributes["gigawatt.failed_tries"] for s in failed) == 5


@pytest.mark.parametrize(
    "text",
    [
        "",
        "00-" + "0" * 32 + "-" + "1" * 16 + "-01",
        "00-" + "1" * 32 + "-" + "0" * 16 + "-01",
        "01-" + "1" * 32 + "-" + "1" * 16 + "-01",
        "00-" + "1" * 32 + "-" + "1" * 16,
        "00-" + "g" * 32 + "-" + "1" * 16 + "-01",
        "00-" + "1" * 4000,
    ],
)
def test_what_is_no_traceparent_is_ignored(text):
    assert parse_traceparent(text) is None


def test_who_watches_sees_a_stage_go_on(make_site):
    """Outcomes are journaled while slower devices of their stage are still at work."""
    latency = Latency(median_s={"ensure port": 1.0, "ensure fabric": 30.0}, spread=0.5, seed=1)
    site = make_site(latency=latency)
    operation = site.control.commit(site.plan("train", 64))
    seen = []

    def look(progress):
        if progress.stage == "close the planes":
            journal = site.store.journal(operation.operation_id)
            done = sum(state == "done" for state, _ in journal.values())
            seen.append((site.clock.now_s(), progress.planes, done))

    site.run(site.control.run(operation.operation_id, "worker-1", look))
    halfway = [(planes, done) for _, planes, done in seen if planes["fabric"] == (0, 1)]
    assert len(halfway) > 1
    assert [done for _, done in halfway] == sorted({done for _, done in halfway})
    times = [at_s for at_s, _, _ in seen]
    gaps = [after - before for before, after in pairwise(times[:-1])]
    assert min(gaps) >= site.policy.flush_s, "one transaction for many, not one for each"
