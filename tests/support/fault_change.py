"""Something breaks while tenant B's cluster comes or goes, and is mended; what came of it.

All the while ``LabWatch`` looks on every plane, past our drivers, whether B reaches A. In the end
the components' own tools show nothing of B, and A as it was.
"""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from itertools import count
from pathlib import Path
from time import monotonic

from fault_lab import A_NODES, B_NODES, ENDED, GONE, FaultLab
from lab_watch import OTHERS, LabWatch, leave_mark, proxies

from gigawatt.boundary.plane import Plane
from gigawatt.lab.audit_scene import Leftover
from gigawatt.sdk import documents as doc

BROKEN_S_MAX = 8.0
TABLE_VARIABLE = "GIGAWATT_FAULTS_TABLE"
"""File to which what was seen is written, a line of JSON for each case."""
HOLD, CLOSE, BOOT, STOP, ISOLATE = (
    "hold the hosts",
    "close the planes",
    "boot the hosts",
    "stop the hosts",
    "isolate on the planes",
)
RECONCILED_MAX, RECONCILED_S = 6, 60.0
"""Passes of the reconciler that a change may need; more while this has not gone by, for a pass that
is refused ends in a second, and a standby takes over when it has asked in vain for long enough."""

Act = Callable[[FaultLab], None]


@dataclass(frozen=True)
class Fault:
    """Something that breaks.

    Fields:
        after: stages, of the create and of the release, after whose end it breaks.
        may_lead_to: states of the cluster that a create may end in.
        broken_s_max: it is mended after this time, or when the operation has ended.
    """

    name: str
    break_it: Act
    mend: Act
    after: tuple[str, str] = (HOLD, STOP)
    may_lead_to: frozenset[str] = frozenset({"active", "failed"})
    nodes: tuple[int, ...] = B_NODES
    spare_count: int = 0
    broken_s_max: float = BROKEN_S_MAX


def nothing(_: FaultLab) -> None:
    """Gigawatt itself mends it, or the next pass of its reconciler."""


@dataclass
class Seen:
    """What a change came to."""

    fault: str
    change: str
    outcome: str = ""
    cause: str = ""
    broken_s: float = 0.0
    took_s: float = 0.0
    passes: int = 0
    samples: dict[str, int] = field(default_factory=dict)
    leaks: int = 0
    load: float = 0.0


@contextmanager
def standing(path: Path) -> Iterator[FaultLab]:
    """A lab in which A's cluster stands, and nothing else."""
    lab = FaultLab(path)
    try:
        made = lab.a.create_cluster(lab.request("a", lab.a_project, A_NODES))
        lab.until(lambda: lab.operation(made.id).state in ENDED, "A's cluster")
        a = lab.a.get_cluster(made.id)
        assert a.state == "active", a.state_reason
        assert a.status is not None
        lab.a_id, lab.a_vni = a.id, a.status.keys.vni
        (lab.a_proxy,) = proxies()
        leave_mark(A_NODES[0])
        lab.a_alone = lab.audit()
        yield lab
    finally:
        lab.close()


def leftovers(lab: FaultLab) -> list[Leftover]:
    """Everything of anybody but A that the components' own tools show, and what A has lost."""
    now = lab.audit()
    # Hosts that run write files all the time.
    own = {lab.node_id(row) for row in A_NODES}
    come = {x for x in now - lab.a_alone if not any(name in x.where for name in own)}
    gone = {x for x in lab.a_alone - now if x.plane != Plane.HOST}
    return sorted(come | gone)


class Change:
    """A create or a release of B's cluster that something breaks into."""

    def __init__(self, lab: FaultLab, fault: Fault, watch: LabWatch, change: str) -> None:
        self._lab, self._fault, self._watch = lab, fault, watch
        self.seen = Seen(fault.name, change, load=os.getloadavg()[0])

    def run(self, cluster_id: str, after: str) -> doc.Cluster:
        """Break it after a stage, mend it, and carry the change to its end."""
        lab, began_s = self._lab, monotonic()
        self._until_after(cluster_id, after)
        broken_s = monotonic()
        self._fault.break_it(lab)
        self._wait_broken(cluster_id, broken_s + self._fault.broken_s_max)
        self.seen.broken_s = round(monotonic() - broken_s, 1)
        self._fault.mend(lab)
        cluster = self._carried_on(cluster_id)
        mended_s = monotonic()
        lab.until(lambda: not self._watch.unseen(mended_s), lambda: self._watch.unseen(mended_s))
        self.seen.took_s = round(mended_s - began_s, 1)
        self.seen.outcome = cluster.state
        self.seen.samples = {
            verdict: sum(n for (_, v), n in self._watch.count(began_s).items() if v == verdict)
            for verdict in ("apart", "inside", "silent")
        }
        self.seen.leaks = len(self._watch.leaks)
        note(self.seen)
        assert self._watch.leaks == []
        assert self._watch.errors == []
        return cluster

    def _until_after(self, cluster_id: str, stage: str) -> None:
        """Follow the operation until the stage has ended, or the operation has."""

        def is_past() -> bool:
            operation = self._lab.operation(cluster_id)
            stages = [s for s in operation.stages or [] if s.name == stage]
            return operation.state in ENDED or all(s.done_count == s.step_count for s in stages)

        self._lab.until(is_past, f"the end of '{stage}'")

    def _wait_broken(self, cluster_id: str, until_s: float) -> None:
        """Until the operation has ended, or that long."""

        def is_over() -> bool:
            if self._lab.lab.programs["control"].poll() is not None:
                return True
            is_ended = self._lab.operation(cluster_id).state in ENDED
            return is_ended or monotonic() > until_s

        self._lab.until(is_over, "the operation")

    def _carried_on(self, cluster_id: str) -> doc.Cluster:
        """As an operator would: wait; where it is stuck, let the reconciler pass."""
        lab = self._lab
        until_s, passes = monotonic() + RECONCILED_S, count()
        while next(passes) < RECONCILED_MAX or monotonic() < until_s:
            lab.until(lambda: lab.operation(cluster_id).state in ENDED, "the operation to end")
            self._note_cause(lab.operation(cluster_id))
            cluster = lab.operator.get_cluster(cluster_id)
            if cluster.state in {"active", *GONE}:
                return cluster
            self.seen.passes += 1
            lab.reconciled()
        raise AssertionError(
            f"still {cluster.state}: {cluster.state_reason}; {lab.operation(cluster_id)}"
        )

    def _note_cause(self, operation: doc.Operation) -> None:
        failure = operation.failure
        causes = [step.cause for step in failure.steps] if failure else []
        self.seen.cause = self.seen.cause or next(iter(causes), "") or operation.state_reason


def note(seen: Seen) -> None:
    """Keep what was seen, where somebody asked for it."""
    path = os.environ.get(TABLE_VARIABLE)
    if path:
        with Path(path).open("a") as file:
            file.write(json.dumps(asdict(seen)) + "\n")


def fit_again(lab: FaultLab, rows: tuple[int, ...]) -> None:
    """Nodes that were taken out of service come back as an operator brings them back."""
    nodes = [lab.operator.get_node(lab.node_id(row)) for row in rows]
    out = [node.id for node in nodes if node.state == "quarantined"]
    if out:
        lab.reconciled()
    for node_id in out:
        lab.operator.return_node(node_id, "mended")


def create(lab: FaultLab, fault: Fault) -> str:
    return lab.b.create_cluster(lab.request("b", lab.b_project, fault.nodes, fault.spare_count)).id


def breaks_in_the_middle(lab: FaultLab, fault: Fault) -> None:
    """The whole life of a cluster of B's, with the fault in its create and in its release."""
    others = (*OTHERS, *(row for row in fault.nodes if row not in OTHERS))
    with LabWatch(lab, a_proxy=lab.a_proxy, others=others) as watch:
        cluster_id = create(lab, fault)
        change = Change(lab, fault, watch, "create")
        cluster = change.run(cluster_id, fault.after[0])
        assert cluster.state in fault.may_lead_to, cluster.state_reason
        if cluster.state == "failed":
            assert change.seen.cause
            assert leftovers(lab) == []
            fit_again(lab, fault.nodes)
            cluster_id = create(lab, fault)
            lab.until(lambda: lab.operation(cluster_id).state in ENDED, "a create in peace")
            cluster = lab.operator.get_cluster(cluster_id)
        assert cluster.state == "active", cluster.state_reason
        lab.b.release_cluster(cluster_id)
        cluster = Change(lab, fault, watch, "release").run(cluster_id, fault.after[1])
        assert cluster.state == "released"
    fit_again(lab, fault.nodes)
    assert leftovers(lab) == []
    assert lab.operator.get_cluster(lab.a_id).state == "active"
