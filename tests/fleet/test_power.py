"""Power by feed and rack.

Goal: every node counts once, in its rack and in that rack's feed, and what is measured is never
mixed with what may be drawn.
Method: sums against slow loops over nodes, on fleets of several types, halls and feeds.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gigawatt.fleet.demo import mixed_fleet
from gigawatt.fleet.power import node_power_w_max, power_by_feed, power_by_rack

FLEET = mixed_fleet()
COUNT = len(FLEET.nodes)


@given(st.integers(0, 2**32 - 1))
def test_sums_are_those_of_the_nodes(seed: int):
    draw = np.random.default_rng(seed)
    is_held = draw.random(COUNT) < 0.5
    gpu_w = np.where(draw.random((COUNT, 16)) < 0.3, np.nan, draw.random((COUNT, 16)) * 700)
    gpu_w[np.arange(16) >= FLEET.gpu_count_of_node[:, None]] = np.nan
    node_w = node_power_w_max(FLEET)
    for found, place, ids in (
        (power_by_rack(FLEET, is_held, gpu_w), FLEET.nodes.rack, FLEET.racks.ids),
        (
            power_by_feed(FLEET, is_held, gpu_w),
            FLEET.racks.feed[FLEET.nodes.rack],
            FLEET.power_feeds.ids,
        ),
    ):
        for row in range(len(ids)):
            mine = place == row
            assert found.all_w_max[row] == pytest.approx(sum(node_w[mine]))
            assert found.held_w_max[row] == pytest.approx(sum(node_w[mine & is_held]))
            assert found.gpu_w[row] == pytest.approx(np.nansum(gpu_w[mine]))
            assert found.reporting_gpu_count[row] == np.count_nonzero(~np.isnan(gpu_w[mine]))
            assert found.node_count[row] == np.count_nonzero(mine)
        assert found.gpu_count.sum() == FLEET.gpu_count


def test_what_nobody_holds_or_reports_is_nothing():
    found = power_by_feed(FLEET, np.zeros(COUNT, np.bool_), np.full((COUNT, 16), np.nan))
    assert found.held_w_max.sum() == 0
    assert found.gpu_w.sum() == 0
    assert found.reporting_gpu_count.sum() == 0
    assert found.all_w_max.sum() == pytest.approx(node_power_w_max(FLEET).sum())
