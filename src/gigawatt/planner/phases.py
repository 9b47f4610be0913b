"""The life of a cluster: one table of transitions, from which the picture is made too.

No other code decides which phase follows which.
"""

from enum import StrEnum

from gigawatt.planner.plan import OperationKind


class Phase(StrEnum):
    """Phase of a cluster as its tenant sees it."""

    LAUNCHING = "launching"
    """Nodes and keys are reserved; planes are closing; nothing of the tenant runs."""
    ACTIVE = "active"
    """Verified on all planes; the tenant has it."""
    CHANGING = "changing"
    """Active, and growing, shrinking, replacing a node or being configured."""
    RELEASING = "releasing"
    """Being isolated, cleaned and given back; the tenant has lost it."""
    RELEASED = "released"
    """Gone; every device was observed without it."""
    UNWINDING = "unwinding"
    """A launch failed; what it did is being undone."""
    FAILED = "failed"
    """A launch failed and was undone completely."""
    STUCK = "stuck"
    """An undo or a removal failed; nodes stay held until the reconciler is done."""


TRANSITIONS: tuple[tuple[Phase | None, str, Phase], ...] = (
    (None, "launch committed", Phase.LAUNCHING),
    (Phase.LAUNCHING, "launch done", Phase.ACTIVE),
    (Phase.LAUNCHING, "launch failed", Phase.UNWINDING),
    (Phase.UNWINDING, "launch unwound", Phase.FAILED),
    (Phase.UNWINDING, "launch stuck", Phase.STUCK),
    (Phase.ACTIVE, "grow committed", Phase.CHANGING),
    (Phase.ACTIVE, "shrink committed", Phase.CHANGING),
    (Phase.ACTIVE, "replace committed", Phase.CHANGING),
    (Phase.ACTIVE, "configure committed", Phase.CHANGING),
    (Phase.CHANGING, "grow done", Phase.ACTIVE),
    (Phase.CHANGING, "shrink done", Phase.ACTIVE),
    (Phase.CHANGING, "replace done", Phase.ACTIVE),
    (Phase.CHANGING, "configure done", Phase.ACTIVE),
    (Phase.CHANGING, "grow failed", Phase.CHANGING),
    (Phase.CHANGING, "replace failed", Phase.CHANGING),
    (Phase.CHANGING, "configure failed", Phase.CHANGING),
    (Phase.CHANGING, "grow unwound", Phase.ACTIVE),
    (Phase.CHANGING, "replace unwound", Phase.ACTIVE),
    (Phase.CHANGING, "configure unwound", Phase.ACTIVE),
    (Phase.CHANGING, "grow stuck", Phase.CHANGING),
    (Phase.CHANGING, "shrink stuck", Phase.CHANGING),
    (Phase.CHANGING, "replace stuck", Phase.CHANGING),
    (Phase.CHANGING, "configure stuck", Phase.CHANGING),
    (Phase.ACTIVE, "release committed", Phase.RELEASING),
    (Phase.RELEASING, "release done", Phase.RELEASED),
    (Phase.RELEASING, "release stuck", Phase.STUCK),
    (Phase.STUCK, "launch unwound", Phase.FAILED),
    (Phase.STUCK, "launch stuck", Phase.STUCK),
    (Phase.STUCK, "release done", Phase.RELEASED),
    (Phase.STUCK, "release stuck", Phase.STUCK),
)

_TABLE = {(source, event): target for source, event, target in TRANSITIONS}

ENDED = frozenset({Phase.RELEASED, Phase.FAILED})


def next_phase(phase: Phase | None, kind: OperationKind, event: str) -> Phase | None:
    """Phase after ``event`` ("committed", "done", "failed", "unwound", "stuck"), None if barred."""
    return _TABLE.get((phase, f"{kind.value} {event}"))


def mermaid() -> str:
    """The table as a Mermaid state diagram; ``docs/phases.md`` is made from it."""
    lines = ["stateDiagram-v2"]
    for source, event, target in TRANSITIONS:
        left = "[*]" if source is None else source.value
        lines.append(f"    {left} --> {target.value}: {event}")
    lines.extend(f"    {phase.value} --> [*]" for phase in Phase if phase in ENDED)
    return "\n".join(lines) + "\n"
