"""A site with a market, for one test alone."""

from collections.abc import Iterator

import pytest
from market_site import Site, open_site


@pytest.fixture
def site() -> Iterator[Site]:
    with open_site() as made:
        yield made
