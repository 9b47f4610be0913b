"""What replicas of the service that share one store must be able to tell each other.

A worker lives while its beat rises. Whoever looks measures on a clock of its own that only goes
forward how long a beat stood still; no moment of one machine is compared with another's, so a
wrong clock makes nobody dead (ADR-0030). Fences, not beats, keep out who was wrongly given up.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from gigawatt.ids import OperationId


@dataclass(frozen=True, slots=True)
class Hold:
    """One open operation and who carries it on.

    Fields:
        operation_id: the operation; it is not stuck.
        worker: who took it over last and has not let go; None if nobody has.
        generation: its fence.
        expires_s: what the worker wrote when it renewed its lease last; None without a worker.
        is_begun: a worker has had it already.
    """

    operation_id: OperationId
    worker: str | None
    generation: int
    expires_s: float | None
    is_begun: bool


@dataclass(frozen=True, slots=True)
class Duty:
    """What one replica at a time does again and again.

    Fields: worker is who does it now, None for nobody; done_s is when it ended last or, before its
    first time, when it was first asked for; Unix seconds.
    """

    worker: str | None
    done_s: float | None


class Replicas(Protocol):
    """What replicas know of each other. Every method is one transaction, as in ``Store``."""

    def beat(self, worker: str, now_s: float) -> Mapping[str, int]:
        """Say that a worker lives; the beats of all workers."""
        ...

    def holds(self) -> tuple[Hold, ...]:
        """Open operations that are not stuck, oldest first."""
        ...

    def end_hold(self, hold: Hold) -> bool:
        """Take an operation from a worker without a heartbeat; False if it has changed since."""
        ...

    def give_up(self, worker: str, beat: int) -> int:
        """Forget a worker that is lost and free all that it holds; how many operations.

        Nothing happens if it has beaten since ``beat``.
        """
        ...

    def leave(self, worker: str) -> int:
        """A worker stops: forget it and let go of all that it holds; how many there were."""
        ...

    def claim(
        self, duty: str, worker: str, period_s: float, now_s: float, is_lost: Callable[[str], bool]
    ) -> bool:
        """Whether a worker shall do now what one at a time does every ``period_s``."""
        ...

    def end_duty(self, duty: str, worker: str, now_s: float) -> None:
        """A worker has done its duty."""
        ...

    def duty(self, duty: str) -> Duty | None:
        """How a duty stands; None if nobody ever asked for it."""
        ...
