"""The tally: how many GPUs were in which state from when to when."""

from collections.abc import Mapping
from typing import NamedTuple

from gigawatt.ids import SiteId
from gigawatt.intent.term import Term
from gigawatt.market.utilisation import GpuState, Place, Stretch


class Kind(NamedTuple):
    """State, term and price of GPUs."""

    state: GpuState
    term: Term | None
    price_micro_usd_per_gpu_hour: int


IDLE = Kind(GpuState.IDLE, None, 0)
STRANDED = Kind(GpuState.STRANDED, None, 0)
BROKEN = Kind(GpuState.BROKEN, None, 0)


class Tally:
    """Counts of GPUs by kind, and the stretches that have ended.

    Attributes:
        stretches: of every kind but idle ones, in order of their ends.
        counts: GPUs now.
        place: type and site of all of them.
    """

    def __init__(self, gpu_type: str, site_id: SiteId) -> None:
        """Begin with nothing at millisecond 0."""
        self.stretches: list[Stretch] = []
        self.counts: dict[Kind, int] = {}
        self._since_ms: dict[Kind, int] = {}
        self.place: Place = (gpu_type, site_id)

    def change(self, deltas: Mapping[Kind, int], at_ms: int) -> None:
        """Some kinds have so many GPUs more or fewer from now on."""
        for kind, delta in deltas.items():
            if delta:
                self._end(kind, at_ms)
                self.counts[kind] = self.counts.get(kind, 0) + delta

    def close(self, at_ms: int) -> None:
        """End every stretch that is under way."""
        for kind in list(self.counts):
            self._end(kind, at_ms)

    def _end(self, kind: Kind, at_ms: int) -> None:
        count, since_ms = self.counts.get(kind, 0), self._since_ms.get(kind, 0)
        self._since_ms[kind] = at_ms
        if count and at_ms > since_ms and kind.state is not GpuState.IDLE:
            price = kind.price_micro_usd_per_gpu_hour
            self.stretches.append(
                Stretch(*self.place, kind.state, kind.term, count, since_ms, at_ms, price)
            )
