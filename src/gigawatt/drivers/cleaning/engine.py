"""Runs the steps of a cleaning in order and keeps a receipt, whatever happens on the way.

Fails closed: the first step that does not pass ends the cleaning, is in the receipt with its
reason, and raises ``DriverPermanentError``, at which the executor quarantines the node. Steps after
it are not run and not in the receipt. A cleaning that is run again begins anew.
"""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from gigawatt.errors import DriverError, DriverPermanentError
from gigawatt.ids import ClusterId, DeviceId, NodeId
from gigawatt.interfaces.clock import Clock
from gigawatt.interfaces.receipts import CleaningReceipt, CleaningStep, Receipts

DETAIL_LENGTH_MAX = 1000
"""Characters of a step's detail that are kept. Ours."""

_log = logging.getLogger(__name__)


class StepFailedError(Exception):
    """A step was carried out and found something wrong; the message is the receipt's detail."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step.

    Fields:
        name: in the words of the procedure, e.g. "sanitise disk".
        time_s_max: it counts as failed after this many seconds, > 0.
        act: does it; returns what was measured, raises ``StepFailedError`` or a ``DriverError``.
    """

    name: str
    time_s_max: float
    act: Callable[[], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class Slice:
    """What is cleaned: GPUs of a node, and whose tenant ran on them."""

    node_id: NodeId
    gpu_mask: int
    cluster_id: ClusterId

    @property
    def device(self) -> DeviceId:
        """The host."""
        return DeviceId(f"host/{self.node_id}")


async def clean(
    subject: Slice, steps: Sequence[Step], clock: Clock, receipts: Receipts
) -> CleaningReceipt:
    """Run ``steps`` in order up to the first that does not pass; the receipt, which is kept.

    Raises:
        DriverPermanentError: a step did not pass; names it and the receipt.
    """
    assert steps, "a cleaning without steps cleans nothing"
    receipt_id = f"rcp_{secrets.token_hex(13)}"
    done: list[CleaningStep] = []
    try:
        for step in steps:
            done.append(await _run(step, clock))
            if not done[-1].is_passed:
                break
    except asyncio.CancelledError:
        now_s, name = clock.now_s(), steps[len(done)].name
        broken_off = "broken off by who asked for it"
        done.append(CleaningStep(name, now_s, now_s, is_passed=False, detail=broken_off))
        raise
    finally:
        receipt = CleaningReceipt(
            receipt_id, subject.node_id, subject.gpu_mask, subject.cluster_id, tuple(done)
        )
        await asyncio.shield(asyncio.to_thread(receipts.keep, receipt))
    if not receipt.is_passed:
        failed = done[-1]
        raise DriverPermanentError(
            f"{subject.device} is not clean: step '{failed.name}' did not pass: {failed.detail}",
            device=subject.device,
            next_step=f"See receipt {receipt_id} ('gw node receipts {subject.node_id}'), mend the"
            " node, then 'gw reconcile' cleans it again.",
        )
    return receipt


async def _run(step: Step, clock: Clock) -> CleaningStep:
    began_s = clock.now_s()
    is_passed = False
    try:
        async with asyncio.timeout(step.time_s_max):
            detail = await step.act()
        is_passed = True
    except TimeoutError:
        detail = f"not done within {step.time_s_max:g} s"
    except (StepFailedError, DriverError) as error:
        detail = str(error)
    except Exception as error:  # noqa: BLE001 - said in the receipt, and the node is not given on
        _log.exception("step %s of a cleaning failed", step.name)
        detail = f"{type(error).__name__}: {error}"
    return CleaningStep(step.name, began_s, clock.now_s(), is_passed, detail[:DETAIL_LENGTH_MAX])
