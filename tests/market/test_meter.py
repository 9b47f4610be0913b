"""The meter.

Goal: no millisecond is billed twice or lost, whatever happens in whatever order.
Method: random events against a second reckoning that asks, millisecond by millisecond, whether a
node was to be billed.
"""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from gigawatt.ids import ClusterId, NodeId
from gigawatt.market.meter import (
    Cut,
    Delivered,
    MembersChanged,
    Promise,
    ReadinessChanged,
    Stopped,
    UsageMeter,
    advance,
    amount_micro_usd,
)

NODES = [NodeId(f"n{i}") for i in range(3)]
CLUSTER = ClusterId("clu_a")
TIME = st.integers(0, 40)
EVENTS = st.lists(
    st.one_of(
        TIME.map(Delivered),
        TIME.map(Stopped),
        TIME.map(Cut),
        st.builds(ReadinessChanged, TIME, st.sampled_from(NODES), st.booleans()),
        st.builds(
            MembersChanged,
            TIME,
            st.dictionaries(
                st.sampled_from(NODES), st.builds(Promise, st.integers(1, 8), st.integers(0, 5))
            ),
        ),
    ),
    max_size=12,
)


def metered(events):
    meter, usages = UsageMeter(CLUSTER), []
    for event in [*events, Cut(50)]:
        meter, ended = advance(meter, event)
        usages += ended
    return meter, usages


def billed_by_the_millisecond(events) -> Counter:
    """(millisecond, node) -> GPUs times price, by following what is so at every millisecond."""
    found: Counter = Counter()
    now_ms, is_delivered, promises, unready = 0, False, {}, set()
    for event in [*events, Cut(50)]:
        until_ms = max(now_ms, event.at_ms)
        for ms in range(now_ms, until_ms):
            for node, promise in promises.items():
                if is_delivered and node not in unready:
                    price = promise.gpu_count * promise.price_micro_usd_per_gpu_hour
                    found[ms, node] += price
        now_ms = until_ms
        if isinstance(event, Delivered | Stopped):
            is_delivered = isinstance(event, Delivered)
        elif isinstance(event, MembersChanged):
            old = promises
            promises = {
                node: old[node] if node in old and old[node].gpu_count == new.gpu_count else new
                for node, new in event.promises.items()
            }
        elif isinstance(event, ReadinessChanged):
            (unready.discard if event.is_ready else unready.add)(event.node_id)
    return found


@given(EVENTS)
def test_every_millisecond_is_billed_once_or_not_at_all(events):
    _, usages = metered(events)
    mine: Counter = Counter()
    for usage in usages:
        promise = usage.promise
        for ms in range(usage.from_ms, usage.to_ms):
            mine[ms, usage.node_id] += promise.gpu_count * promise.price_micro_usd_per_gpu_hour
    theirs = billed_by_the_millisecond(events)
    assert {k: v for k, v in mine.items() if v} == {k: v for k, v in theirs.items() if v}
    spans = Counter((ms, u.node_id) for u in usages for ms in range(u.from_ms, u.to_ms))
    assert not spans or max(spans.values()) == 1


@given(EVENTS, st.lists(TIME, max_size=4))
def test_where_it_is_cut_does_not_change_the_sum(events, cuts):
    _, plain = metered(events)
    with_cuts = list(events)
    for at_ms in cuts:
        # A cut is taken in the order of the clock, as hours end.
        place = next((i for i, e in enumerate(with_cuts) if e.at_ms > at_ms), len(with_cuts))
        if all(e.at_ms <= at_ms for e in with_cuts[:place]):
            with_cuts.insert(place, Cut(at_ms))
    _, cut = metered(with_cuts)
    assert sum(u.rated for u in plain) == sum(u.rated for u in cut)
    assert amount_micro_usd(plain) == amount_micro_usd(cut)


@given(EVENTS)
def test_usages_are_numbered_without_gaps(events):
    meter, usages = metered(events)
    assert [u.number for u in usages] == list(range(meter.next_number))
    assert all(u.from_ms < u.to_ms for u in usages)


@given(EVENTS)
def test_a_meter_carried_on_elsewhere_gives_the_same(events):
    meter, usages = UsageMeter(CLUSTER), []
    for event in events:
        meter, ended = advance(UsageMeter(**{f: getattr(meter, f) for f in meter.__slots__}), event)
        usages += ended
    _, rest = advance(meter, Cut(50))
    assert [*usages, *rest] == metered(events)[1]


def test_what_was_never_delivered_costs_nothing():
    events = [MembersChanged(0, {NODES[0]: Promise(8, 10**6)}), Stopped(3_600_000)]
    assert metered(events)[1] == []


def test_a_dead_node_is_not_billed_and_its_price_is_kept():
    hour = 3_600_000
    meter, usages = UsageMeter(CLUSTER), []
    for event in [
        MembersChanged(0, {NODES[0]: Promise(8, 2_000_000), NODES[1]: Promise(8, 2_000_000)}),
        Delivered(0),
        ReadinessChanged(hour, NODES[1], False),
        MembersChanged(
            2 * hour, {NODES[0]: Promise(8, 9_000_000), NODES[2]: Promise(8, 3_000_000)}
        ),
        Stopped(3 * hour),
    ]:
        meter, ended = advance(meter, event)
        usages += ended
    # Node 0: three hours at the price that was promised; node 1: one; node 2: one at its own.
    assert amount_micro_usd(usages) == 8 * (3 * 2 + 1 * 2 + 1 * 3) * 1_000_000
