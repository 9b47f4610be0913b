"""One job on its way through a replay."""

import asyncio
from dataclasses import dataclass, field
from enum import StrEnum

from gigawatt.ids import ClusterId, NodeId
from gigawatt.intent.request import ClusterRequest
from gigawatt.twin.traces import Job


class JobState(StrEnum):
    """Where a job is. At the end of a replay it is in one of the last five."""

    LAUNCHING = "launching"
    RUNNING = "running"
    RELEASING = "releasing"
    DONE = "done"
    """Ran as long as the trace says."""
    CUT = "cut"
    """Ran when the replay ended."""
    WAITING = "waiting"
    """Had no cluster when the replay ended."""
    FAILED = "failed"
    """Its launch was unwound too often."""
    REFUSED = "refused"
    """Can never fit this fleet."""


@dataclass(slots=True, eq=False)
class Ticket:
    """One job and what became of it.

    Fields:
        number: of the job in the trace, from 0.
        job, request: what the trace says and what is asked for.
        is_carried: the job was running when the window opened.
        state: see ``JobState``.
        done_s: how long it ran so far, up to the last checkpoint that counts.
        launch_count: launches that were unwound.
        committed_s: second of the newest commit.
        was_served: whether a cluster was handed over before.
        cluster_id: the newest cluster, empty before the first.
        gpu_held_count: GPUs that the cluster holds, spares included.
        nodes: members and spares of a live cluster.
        dead_nodes: those of them that broke and are not replaced yet.
        disturbed: set when a member broke or the replay closes.
    """

    number: int
    job: Job
    request: ClusterRequest
    is_carried: bool
    cluster_id: ClusterId
    state: JobState = JobState.WAITING
    done_s: float = 0.0
    launch_count: int = 0
    committed_s: float = 0.0
    was_served: bool = False
    gpu_held_count: int = 0
    nodes: frozenset[NodeId] = frozenset()
    dead_nodes: set[NodeId] = field(default_factory=set)
    disturbed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def gpu_count(self) -> int:
        """GPUs wanted."""
        return self.job.gpu_count

    @property
    def order(self) -> tuple[float, int]:
        """When it was submitted, and its number."""
        return self.job.submit_s, self.number

    @property
    def left_s(self) -> float:
        """How long it still has to run."""
        return max(0.0, self.job.duration_s - self.done_s)

    def keep(self, ran_s: float, checkpoint_s: float) -> float:
        """Count ``ran_s`` more up to the last checkpoint; the seconds that are lost."""
        reached_s = self.done_s + ran_s
        self.done_s = reached_s // checkpoint_s * checkpoint_s
        return reached_s - self.done_s
