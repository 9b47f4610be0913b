"""What every document is built of: bases, pages, problems, bounded texts."""

from typing import Annotated, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, StringConstraints

T = TypeVar("T")

_VISIBLE = r"^[^\x00-\x1f\x7f]*$"
"""No control characters; they have no place in a name and break logs."""

Name = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=_VISIBLE)]
Id = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^[!-~]+$")]
Line = Annotated[str, StringConstraints(max_length=16_384, pattern=_VISIBLE)]
Reason = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=_VISIBLE)]

SearchText = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=_VISIBLE)]

CursorText = Annotated[str, StringConstraints(max_length=512, pattern=r"^[A-Za-z0-9_=-]*$")]


class Answer(BaseModel):
    """Base of what the service says."""

    model_config = ConfigDict(extra="ignore")


class Request(BaseModel):
    """Base of what a caller sends."""

    model_config = ConfigDict(extra="forbid")


class Page(Answer, Generic[T]):
    """One page of a list; ``next_cursor`` asks for the next one, null at the end."""

    items: list[T]
    next_cursor: str | None = None


class Problem(Answer):
    """An error, after RFC 9457; ``next_step`` says what to do now."""

    type: str
    title: str
    status: int
    detail: str
    next_step: str
    request_id: str
    reasons: list[str] = []
    would_fit: list[str] = []
    notes: list[str] = []


class Health(Answer):
    """Whether the server works."""

    status: Literal["ok"]
