"""The calendar of reservations.

Goal: nothing is promised to two at one time.
Method: random bookings against a table of every node and hour.
"""

from contextlib import suppress
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gigawatt.errors import ConflictError, InputError
from gigawatt.ids import NodeId, TenantId
from gigawatt.market.calendar import Calendar, Reservation

NODES = [NodeId(f"n{i}") for i in range(4)]
NOW = 1_800_000_000.0
HOUR = 3_600.0
SETS = st.frozensets(st.sampled_from(NODES))
WANTS = st.lists(
    st.tuples(SETS.filter(bool), SETS, st.integers(0, 20), st.integers(1, 6)), max_size=10
)


def reservation(number, nodes, growth, start, length):
    return Reservation(
        f"res_{number}",
        TenantId("ten_a"),
        nodes,
        growth - nodes,
        NOW + start * HOUR,
        NOW + (start + length) * HOUR,
    )


@given(WANTS)
def test_a_node_is_promised_once_at_a_time_and_only_clashes_are_refused(wants):
    calendar, table = Calendar(), {}
    for number, (nodes, growth, start, length) in enumerate(wants):
        wanted = list(product(nodes | growth, range(start, start + length)))
        clashes = any(place in table for place in wanted)
        try:
            calendar = calendar.book(reservation(number, nodes, growth, start, length), NOW)
        except ConflictError:
            assert clashes
            continue
        assert not clashes
        table |= dict.fromkeys(wanted, f"res_{number}")
    for hour in range(30):
        held = {n: r.reservation_id for n, r in calendar.holders(NOW + hour * HOUR).items()}
        assert held == {n: table[n, hour] for n in NODES if (n, hour) in table}
    for first, last in [(0, 3), (5, 9), (0, 30)]:
        free = calendar.free_nodes(NODES, NOW + first * HOUR, NOW + last * HOUR)
        assert free == {n for n in NODES if not any((n, h) in table for h in range(first, last))}
    for node in NODES:
        starts = [
            r.from_s for r in calendar.by_id.values() if node in r.node_ids | r.growth_node_ids
        ]
        later = [s for s in starts if s >= NOW + 5 * HOUR]
        assert calendar.next_start_s(node, NOW + 5 * HOUR) == min(later, default=None)


@given(WANTS)
def test_a_calendar_reads_back_in_any_order(wants):
    calendar = Calendar()
    for number, want in enumerate(wants):
        with suppress(ConflictError):
            calendar = calendar.book(reservation(number, *want), NOW)
    assert Calendar([*calendar.by_id.values()][::-1]).by_id == calendar.by_id


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"start": -1}, "ago"),
        ({"length": 0.5}, "hour or more"),
        ({"length": -3}, "hour or more"),
        ({"start": 10**9}, "Unix time"),
        ({"nodes": frozenset()}, "no node"),
    ],
)
def test_what_is_no_reservation_is_refused(change, why):
    good = {"nodes": frozenset(NODES[:1]), "growth": frozenset(), "start": 1, "length": 2}
    Calendar().book(reservation(0, **good), NOW)
    with pytest.raises(InputError, match=why):
        Calendar().book(reservation(0, **good | change), NOW)


def test_growth_is_not_counted_twice():
    both = Reservation(
        "res_0", TenantId("t"), frozenset(NODES), frozenset(NODES[:1]), NOW, NOW + HOUR
    )
    with pytest.raises(InputError, match="growth"):
        Calendar().book(both, NOW)
