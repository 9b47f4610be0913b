"""The table and its bound, apart from any fleet.

Goal: the table is exact, its trace adds up, and the bound removes no answer.
Method: random items; every combination of options is tried as the reference.
"""

from itertools import product

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gigawatt.placement.bound import reduce
from gigawatt.placement.knapsack import Option, fill

LIMIT = st.tuples(st.integers(0, 3), st.integers(0, 5), st.integers(0, 6))


@st.composite
def items(draw: st.DrawFn) -> list[list[Option]]:
    """New pods cost one pod, near ones none; every option gives at least one unit."""
    made = []
    for _ in range(draw(st.integers(0, 5))):
        pods = draw(st.integers(0, 1))
        costs = st.tuples(st.just(pods), st.integers(0, 3), st.integers(0, 4))
        option = st.builds(Option, costs, st.integers(1, 20))
        made.append(draw(st.lists(option, max_size=4)))
    return made


def best_by_trying(all_items: list[list[Option]], limit: tuple[int, int, int]) -> int:
    best = 0
    nothing = Option((0, 0, 0), 0)
    for chosen in product(*[[nothing, *options] for options in all_items]):
        cost = [sum(option.cost[axis] for option in chosen) for axis in range(3)]
        if all(spent <= most for spent, most in zip(cost, limit, strict=True)):
            best = max(best, sum(option.units for option in chosen))
    return best


@settings(max_examples=150, deadline=None)
@given(items(), LIMIT)
def test_the_table_is_exact_and_its_trace_adds_up(
    all_items: list[list[Option]], limit: tuple[int, int, int]
) -> None:
    table = fill(all_items, limit)
    assert table.best[limit] == best_by_trying(all_items, limit)
    chosen = [
        options[number]
        for options, number in zip(all_items, table.trace(limit), strict=True)
        if number >= 0
    ]
    assert sum(option.units for option in chosen) == table.best[limit]
    for axis in range(3):
        assert sum(option.cost[axis] for option in chosen) <= limit[axis]


@settings(max_examples=300, deadline=None)
@given(items(), LIMIT, st.integers(-3, 3))
def test_the_bound_removes_no_answer_and_adds_none(
    all_items: list[list[Option]], limit: tuple[int, int, int], more: int
) -> None:
    best = int(fill(all_items, limit).best[limit])
    wanted = max(1, best + more)
    reduced = reduce(all_items, limit, wanted)
    left = int(fill([options for _, options in reduced.kept], reduced.limit).best.max())
    spent = np.array(reduced.base).sum(axis=0) + reduced.limit if reduced.base else limit
    assert tuple(spent) == limit
    assert reduced.bound >= min(best, wanted - 1)
    assert (left >= wanted) == (best >= wanted)
    assert left <= best
