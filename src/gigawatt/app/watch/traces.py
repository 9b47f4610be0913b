"""Traces of plans, with OpenTelemetry: from the request to the device call, across processes.

Spans are made when what they tell of is over, with the times that were measured; their ids are
computed (``trace_ids``), so a span may be told before the one above it, or by another process.
A process that dies leaves spans without the one above them, in the right trace.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from typing_extensions import override

from gigawatt import __version__
from gigawatt.app.watch.context import REQUEST, RequestScope
from gigawatt.app.watch.redaction import redact
from gigawatt.app.watch.trace_ids import (
    request_span_id,
    root_span_id,
    stage_span_id,
    trace_id_of,
    worker_span_id,
)
from gigawatt.errors import InputError
from gigawatt.executor.call import Outcome
from gigawatt.executor.progress import Span, StageRun, Watch
from gigawatt.ids import PlanId
from gigawatt.interfaces.store import OperationRecord
from gigawatt.planner.plan import Plan

CALL_SPANS_MAX = 200
"""Spans of device calls that went well, for one run of one stage; failed and repeated calls always
have one. Ours: a stage of 10,000 GPUs has thousands of calls that look the same."""

QUEUED_SPANS_MAX = 32_768
"""Spans that wait for the exporter; more are dropped rather than held."""

_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
"""Source: W3C Trace Context, section 3.2, version 00."""

Attributes = Mapping[str, str | int | float | bool]


def parse_traceparent(text: str) -> SpanContext | None:
    """The caller's span in a ``traceparent`` header; None if it is none, which is no error."""
    match = _TRACEPARENT.fullmatch(text.strip().lower())
    if match is None:
        return None
    context = SpanContext(
        int(match[1], 16),
        int(match[2], 16),
        is_remote=True,
        trace_flags=TraceFlags(int(match[3], 16)),
    )
    return context if context.is_valid else None


@dataclass(frozen=True, slots=True)
class _Told:
    """What a span says but for its place, times and attributes; ids that are None are drawn."""

    name: str
    plan_id: PlanId
    span_id: int | None = None
    error: str = ""
    kind: SpanKind = SpanKind.INTERNAL
    links: Sequence[Link] = ()


class TraceWatch(Watch):
    """Tells what happened as spans."""

    def __init__(self, exporter: SpanExporter, replica: str) -> None:
        """Send spans to ``exporter``, in the background; ``replica`` names this process."""
        self._emitter = _Emitter(exporter, replica)
        self._call_counts: dict[int, int] = defaultdict(int)

    def close(self) -> None:
        """Send what waits, and stop."""
        self._emitter.processor.shutdown()  # type: ignore[no-untyped-call]

    def request_ended(self, scope: RequestScope, status: int, ended_s: float) -> None:
        """A request is answered that made, checked or committed plans."""
        caller = parse_traceparent(scope.traceparent)
        for plan_id in sorted(scope.touched):
            is_first = plan_id in scope.planned
            span_id = (
                root_span_id(plan_id) if is_first else request_span_id(scope.request_id, plan_id)
            )
            links = () if caller is None else (Link(caller),)
            told = _Told(
                f"request {scope.operation}", plan_id, span_id, kind=SpanKind.SERVER, links=links
            )
            facts: Attributes = {
                "gigawatt.request_id": scope.request_id,
                "gigawatt.account_id": scope.account_id,
                "http.response.status_code": status,
            }
            parent = None if is_first else root_span_id(plan_id)
            self._emitter.emit(told, parent, Span(scope.began_s, ended_s), facts)

    @override
    def planned(self, plan: Plan, span: Span) -> None:
        scope = REQUEST.get()
        if scope is not None:
            scope.planned.add(plan.plan_id)
            scope.touched.add(plan.plan_id)
        root = root_span_id(plan.plan_id)
        facts = {
            **_facts(plan),
            "gigawatt.gpu_count": plan.report.gpu_count,
            "gigawatt.step_count": len(plan.steps),
        }
        told = _Told("plan", plan.plan_id, root if scope is None else None)
        self._emitter.emit(told, None if scope is None else root, span, facts)

    @override
    def checked(self, plan: Plan, note_count: int, span: Span) -> None:
        facts = {**_facts(plan), "gigawatt.note_count": note_count}
        error = f"{note_count} notes" if note_count else ""
        told = _Told("check", plan.plan_id, error=error)
        self._emitter.emit(told, _above(plan.plan_id), span, facts)

    @override
    def committed(self, operation: OperationRecord, span: Span) -> None:
        plan = operation.plan
        facts = {**_facts(plan), "gigawatt.operation_id": operation.operation_id}
        told = _Told("commit", plan.plan_id)
        self._emitter.emit(told, _above(plan.plan_id), span, facts)

    @override
    def operation_ended(self, operation: OperationRecord, state: str, span: Span) -> None:
        plan_id = operation.plan.plan_id
        facts = {
            **_facts(operation.plan),
            "gigawatt.operation_id": operation.operation_id,
            "gigawatt.generation": operation.generation,
            "gigawatt.state": state,
        }
        told = _Told(
            f"operation {operation.kind.value}",
            plan_id,
            worker_span_id(operation.operation_id, operation.generation),
            "" if state in {"done", "unwound"} else state,
        )
        self._emitter.emit(told, root_span_id(plan_id), span, facts)

    @override
    def stage_ended(self, run: StageRun, failed_count: int, ended_s: float) -> None:
        operation, span_id = run.operation, _stage_id(run)
        self._call_counts.pop(span_id, None)
        error = f"{failed_count} steps failed" if failed_count else ""
        told = _Told(f"stage {run.name}", operation.plan.plan_id, span_id, error)
        facts: Attributes = {
            "gigawatt.operation_id": operation.operation_id,
            "gigawatt.failed_count": failed_count,
        }
        worker = worker_span_id(operation.operation_id, operation.generation)
        self._emitter.emit(told, worker, Span(run.began_s, ended_s), facts)

    @override
    def call_ended(self, run: StageRun | None, outcome: Outcome) -> None:
        if run is None:
            return
        parent, step = _stage_id(run), outcome.step
        if not outcome.errors:
            self._call_counts[parent] += 1
            if self._call_counts[parent] > CALL_SPANS_MAX:
                return
        facts: dict[str, str | int] = {
            "gigawatt.plane": step.plane.value,
            "gigawatt.device": step.device,
            "gigawatt.action": step.action,
            "gigawatt.step_key": step.key,
            "gigawatt.entry_count": len(step.entries),
            "gigawatt.failed_tries": len(outcome.errors),
        }
        span = Span(outcome.began_s, outcome.ended_s)
        told = _Told(
            f"{step.action} {step.plane.value}",
            run.operation.plan.plan_id,
            error=outcome.detail,
            kind=SpanKind.CLIENT,
        )
        self._emitter.emit(told, parent, span, facts)


def _stage_id(run: StageRun) -> int:
    return stage_span_id(run.operation.operation_id, run.operation.generation, run.number)


def _facts(plan: Plan) -> dict[str, str | int]:
    return {
        "gigawatt.plan_id": plan.plan_id,
        "gigawatt.kind": plan.kind.value,
        "gigawatt.cluster_id": plan.cluster_id,
    }


def _above(plan_id: PlanId) -> int:
    """The span below which a check or a commit hangs: the request's if one is being served."""
    scope = REQUEST.get()
    if scope is None:
        return root_span_id(plan_id)
    scope.touched.add(plan_id)
    if plan_id in scope.planned:
        return root_span_id(plan_id)
    return request_span_id(scope.request_id, plan_id)


class _Emitter:
    """Makes spans with given ids and times, and hands them to the exporter's queue.

    A tracer of the SDK would draw the ids itself and take the times of now.
    """

    def __init__(self, exporter: SpanExporter, replica: str) -> None:
        self.processor = BatchSpanProcessor(exporter, max_queue_size=QUEUED_SPANS_MAX)
        self._resource = Resource.create(
            {
                "service.name": "gigawatt",
                "service.version": __version__,
                "service.instance.id": replica,
            }
        )
        self._scope = InstrumentationScope("gigawatt", __version__)
        self._random = RandomIdGenerator()

    def emit(self, told: _Told, parent_id: int | None, span: Span, attributes: Attributes) -> None:
        """Tell one span; ``parent_id`` is that of the span above it, None at the root."""
        trace_id = trace_id_of(told.plan_id)
        status = Status(StatusCode.ERROR, redact(told.error)) if told.error else Status()
        self.processor.on_end(
            ReadableSpan(
                name=told.name,
                context=_context(trace_id, told.span_id or self._random.generate_span_id()),
                parent=None if parent_id is None else _context(trace_id, parent_id),
                resource=self._resource,
                attributes=dict(attributes),
                links=told.links,
                kind=told.kind,
                status=status,
                start_time=_ns(span.began_s),
                end_time=_ns(span.began_s + span.duration_s),
                instrumentation_scope=self._scope,
            )
        )


def _context(trace_id: int, span_id: int) -> SpanContext:
    sampled = TraceFlags(TraceFlags.SAMPLED)
    return SpanContext(trace_id, span_id, is_remote=False, trace_flags=sampled)


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)


def otlp_exporter() -> SpanExporter:
    """The exporter that speaks OTLP over HTTP, set up by OpenTelemetry's environment variables.

    Raises:
        InputError: it is not installed.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http import trace_exporter  # noqa: PLC0415
    except ImportError as error:
        raise InputError(
            "an OTLP endpoint is named, but the exporter is not installed",
            next_step="pip install 'gigawatt[otlp]', or take the variable away.",
        ) from error
    return trace_exporter.OTLPSpanExporter()


@contextmanager
def tracing(exporter: SpanExporter, replica: str) -> Iterator[TraceWatch]:
    """A watch that traces; what waits is sent when the block ends."""
    watch = TraceWatch(exporter, replica)
    try:
        yield watch
    finally:
        watch.close()
