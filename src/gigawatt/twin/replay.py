"""The replay: jobs of a trace as tenants' requests to the real control plane, in virtual time.

Each job asks for a cluster, waits while there is no room, runs, and is released; nodes break and
are replaced, calls go wrong, workers die; the reconciler makes its rounds and judges look on.
Everything is planned, checked, committed, applied and verified by the code that runs in
production; only devices, time and chance are the twin's.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TextIO

from gigawatt.fleet.model import Fleet
from gigawatt.twin.desk import Desk
from gigawatt.twin.events import EventLog
from gigawatt.twin.failures import node_failures
from gigawatt.twin.ledger import Ledger
from gigawatt.twin.metrics import Metrics
from gigawatt.twin.rounds import Rounds
from gigawatt.twin.scene import Scene, Wrap, as_they_are, open_scene
from gigawatt.twin.settings import TwinSettings
from gigawatt.twin.ticket import JobState
from gigawatt.twin.virtual_time import run_virtual
from gigawatt.twin.workload import Workload


@dataclass(frozen=True, slots=True)
class Outcome:
    """A replay that ended with no violation.

    Fields:
        fleet, workload, settings: its inputs.
        job_states: how many jobs ended how.
        metrics, ledger: what was measured, and where GPU-hours went.
        event_counts: lines of the event log by kind.
        fault_counts: calls that went wrong, by kind of fault.
        digest: hash of the event log.
        end_s: virtual second at which everything was released.
    """

    fleet: Fleet
    workload: Workload
    settings: TwinSettings
    job_states: Mapping[JobState, int]
    metrics: Metrics
    ledger: Ledger
    event_counts: Mapping[str, int]
    fault_counts: Mapping[str, int]
    digest: str
    end_s: float


def replay(
    fleet: Fleet,
    workload: Workload,
    settings: TwinSettings,
    *,
    stream: TextIO | None = None,
    wrap: Wrap = as_they_are,
) -> Outcome:
    """Replay a workload on a fleet; the same arguments give the same events.

    When the span of the workload is over, nothing is launched any more; what is under way ends,
    all is checked, every cluster is released, every node mended, and nothing may be left.

    Args:
        fleet: what exists.
        workload: the jobs.
        settings: seed, failures, policies.
        stream: where the event log is written as well.
        wrap: may put something between the executor and the drivers.

    Raises:
        DriftError: a check found a violation; the message names seed and time.
    """
    with open_scene(fleet, settings.rates, settings.seed, wrap) as scene:
        log = EventLog(stream)
        desk = run_virtual(scene.loop, _run(scene, workload, settings, log))
        return Outcome(
            fleet=fleet,
            workload=workload,
            settings=settings,
            job_states=Counter(ticket.state for ticket in desk.tickets),
            metrics=desk.metrics,
            ledger=desk.ledger,
            event_counts=log.counts,
            fault_counts=Counter(hit.kind.value for hit in scene.faults.hits),
            digest=log.digest,
            end_s=scene.loop.time(),
        )


async def _run(scene: Scene, workload: Workload, settings: TwinSettings, log: EventLog) -> Desk:
    try:
        async with asyncio.TaskGroup() as tasks:
            desk = Desk(scene, settings, log, tasks)
            await _act(desk, workload, tasks)
    except BaseExceptionGroup as group:
        first: BaseException = group
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        raise first from group
    return desk


async def _act(desk: Desk, workload: Workload, tasks: asyncio.TaskGroup) -> None:
    settings, span_s = desk.settings, workload.trace.span_s
    failures = node_failures(desk.scene.fleet.nodes.ids, settings.rates, settings.seed, span_s)
    rounds = Rounds(desk)
    background = [
        tasks.create_task(work) for work in (rounds.sample(), rounds.fail(failures), rounds.watch())
    ]
    await desk.take_in(workload)
    await asyncio.sleep(max(0.0, span_s - desk.now_s))
    desk.is_closing = True
    desk.log.add(desk.now_s, "closing")
    await desk.wait_for(lambda: desk.operation_count == 0)
    for task in background:
        task.cancel()
    await rounds.look(is_checking=True)
    for ticket in desk.live:
        ticket.disturbed.set()
    await desk.wait_for(lambda: desk.life_count == 0)
    await rounds.empty()
    desk.log.add(desk.now_s, "end")
