"""Where GPU-hours go: every GPU that a job's cluster holds is in exactly one phase at a time."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from gigawatt.units import HOUR_S


class HoldPhase(StrEnum):
    """What a held GPU is held for."""

    LAUNCH = "launch"
    """From commit to hand-over, or to the end of the unwinding."""
    RUN = "run"
    """The job runs; what a failure makes it repeat is moved to LOST."""
    LOST = "lost"
    """Work since the last checkpoint before a failure."""
    REPLACE = "replace"
    """The job waits for a failed node to be replaced."""
    RELEASE = "release"
    """From the end of the job to clean, free nodes."""


class _Open(NamedTuple):
    phase: HoldPhase
    gpu_count: int
    since_s: float


@dataclass(frozen=True, slots=True)
class Point:
    """GPUs held from ``at_s`` on."""

    at_s: float
    gpu_count: int


class Ledger:
    """Books GPU-seconds by phase, and the total on a second way.

    Attributes:
        gpu_s: GPU-seconds by phase, of what was closed so far.
        held_gpu_s: GPU-seconds of all held GPUs, summed from the steps of ``points``.
        points: how many GPUs were held when, at every change.
    """

    def __init__(self) -> None:
        """Start with nothing held at second 0."""
        self.gpu_s: dict[HoldPhase, float] = dict.fromkeys(HoldPhase, 0.0)
        self.held_gpu_s = 0.0
        self.points: list[Point] = [Point(0.0, 0)]
        self._open: dict[int, _Open] = {}

    def enter(self, holder: int, phase: HoldPhase, gpu_count: int, now_s: float) -> None:
        """A holder (its number) has ``gpu_count`` GPUs in ``phase`` from now on."""
        self._close(holder, now_s)
        self._open[holder] = _Open(phase, gpu_count, now_s)
        self._step(now_s)

    def leave(self, holder: int, now_s: float) -> None:
        """A holder has nothing from now on."""
        self._close(holder, now_s)
        self._step(now_s)

    def lose(self, gpu_count: int, duration_s: float) -> None:
        """Move work that must be repeated from RUN to LOST."""
        self.gpu_s[HoldPhase.RUN] -= gpu_count * duration_s
        self.gpu_s[HoldPhase.LOST] += gpu_count * duration_s

    @property
    def gpu_count(self) -> int:
        """GPUs held now."""
        return self.points[-1].gpu_count

    def gpu_hours(self) -> dict[str, float]:
        """GPU-hours by phase."""
        return {phase.value: self.gpu_s[phase] / HOUR_S for phase in HoldPhase}

    def _close(self, holder: int, now_s: float) -> None:
        row = self._open.pop(holder, None)
        if row is not None:
            self.gpu_s[row.phase] += row.gpu_count * (now_s - row.since_s)

    def _step(self, now_s: float) -> None:
        last = self.points[-1]
        self.held_gpu_s += last.gpu_count * (now_s - last.at_s)
        held = sum(row.gpu_count for row in self._open.values())
        self.points.append(Point(now_s, held))
