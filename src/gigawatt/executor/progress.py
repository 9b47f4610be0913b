"""Progress of an operation, told while it happens, and what happened, told afterwards."""

from collections.abc import Callable
from dataclasses import dataclass

from gigawatt.boundary.proof import Proof
from gigawatt.executor.call import Outcome
from gigawatt.executor.drift import FleetDrift
from gigawatt.ids import OperationId
from gigawatt.interfaces.store import OperationRecord
from gigawatt.planner.plan import Plan


@dataclass(frozen=True, slots=True)
class Progress:
    """Where an operation is: ``done_count`` of ``step_count`` steps of a stage, by plane.

    ``planes`` maps a plane's name to (done, total).
    """

    operation_id: OperationId
    stage: str
    planes: dict[str, tuple[int, int]]

    @property
    def done_count(self) -> int:
        """Steps done in the stage."""
        return sum(done for done, _ in self.planes.values())

    @property
    def step_count(self) -> int:
        """Steps of the stage."""
        return sum(total for _, total in self.planes.values())


Listener = Callable[[Progress], None]


def ignore(_progress: Progress) -> None:
    """A listener that wants to know nothing."""


@dataclass(frozen=True, slots=True)
class StageRun:
    """One run of one stage by one worker; ``number`` counts the worker's runs of the operation."""

    operation: OperationRecord
    name: str
    number: int
    began_s: float


@dataclass(frozen=True, slots=True)
class Span:
    """From when to when something took, in Unix seconds of the clock that it ran by."""

    began_s: float
    ended_s: float

    @property
    def duration_s(self) -> float:
        """How long, >= 0 also when the clock was set back meanwhile."""
        return max(0.0, self.ended_s - self.began_s)


class Watch:
    """Told what happens, from planning to the last device call; this one does nothing.

    It is told afterwards and decides nothing: whoever derives from it may count, trace or log, and
    must not raise.
    """

    def planned(self, plan: Plan, span: Span) -> None:
        """A plan was made."""

    def checked(self, plan: Plan, note_count: int, span: Span) -> None:
        """A plan was checked independently; with no note it may be committed."""

    def committed(self, operation: OperationRecord, span: Span) -> None:
        """A plan was committed, and its operation opened."""

    def operation_began(self, operation: OperationRecord) -> None:
        """A worker took an operation over, at the generation that is the operation's now."""

    def operation_ended(self, operation: OperationRecord, state: str, span: Span) -> None:
        """A worker is through with an operation as it took it over.

        ``state`` is how it ended, or "left" if another worker has to carry on.
        """

    def stage_ended(self, run: StageRun, failed_count: int, ended_s: float) -> None:
        """A stage was called, and read back if it had to be."""

    def call_ended(self, run: StageRun | None, outcome: Outcome) -> None:
        """A step was called on its device, with all its tries; outside of stages in a repair."""

    def drifted(self, drift: FleetDrift) -> None:
        """The reconciler read all devices and compared."""

    def proved(self, proof: Proof) -> None:
        """Isolation of the whole fleet was proven, or not."""


UNWATCHED = Watch()
