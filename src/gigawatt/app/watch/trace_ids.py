"""Ids of traces and spans, computed from what they are about.

A trace is a plan: its 128-bit id is the first 16 bytes of the SHA-256 of ``gigawatt trace `` and
the plan's id. So the request that plans, the worker that applies and the one that carries on after
a crash agree on it without telling each other. Spans that others hang below have 64-bit ids made
the same way; all others draw theirs.
"""

from hashlib import sha256

from gigawatt.ids import OperationId, PlanId


def _number(text: str, byte_count: int) -> int:
    digest = sha256(text.encode()).digest()
    # All zeros is not an id (W3C Trace Context, section 3.2.2.3).
    return int.from_bytes(digest[:byte_count], "big") or 1


def trace_id_of(plan_id: PlanId) -> int:
    """The trace of a plan.

    Example:
        >>> f"{trace_id_of(PlanId('pln_1')):032x}"
        'bd500b571d772c571e0b16becf42c971'
    """
    return _number(f"gigawatt trace {plan_id}", 16)


def root_span_id(plan_id: PlanId) -> int:
    """The span at the root of a plan's trace: the request that made it, or the planning itself."""
    return _number(f"gigawatt root {plan_id}", 8)


def request_span_id(request_id: str, plan_id: PlanId) -> int:
    """The span of a later request about a plan."""
    return _number(f"gigawatt request {request_id} {plan_id}", 8)


def worker_span_id(operation_id: OperationId, generation: int) -> int:
    """The span of one worker's hold on an operation."""
    return _number(f"gigawatt worker {operation_id} {generation}", 8)


def stage_span_id(operation_id: OperationId, generation: int, number: int) -> int:
    """The span of one run of a stage."""
    return _number(f"gigawatt stage {operation_id} {generation} {number}", 8)
