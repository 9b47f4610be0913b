"""The log: one line an event on standard error, as text or as JSON, without secrets."""

import logging
import sys
from typing import Any, TextIO

from pythonjsonlogger.json import JsonFormatter
from typing_extensions import override

from gigawatt.app.watch.context import OPERATION, REQUEST
from gigawatt.app.watch.redaction import REPLACEMENT, is_secret_name, redact
from gigawatt.app.watch.settings import LogFormat
from gigawatt.app.watch.trace_ids import trace_id_of
from gigawatt.executor.call import Outcome
from gigawatt.executor.progress import Span, StageRun, Watch
from gigawatt.interfaces.store import OperationRecord

_log = logging.getLogger("gigawatt.watch")

VALUE_LENGTH_MAX = 8_192
"""Longest value in a line; more is cut off. Ours."""

QUIET = {"httpx": logging.WARNING, "httpcore": logging.WARNING, "alembic": logging.WARNING}
"""Loggers of others that tell of each request."""


def bounded(text: str) -> str:
    """The text without secrets, cut to ``VALUE_LENGTH_MAX``."""
    clean = redact(text)
    if len(clean) <= VALUE_LENGTH_MAX:
        return clean
    return f"{clean[:VALUE_LENGTH_MAX]}... ({len(clean)} characters)"


def context_fields() -> dict[str, str]:
    """What the line is about: request, caller's account, operation, plan and its trace."""
    found: dict[str, str] = {}
    request, operation = REQUEST.get(), OPERATION.get()
    if request is not None:
        found["request_id"] = request.request_id
        if request.account_id:
            found["account_id"] = request.account_id
    if operation is not None:
        found["operation_id"], found["plan_id"] = operation
        found["trace_id"] = f"{trace_id_of(operation[1]):032x}"
    return found


def _clean(value: object) -> object:
    if isinstance(value, str):
        return bounded(value)
    if isinstance(value, dict):
        return {bounded(str(name)): _clean_field(str(name), inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean(inner) for inner in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return bounded(str(value))


def _clean_field(name: str, value: object) -> object:
    return REPLACEMENT if is_secret_name(name) else _clean(value)


class JsonLines(JsonFormatter):
    """One JSON object a line."""

    def __init__(self) -> None:
        """Take time, level, logger and message of a record, and what was said beside it."""
        super().__init__(
            "%(asctime)s %(levelname)s %(name)s %(message)s",
            datefmt="%Y-%m-%dT%H:%M:%S%z",
            rename_fields={"asctime": "at", "levelname": "level", "name": "logger"},
        )

    @override
    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        every = {**log_data, **context_fields()}
        every.pop("color_message", None)  # uvicorn's message once more, with colours
        return {name: _clean_field(name, value) for name, value in every.items()}


class TextLines(logging.Formatter):
    """One line of text, or several when an error's origin is told."""

    def __init__(self) -> None:
        """Take time, level, logger and message of a record."""
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    @override
    def format(self, record: logging.LogRecord) -> str:
        about = " ".join(f"{name}={value}" for name, value in context_fields().items())
        text = super().format(record)
        return redact(f"{text} [{about}]" if about else text)


def set_up_logs(log_format: LogFormat, stream: TextIO | None = None) -> logging.Handler:
    """Send every line of every logger to a stream, standard error unless given.

    Handlers that were there before go, so that no line leaves by a way without redaction.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines() if log_format == "json" else TextLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    for name, level in QUIET.items():
        logging.getLogger(name).setLevel(level)
    for name, propagates in (("uvicorn", True), ("uvicorn.error", True), ("uvicorn.access", False)):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        # uvicorn's lines about requests hold their paths and queries; ours do not.
        logger.propagate = propagates
    return handler


class LogWatch(Watch):
    """Writes what happens into the log."""

    @override
    def committed(self, operation: OperationRecord, span: Span) -> None:
        facts = {
            "operation_id": operation.operation_id,
            "plan_id": operation.plan.plan_id,
            "cluster_id": operation.cluster_id,
            "trace_id": f"{trace_id_of(operation.plan.plan_id):032x}",
        }
        _log.info("%s committed", operation.kind.value, extra=facts)

    @override
    def operation_began(self, operation: OperationRecord) -> None:
        OPERATION.set((operation.operation_id, operation.plan.plan_id))
        _log.info("%s taken over", operation.kind.value)

    @override
    def operation_ended(self, operation: OperationRecord, state: str, span: Span) -> None:
        is_well = state in {"done", "unwound"}
        level = logging.INFO if is_well else logging.WARNING
        facts = {"state": state, "took_s": round(span.duration_s, 3)}
        _log.log(level, "%s %s", operation.kind.value, state, extra=facts)

    @override
    def call_ended(self, run: StageRun | None, outcome: Outcome) -> None:
        if outcome.state == "failed":
            facts = {
                "plane": outcome.step.plane.value,
                "device": outcome.step.device,
                "stage": "repair" if run is None else run.name,
                "tries": len(outcome.errors),
            }
            _log.warning("step failed: %s", outcome.detail, extra=facts)
