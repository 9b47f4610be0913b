"""JSON of the values that outlive a process: entries, targets, plans and requests.

The adapters are built on first use, because building them costs tens of milliseconds. An entry
carries its ``kind``, so a row of mixed entries reads back as the right classes.
"""

from collections.abc import Sequence
from functools import cache
from typing import Annotated, TypeVar

from pydantic import Field, TypeAdapter, ValidationError

from gigawatt.boundary.entries import Entry
from gigawatt.boundary.target import ClusterTarget
from gigawatt.errors import DataError
from gigawatt.intent.request import ClusterRequest
from gigawatt.planner.plan import Plan

T = TypeVar("T")

TaggedEntry = Annotated[Entry, Field(discriminator="kind")]
"""An entry whose ``kind`` says its class: ten times faster to read than trying every class."""


@cache
def _entry() -> TypeAdapter[Entry]:
    return TypeAdapter(TaggedEntry)


@cache
def _entries() -> TypeAdapter[tuple[Entry, ...]]:
    return TypeAdapter(tuple[TaggedEntry, ...])


@cache
def _target() -> TypeAdapter[ClusterTarget]:
    return TypeAdapter(ClusterTarget)


@cache
def _plan() -> TypeAdapter[Plan]:
    return TypeAdapter(Plan)


@cache
def _request() -> TypeAdapter[ClusterRequest]:
    return TypeAdapter(ClusterRequest)


def _read(adapter: TypeAdapter[T], what: str, text: str | bytes) -> T:
    try:
        return adapter.validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the whole text"
        raise DataError(
            f"the JSON of {what} does not read back: {where}: {first['msg']}"
            f" ({error.error_count()} findings)"
        ) from error


def entry_to_json(entry: Entry) -> str:
    """One entry as a JSON object."""
    return _entry().dump_json(entry).decode()


def entry_from_json(text: str | bytes) -> Entry:
    """The entry that ``entry_to_json`` wrote.

    Raises:
        DataError: not JSON, or not an entry.
    """
    return _read(_entry(), "an entry", text)


def entries_to_json(entries: Sequence[Entry]) -> str:
    """Entries as a JSON array, in the order given."""
    return _entries().dump_json(tuple(entries)).decode()


def entries_from_json(text: str | bytes) -> tuple[Entry, ...]:
    """The entries that ``entries_to_json`` wrote.

    Raises:
        DataError: not JSON, or not an array of entries.
    """
    return _read(_entries(), "a list of entries", text)


def target_to_json(target: ClusterTarget) -> str:
    """One target as a JSON object."""
    return _target().dump_json(target).decode()


def target_from_json(text: str | bytes) -> ClusterTarget:
    """The target that ``target_to_json`` wrote.

    Raises:
        DataError: not JSON, or not a target.
    """
    return _read(_target(), "a target", text)


def plan_to_json(plan: Plan) -> str:
    """One plan as a JSON object."""
    return _plan().dump_json(plan).decode()


def plan_from_json(text: str | bytes) -> Plan:
    """The plan that ``plan_to_json`` wrote.

    Raises:
        DataError: not JSON, or not a plan.
    """
    return _read(_plan(), "a plan", text)


def request_to_json(request: ClusterRequest) -> str:
    """One request as a JSON object."""
    return _request().dump_json(request).decode()


def request_from_json(text: str | bytes) -> ClusterRequest:
    """The request that ``request_to_json`` wrote.

    Raises:
        DataError: not JSON, or not a request.
    """
    return _read(_request(), "a request", text)
