"""The queue of jobs that wait for room: one line in order of submission.

Who may pass whom is the service's own rule, ``intent.queue.Passage``; the patience of a job runs
from its submission.
"""

from bisect import insort
from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

from gigawatt.intent.queue import Passage, QueuePolicy


class Waiting(Protocol):
    """What can wait: a number of GPUs, and a place in the order of submission."""

    @property
    def gpu_count(self) -> int:
        """GPUs wanted."""
        ...

    @property
    def order(self) -> tuple[float, int]:
        """When it was submitted, and its number among all."""
        ...


W = TypeVar("W", bound=Waiting)


ANYWHERE = frozenset({"anywhere"})
"""The one place of a fleet of one type."""


class JobQueue(Generic[W]):
    """Jobs that wait, in order, and what is known not to fit.

    Room only shrinks until something is given back, and a job that asks for more never fits where
    one that asks for less does not (sizes are slices of 1, 2, 4 or multiples of 8 GPUs without
    further wishes). So one refusal answers for every job of at least that size until ``reopen``.
    """

    def __init__(self, policy: QueuePolicy) -> None:
        """Start empty."""
        self.policy = policy
        self._waiting: list[tuple[tuple[float, int], W]] = []
        self._refused_gpu_count: int | None = None

    def __len__(self) -> int:
        """Jobs that wait."""
        return len(self._waiting)

    def __iter__(self) -> Iterator[W]:
        """Jobs that wait, in order."""
        return (job for _, job in self._waiting)

    @property
    def gpu_count(self) -> int:
        """GPUs that all waiting jobs ask for."""
        return sum(job.gpu_count for _, job in self._waiting)

    def push(self, job: W) -> None:
        """Let a job wait, at its place by time of submission."""
        insort(self._waiting, (job.order, job), key=lambda pair: pair[0])

    def remove(self, job: W) -> None:
        """Take a job out that got its room."""
        self._waiting.remove((job.order, job))

    def refuse(self, job: W) -> None:
        """Remember that a job of this size does not fit now."""
        known = self._refused_gpu_count
        self._refused_gpu_count = job.gpu_count if known is None else min(known, job.gpu_count)

    def reopen(self) -> None:
        """Forget refusals: something was given back."""
        self._refused_gpu_count = None

    def candidates(self, now_s: float) -> Iterator[W]:
        """Jobs worth a try at ``now_s``, in order; call ``remove`` or ``refuse`` on each."""
        passage = Passage(self.policy, now_s)
        for _, job in list(self._waiting):
            if not self.is_hopeless(job):
                yield job
                if self.is_hopeless(job):
                    passage.count_refusal()
            if self.is_hopeless(job):
                passage.leave(ANYWHERE, job.order[0])
            if passage.is_over() or passage.is_closed(ANYWHERE):
                return

    def is_hopeless(self, job: W) -> bool:
        """Whether a job of this size, or a smaller one, was refused since the last ``reopen``."""
        return self._refused_gpu_count is not None and job.gpu_count >= self._refused_gpu_count
