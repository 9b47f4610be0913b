"""Goal: whoever reckons the storage of a holder a second time comes to what its meter says.

Method: lives drawn by hypothesis, with sizes that change, cuts, clocks that go back, and others.
"""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from gigawatt.ids import ClusterId
from gigawatt.market.storage_meter import StorageMeter, promise_bytes
from gigawatt.market.storage_reckoning import StorageReckoning, StorageSpan, joined_storage

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["resize", "cut", "other", "let go"]),
        st.integers(0, 3),
        st.integers(-3, 9),
    ),
    max_size=12,
)


@given(STEPS)
def test_storage_reckoned_twice_is_the_same(steps):
    """The meter of storage and the reckoning agree on any life, clocks that go back included."""
    name, now_ms, reckoning = ClusterId("clu_a"), 100, StorageReckoning()
    meter, spans = StorageMeter(name), []
    for what, size, later_ms in steps:
        now_ms += later_ms
        if what == "other":
            reckoning.promised(ClusterId("clu_b"), size, now_ms)
            continue
        if what == "cut":
            # As the store cuts: what is under way since before, up to the later moment.
            reckoning.cut(now_ms)
            if meter.since_ms is not None and meter.since_ms < now_ms:
                at_ms = max(now_ms, meter.at_ms)
                spans.append(StorageSpan(meter.since_ms, at_ms, meter.storage_bytes))
                meter = replace(meter, at_ms=at_ms, since_ms=at_ms)
            continue
        size_bytes = 0 if what == "let go" else size
        reckoning.promised(name, size_bytes, now_ms)
        meter, ended = promise_bytes(meter, size_bytes, now_ms)
        if ended is not None:
            spans.append(StorageSpan(ended.from_ms, ended.to_ms, ended.storage_bytes))
    if meter.since_ms is not None and meter.since_ms < meter.at_ms:
        spans.append(StorageSpan(meter.since_ms, meter.at_ms, meter.storage_bytes))
    assert reckoning.spans().get(name, ()) == joined_storage(spans)
