"""Passes over the whole fleet, each in a thread of its own: proofs and reconciliations.

They read every device, so they outlive the request that began them. What they find is kept in
memory for those who ask; what they change is in the store, and repeating a pass is safe.
"""

import asyncio
import logging
import secrets
import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

from gigawatt.errors import GigawattError, UnknownIdError

T = TypeVar("T")

KEPT_COUNT_MAX = 20
"""Passes remembered. Ours."""

PASS_S_MAX = 600.0
"""Longest pass. Ours: reading 10,000 GPUs' devices back takes seconds."""

_log = logging.getLogger("gigawatt.passes")


@dataclass(slots=True)
class FleetPass(Generic[T]):
    """One pass.

    Fields: ``ended`` is set when ``outcome`` or ``error`` is there.
    """

    pass_id: str
    scope: str
    started_s: float
    outcome: T | None = None
    error: str = ""
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def state(self) -> Literal["running", "done", "failed"]:
        """How far it is."""
        if not self.ended.is_set():
            return "running"
        return "failed" if self.outcome is None else "done"

    async def wait(self, limit_s: float) -> None:
        """Come back when it has ended, or after ``limit_s``."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + limit_s
        # Another thread ends it, and that sets no asyncio.Event.
        while not self.ended.is_set() and loop.time() < until_s:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


class Passes(Generic[T]):
    """Passes of one kind; one of a scope runs at a time, and who asks meanwhile joins it."""

    def __init__(self, prefix: str) -> None:
        """Remember none; ids begin with ``prefix``."""
        self._prefix = prefix
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, FleetPass[T]] = OrderedDict()

    def begin(self, scope: str, now_s: float, make: Callable[[], Awaitable[T]]) -> FleetPass[T]:
        """A new pass that ``make`` carries out, or the one of this scope that runs."""
        with self._lock:
            for found in self._kept.values():
                if found.scope == scope and found.state == "running":
                    return found
            begun: FleetPass[T] = FleetPass(f"{self._prefix}_{secrets.token_hex(8)}", scope, now_s)
            self._kept[begun.pass_id] = begun
            while len(self._kept) > KEPT_COUNT_MAX:
                self._kept.popitem(last=False)
        threading.Thread(target=_carry_out, args=(begun, make), daemon=True).start()
        return begun

    def running(self, scope: str) -> FleetPass[T] | None:
        """The pass of a scope that runs now, if one does."""
        with self._lock:
            for found in self._kept.values():
                if found.scope == scope and found.state == "running":
                    return found
        return None

    def get(self, pass_id: str) -> FleetPass[T]:
        """A pass that is remembered.

        Raises:
            UnknownIdError: this server remembers none of this id.
        """
        found = self._kept.get(pass_id)
        if found is None:
            raise UnknownIdError(
                f"no pass {pass_id!r} on this server",
                next_step="Begin it again; that is safe. A server forgets passes when it stops.",
            )
        return found


def _carry_out(begun: FleetPass[T], make: Callable[[], Awaitable[T]]) -> None:
    async def bounded() -> T:
        return await asyncio.wait_for(make(), PASS_S_MAX)

    try:
        begun.outcome = asyncio.run(bounded())
    except TimeoutError:
        begun.error = f"it took longer than {PASS_S_MAX:,.0f} s"
    except (GigawattError, AssertionError) as error:
        begun.error = str(error)
        _log.exception("pass %s", begun.pass_id)
    finally:
        begun.error = begun.error or ("" if begun.outcome is not None else "it broke off")
        begun.ended.set()
