"""Lists in pages: how many at once, and an opaque cursor that says where to go on."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from typing import Annotated, TypeVar

from fastapi import Query

from gigawatt.errors import InputError
from gigawatt.sdk.documents import Page

T = TypeVar("T")
R = TypeVar("R")

PAGE_COUNT_MAX = 500
NEWEST = 1 << 62
"""A place after everything, where lists that go from new to old begin."""

Limit = Annotated[int, Query(ge=1, le=PAGE_COUNT_MAX, description="Most items of the page.")]
Cursor = Annotated[
    str | None,
    Query(max_length=512, pattern=r"^[A-Za-z0-9_=-]*$", description="next_cursor of a page."),
]


def cursor_of(place: object) -> str:
    """The cursor of a place in a list."""
    return urlsafe_b64encode(f"1:{place}".encode()).decode().rstrip("=")


def _place_of(cursor: str) -> str:
    padded = cursor + "=" * (-len(cursor) % 4)
    try:
        version, _, place = urlsafe_b64decode(padded.encode()).decode().partition(":")
    except ValueError as error:
        raise InputError(f"the cursor {cursor!r} does not read") from error
    if version != "1":
        raise InputError(f"the cursor {cursor!r} does not read")
    return place


def text_place(cursor: str | None) -> str:
    """Id after which a list by ids goes on; empty at its start.

    Raises:
        InputError: not a cursor of ours.
    """
    return "" if not cursor else _place_of(cursor)


def number_place(cursor: str | None, start: int) -> int:
    """Number at which a list by numbers goes on.

    Raises:
        InputError: not a cursor of ours.
    """
    if not cursor:
        return start
    place = _place_of(cursor)
    if not place.isdecimal() or len(place) > 18:
        raise InputError(f"the cursor {cursor!r} does not read")
    return int(place)


def page_of(
    rows: Sequence[R], limit: int, place: Callable[[R], object], render: Callable[[R], T]
) -> Page[T]:
    """A page from ``limit`` + 1 rows: the one too many says that there is another page."""
    shown = rows[:limit]
    more = len(rows) > limit
    cursor = cursor_of(place(shown[-1])) if more and shown else None
    return Page(items=[render(row) for row in shown], next_cursor=cursor)
