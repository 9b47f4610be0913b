"""One driver call: bounded retries, a time limit, and an outcome instead of an exception."""

import asyncio
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    stop_after_attempt,
    wait_exponential,
)

from gigawatt.boundary.plane import Plane
from gigawatt.errors import DriverError, DriverRetryableError, StaleGenerationError
from gigawatt.executor.policy import ExecutorPolicy
from gigawatt.interfaces.clock import Clock
from gigawatt.interfaces.driver import Driver, Fence
from gigawatt.planner.plan import Step


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a step ended.

    Fields:
        detail: why it failed, empty when done.
        began_s, ended_s: Unix seconds, with all tries and the waits between them.
        errors: class of the error of each try that failed; one try more than these was made
            when the step is done.
    """

    step: Step
    state: Literal["done", "failed"]
    detail: str
    began_s: float = 0.0
    ended_s: float = 0.0
    errors: tuple[str, ...] = ()


class Caller:
    """Calls drivers under one policy."""

    def __init__(
        self,
        drivers: Mapping[Plane, Driver],
        clock: Clock,
        policy: ExecutorPolicy,
        tries_s_max: float = math.inf,
    ) -> None:
        """Keep what calls need.

        Args:
            drivers: one driver per plane.
            clock: by it calls wait.
            policy: how patient calls are.
            tries_s_max: no further try of a call begins later than this after its first.
        """
        self._tries_s_max = tries_s_max
        self._drivers = drivers
        self._policy = policy
        self._clock = clock
        self._gate = asyncio.Semaphore(policy.concurrent_call_count_max)
        self._stop = stop_after_attempt(policy.attempt_count_max - 1)
        self._retrying = AsyncRetrying(
            sleep=clock.sleep,
            retry=retry_if_exception_type(DriverRetryableError),
            stop=self._stop,
            wait=wait_exponential(
                multiplier=2 * policy.backoff_s_first, max=policy.backoff_s_max, exp_base=2
            ),
            reraise=True,
        )

    async def call(self, step: Step, fence: Fence) -> Outcome:
        """Run a step to its outcome.

        Raises:
            StaleGenerationError: another worker is ahead; nothing more may be tried.
        """
        async with self._gate:
            began_s, errors = self._clock.now_s(), list[str]()
            detail = await self._try_often(step, fence, errors)
            state: Literal["done", "failed"] = "done" if detail is None else "failed"
            return Outcome(step, state, detail or "", began_s, self._clock.now_s(), tuple(errors))

    async def _try_often(self, step: Step, fence: Fence, errors: list[str]) -> str | None:
        """Why a step failed for good, None when it is done; errors of tries are noted."""
        until_s = self._clock.now_s() + self._tries_s_max
        try:
            await self._try_once(step, fence, errors)
        except StaleGenerationError:
            raise
        except DriverRetryableError as error:
            if self._policy.attempt_count_max == 1 or self._clock.now_s() >= until_s:
                return str(error)
            return await self._retry(step, fence, errors, until_s)
        except DriverError as error:
            return str(error)
        return None

    async def _try_once(self, step: Step, fence: Fence, errors: list[str]) -> None:
        try:
            await self._act(step, fence)
        except DriverError as error:
            errors.append(type(error).__name__)
            raise

    async def _act(self, step: Step, fence: Fence) -> None:
        driver = self._drivers[step.plane]
        act = driver.ensure if step.action == "ensure" else driver.remove
        try:
            async with asyncio.timeout(self._policy.call_timeout_s):
                await act(step.device, step.entries, fence)
        except TimeoutError as error:
            raise DriverRetryableError(
                f"{step.device} did not answer within {self._policy.call_timeout_s:g} s",
                device=step.device,
                step=step.key,
            ) from error

    async def _retry(
        self, step: Step, fence: Fence, errors: list[str], until_s: float
    ) -> str | None:
        def is_enough(state: RetryCallState) -> bool:
            return self._stop(state) or self._clock.now_s() >= until_s

        await self._clock.sleep(self._policy.backoff_s_first)
        retrying = self._retrying.copy(stop=is_enough)
        try:
            await retrying(self._try_once, step, fence, errors)
        except StaleGenerationError:
            raise
        except DriverError as error:
            return str(error)
        return None
