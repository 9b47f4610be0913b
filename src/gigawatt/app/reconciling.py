"""What passes of the reconciler found, kept in the trail, and what is owed to the devices now."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from gigawatt.app.control import Control
from gigawatt.errors import GigawattError
from gigawatt.executor.executor import Surroundings
from gigawatt.executor.reconcile import Reconciliation
from gigawatt.interfaces.store import OperationRecord, Tombstone

DONE, FAILED = "reconciled", "reconcile_failed"
"""Kinds of lines in the trail: a pass that came to its end, and one that did not."""

LINES_MAX = 50
"""Sentences of one kind that a line of the trail keeps; the counts are of all. Ours."""

_log = logging.getLogger("gigawatt.reconciling")


@dataclass(frozen=True, slots=True)
class Owed:
    """What is not as the records say, and waits for a device or for the next pass.

    Fields:
        stuck: operations whose undo or removal failed; all that they held stays held.
        absences: entries that shall be gone and were not yet seen gone, of operations that ended.
    """

    stuck: tuple[OperationRecord, ...]
    absences: tuple[Tombstone, ...]


def owed_now(around: Surroundings) -> Owed:
    """What is owed now; what belongs to an operation under way is left to it."""
    found = around.store.open_operations()
    under_way = {one.cluster_id for one in found if one.state != "stuck"}
    stored = around.store.snapshot(around.clock.now_s())
    return Owed(
        stuck=tuple(one for one in found if one.state == "stuck"),
        absences=tuple(one for one in stored.tombstones if one.cluster_id not in under_way),
    )


def note_pass(
    around: Surroundings, found: Reconciliation, by: str, *, was_asked_for: bool = False
) -> None:
    """Keep one line for a pass that did or left something, or that somebody asked for.

    Each difference has a line of its own; this one sums up. ``by`` is a worker or an account.
    """
    lines: dict[str, Sequence[str]] = {
        "resumed": found.resumed,
        "drift": found.drift,
        "repaired": found.repaired,
        "remaining": found.remaining,
        "silent": found.silent,
    }
    if not (was_asked_for or any(lines.values())):
        return
    counts = {what: len(said) for what, said in lines.items()}
    sentence = (
        f"differences found: {counts['drift']}, mended: {counts['repaired']},"
        f" left: {counts['remaining']}, devices silent: {counts['silent']},"
        f" operations finished: {counts['resumed']}"
    )
    shown = {what: list(said[:LINES_MAX]) for what, said in lines.items()}
    data = {**counts, "by": by, "lines": shown}
    around.store.add_event(DONE, sentence, around.clock.now_s(), data=data)
    _log.info(sentence)


async def reconcile_for(control: Control, worker: str, by: str) -> Reconciliation:
    """One pass that an account asked for, kept in the trail whatever it finds.

    Raises:
        GigawattError: it broke off.
    """
    try:
        found = await control.reconcile(worker)
    except GigawattError as error:
        note_failure(control.around, str(error), by)
        raise
    note_pass(control.around, found, by, was_asked_for=True)
    return found


def note_failure(around: Surroundings, reason: str, by: str) -> None:
    """Keep one line for a pass that broke off."""
    sentence = f"reconciling failed: {reason}"
    data = {"by": by, "reason": reason}
    around.store.add_event(FAILED, sentence, around.clock.now_s(), data=data)
