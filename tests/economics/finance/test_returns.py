"""Returns agree with another program's.

Goal: a rate of return on the term sheet is the one that a reader's own tool gives.
Method: pyxirr as oracle over random flows, and flows whose rate is known.
"""

import numpy as np
import pytest
import pyxirr
from hypothesis import given
from hypothesis import strategies as st

from gigawatt.economics.finance.returns import irr, npv, per_year

invested = st.lists(st.floats(-1e6, -1.0), min_size=1, max_size=5)
earned = st.lists(st.floats(0.0, 1e6), min_size=1, max_size=60)


@given(invested, earned)
def test_irr_is_the_oracles(first: list[float], then: list[float]):
    flows = np.array(first + then)
    ours = irr(flows[None, :])[0]
    theirs = pyxirr.irr(flows, silent=True)
    if np.isnan(ours):
        assert theirs is None or not -0.9 < theirs < 10.0
    else:
        assert npv(flows[None, :], ours)[0] == pytest.approx(0.0, abs=1e-6 * np.abs(flows).sum())
        if theirs is not None and -0.89 < theirs < 9.9:
            assert ours == pytest.approx(theirs, abs=1e-6)


@given(invested, earned, st.floats(-0.5, 1.0))
def test_npv_is_the_oracles(first: list[float], then: list[float], rate: float):
    flows = np.array(first + then)
    assert npv(flows[None, :], rate)[0] == pytest.approx(
        pyxirr.npv(rate, flows), rel=1e-9, abs=1e-6
    )


def test_rates_that_are_known():
    flows = np.array([[-100.0, 110.0], [-100.0, 90.0], [100.0, 10.0], [0.0, 0.0]])
    assert irr(flows)[:2] == pytest.approx([0.1, -0.1])
    assert np.all(np.isnan(irr(flows)[2:]))
    assert per_year(np.array([0.01]), 12)[0] == pytest.approx(0.12682503)
