"""A call as a value, and where the operations live."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from pydantic import BaseModel

T = TypeVar("T")

BASE = "/gw/v1"
"""Where the operations live. Other doors have other places, so they never collide."""


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One request and the type of its answer: ``str`` for plain text, ``bytes`` for a picture.

    A POST without an ``idempotency_key`` gets one of its own each time that it is sent.
    """

    method: str
    path: str
    answer: type[T]
    query: Mapping[str, Any] = field(default_factory=dict)
    body: BaseModel | None = None
    if_match: int | None = None
    idempotency_key: str | None = None


def path_of(*parts: str, verb: str = "") -> str:
    """The path below ``BASE`` of these parts, quoted, with a verb after a colon if given."""
    quoted = "/".join(quote(part, safe="") for part in parts)
    return f"{BASE}/{quoted}{':' + verb if verb else ''}"


def query_of(**values: object) -> dict[str, object]:
    """The values that were given; those that are None are left out."""
    return {name: value for name, value in values.items() if value is not None}


NOT_HERE = frozenset({"stream_events", "stream_operation", "take_payment_event"})
"""Operations that are no single answer, for which the clients have methods of their own, and what
only providers of payments call, who sign what they send."""
