"""Where computations of the economics wait and run: few at once, each in a process with an end.

A computation is a function of values. It runs in a process of its own that is killed when its time
is up or its caller has left, so that no request can hold the server, whatever it asks for.
Everything here belongs to one event loop. ADR-0031.
"""

import os
import resource
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TypeVar

import anyio
from anyio import BrokenWorkerProcess, CapacityLimiter, to_process

from gigawatt.errors import InputError, RateError
from gigawatt.units import GIB

T = TypeVar("T")

WORKER_COUNT = 2
PLACE_COUNT = 8
PLACE_COUNT_PER_CALLER = 2
DEADLINE_S = 20.0
START_S = 20.0
"""A new process reads its libraries, which is not the caller's time."""
MEMORY_BYTES_MAX = 4 * GIB
"""Address space of a process. 10,000 cases took 0.26 GB; numpy reserves more with each core."""
NICENESS = 10
"""Whoever computes gives way to whoever serves. All ours."""
ASK_FOR_LESS = "Ask for less: fewer cases, rows, months or GPUs."


@dataclass(slots=True)
class EconomicsDesk:
    """A counter with few places.

    Fields: worker_count, computations at once; place_count, those that run or wait, in all, and
    place_count_per_caller of one caller; deadline_s, seconds that one may run.
    """

    worker_count: int = WORKER_COUNT
    place_count: int = PLACE_COUNT
    place_count_per_caller: int = PLACE_COUNT_PER_CALLER
    deadline_s: float = DEADLINE_S
    _held: Counter[str] = field(default_factory=Counter)
    _limiter: CapacityLimiter | None = None

    async def compute(self, caller: str, work: Callable[..., T], *values: object) -> T:
        """What ``work`` gives for these values, computed in another process.

        Args:
            caller: who asks; has few of the places.
            work: a function of a module; it and its values are sent to the process.
            values: what it is called with.

        Raises:
            RateError: all places, or all of the caller's, are taken.
            InputError: it ran for too long or asked for too much memory, or ``work`` raised it.
        """
        with self._place(caller):
            async with self._workers():
                return await self._run(work, *values)

    @contextmanager
    def _place(self, caller: str) -> Iterator[None]:
        mine, whole = self._held[caller], self._held.total()
        if mine >= self.place_count_per_caller or whole >= self.place_count:
            whose = "your" if mine >= self.place_count_per_caller else "all"
            raise RateError(
                f"{whose} {mine if whose == 'your' else whole} computations are still under way",
                retry_after_s=self.deadline_s / 4.0,
            )
        self._held[caller] += 1
        try:
            yield
        finally:
            self._held[caller] -= 1
            if not self._held[caller]:
                del self._held[caller]

    def _workers(self) -> CapacityLimiter:
        """Made at first use, because a limiter belongs to the loop it is made in."""
        if self._limiter is None:
            self._limiter = CapacityLimiter(self.worker_count)
        return self._limiter

    async def _run(self, work: Callable[..., T], *values: object) -> T:
        free = CapacityLimiter(self.worker_count)
        try:
            with anyio.fail_after(START_S):
                await to_process.run_sync(_prepare, cancellable=True, limiter=free)
        except (TimeoutError, BrokenWorkerProcess) as error:
            raise RateError(
                "no process for the computation could be started", retry_after_s=self.deadline_s
            ) from error
        try:
            with anyio.fail_after(self.deadline_s):
                return await to_process.run_sync(work, *values, cancellable=True, limiter=free)
        except TimeoutError:
            raise InputError(
                f"the computation was stopped after {self.deadline_s:g} s", next_step=ASK_FOR_LESS
            ) from None
        except (MemoryError, BrokenWorkerProcess) as error:
            raise InputError(
                "the computation asked for more memory than it may have", next_step=ASK_FOR_LESS
            ) from error


def _prepare() -> None:
    """Bound this process once, and read the libraries that computations need."""
    limits = resource.getrlimit(resource.RLIMIT_AS)
    if limits[0] == MEMORY_BYTES_MAX:
        return
    from gigawatt.app import economics_answers  # noqa: PLC0415 - only a computing process pays

    assert economics_answers.__name__
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES_MAX, limits[1]))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(NICENESS)
