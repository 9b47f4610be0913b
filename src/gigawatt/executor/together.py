"""Work done side by side, whose first error ends all of it."""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

T = TypeVar("T")


def first_error(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first error in a group that is no group itself."""
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def together(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """The results, in order; an error is raised as it is, once the others were broken off."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one) for one in work]
    except BaseExceptionGroup as errors:
        # Callers know our errors, not the group that a task group makes of them.
        raise first_error(errors) from None
    return [task.result() for task in tasks]
