"""Blocking work that may never end, in threads that nobody waits for.

A BMC that accepts and never answers must cost its caller a bounded time, other BMCs nothing, and
must not keep the process from ending: so no shared pool of threads, and none that exit joins.
"""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import TypeVar

from gigawatt.errors import DriverRetryableError
from gigawatt.ids import DeviceId

T = TypeVar("T")
STUCK_MAX = 4
"""Calls of one device that may be overdue at once. Ours."""


class Deadline:
    """A moment after which no further request may begin."""

    def __init__(self, limit_s: float) -> None:
        """Let it be ``limit_s`` seconds from now."""
        self._at_s = monotonic() + limit_s

    def left_s(self) -> float:
        """Seconds that are left; negative when it has passed."""
        return self._at_s - monotonic()


class Bounded:
    """Runs blocking calls, each in a thread of its own, for a limited time."""

    def __init__(self) -> None:
        """Begin with nothing overdue."""
        self._overdue: Counter[DeviceId] = Counter()

    async def run(self, device: DeviceId, limit_s: float, call: Callable[[Deadline], T]) -> T:
        """What ``call`` gives, if it gives it within ``limit_s`` seconds.

        Raises:
            DriverRetryableError: it did not, or too many calls of this device are stuck. The
                call goes on unheard until its sockets time out; it begins no further request.
        """
        if self._overdue[device] >= STUCK_MAX:
            raise DriverRetryableError(f"{device}: {STUCK_MAX} calls are stuck", device=device)
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        deadline = Deadline(limit_s)

        def settle(result: T | None, error: BaseException | None) -> None:
            if answer.done():
                self._overdue[device] -= 1
            elif error is not None:
                answer.set_exception(error)
            else:
                answer.set_result(result)  # type: ignore[arg-type]

        def work() -> None:
            result, error = None, None
            try:
                result = call(deadline)
            except Exception as failure:  # noqa: BLE001 - handed to who waits
                error = failure
            with suppress(RuntimeError):  # the loop may have ended meanwhile
                # A loop that ended leaves its count behind; a driver lives in one loop.
                loop.call_soon_threadsafe(settle, result, error)

        threading.Thread(target=work, name=f"redfish {device}", daemon=True).start()
        try:
            return await asyncio.wait_for(answer, limit_s)
        except asyncio.CancelledError:
            self._overdue[device] += 1
            raise
        except TimeoutError:
            if not answer.cancelled():
                raise  # the call's own
            self._overdue[device] += 1
            raise DriverRetryableError(
                f"{device}: no answer within {limit_s:g} s",
                device=device,
                next_step="See whether the BMC answers its own web page; reset it if it does not.",
            ) from None
