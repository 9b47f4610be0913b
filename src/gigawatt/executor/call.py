"""One driver call: bounded retries, a time limit, and an outcome instead of an exception."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from tenacity import (
    AsyncRetrying,
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
    """How a step ended; detail says why it failed, empty when done."""

    step: Step
    state: Literal["done", "failed"]
    detail: str


class Caller:
    """Calls drivers under one policy."""

    def __init__(
        self, drivers: Mapping[Plane, Driver], clock: Clock, policy: ExecutorPolicy
    ) -> None:
        """Keep what calls need; ``drivers`` has one driver per plane."""
        self._drivers = drivers
        self._policy = policy
        self._clock = clock
        self._gate = asyncio.Semaphore(policy.concurrent_call_count_max)
        self._retrying = AsyncRetrying(
            sleep=clock.sleep,
            retry=retry_if_exception_type(DriverRetryableError),
            stop=stop_after_attempt(policy.attempt_count_max - 1),
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
            try:
                await self._try_once(step, fence)
            except StaleGenerationError:
                raise
            except DriverRetryableError as error:
                if self._policy.attempt_count_max == 1:
                    return Outcome(step, "failed", str(error))
                return await self._retry(step, fence)
            except DriverError as error:
                return Outcome(step, "failed", str(error))
        return Outcome(step, "done", "")

    async def _try_once(self, step: Step, fence: Fence) -> None:
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

    async def _retry(self, step: Step, fence: Fence) -> Outcome:
        await self._clock.sleep(self._policy.backoff_s_first)
        try:
            await self._retrying.copy()(self._try_once, step, fence)
        except StaleGenerationError:
            raise
        except DriverError as error:
            return Outcome(step, "failed", str(error))
        return Outcome(step, "done", "")
