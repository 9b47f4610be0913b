"""Utilisation in percent and in dollars: what every GPU of a fleet was in at every moment.

A stretch is some GPUs of one type at one site in one state for a while. States are exclusive and
together they are the whole fleet at every millisecond: what no stretch names is idle, and stretches
that name more GPUs than there are, are refused. Money stays whole (micro-USD times milliseconds an
hour) until somebody reads it.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import pairwise
from typing import Literal

from gigawatt.errors import DataError, InputError
from gigawatt.ids import SiteId
from gigawatt.intent.term import Term
from gigawatt.market.meter import MS_PER_HOUR

Place = tuple[str, SiteId]
"""GPU type and site."""
By = Literal["all", "type", "site", "term", "hour"]
UNSOLD = "unsold"
"""Row of what is in no term, in a table by term."""


class GpuState(StrEnum):
    """What a GPU is in."""

    BILLED = "billed"
    """A tenant has it and pays for it."""
    KEPT = "kept"
    """Paid for by a reservation, and nobody uses it."""
    HELD = "held"
    """A cluster holds it and it is not billed: it starts, or waits for a node that broke."""
    CLEANING = "cleaning"
    """Between two tenants."""
    BROKEN = "broken"
    """Drained or in quarantine."""
    STRANDED = "stranded"
    """Free, and no request that waits could have it."""
    IDLE = "idle"
    """Free."""


PAID = frozenset({GpuState.BILLED, GpuState.KEPT})
USED = frozenset({GpuState.BILLED, GpuState.HELD})


@dataclass(frozen=True, slots=True)
class Stretch:
    """GPUs of one kind from ``from_ms`` up to, and not with, ``to_ms`` (Unix milliseconds).

    Fields:
        gpu_type, site_id: which.
        state: of each of them.
        term: how it is held; None where nobody holds it.
        gpu_count: >= 1.
        price_micro_usd_per_gpu_hour: all that is paid for one of them, credits taken off; a node
            that its tenant lends out brings two prices.
    """

    gpu_type: str
    site_id: SiteId
    state: GpuState
    term: Term | None
    gpu_count: int
    from_ms: int
    to_ms: int
    price_micro_usd_per_gpu_hour: int = 0

    @property
    def place(self) -> Place:
        """GPU type and site."""
        return self.gpu_type, self.site_id

    @property
    def gpu_ms(self) -> int:
        """GPU-milliseconds."""
        return (self.to_ms - self.from_ms) * self.gpu_count

    @property
    def rated(self) -> int:
        """Micro-USD times milliseconds an hour, as in ``Usage.rated``."""
        return self.gpu_ms * self.price_micro_usd_per_gpu_hour


@dataclass(frozen=True, slots=True)
class Worth:
    """What a GPU-hour of one type is worth and costs, in micro-USD.

    Fields:
        list_micro_usd_per_gpu_hour: on-demand list price.
        fixed_micro_usd_per_gpu_hour: cost of an hour that the GPU is there, sold or not.
        running_micro_usd_per_gpu_hour: cost on top of it while it is used: its energy.
    """

    list_micro_usd_per_gpu_hour: int
    fixed_micro_usd_per_gpu_hour: int
    running_micro_usd_per_gpu_hour: int


@dataclass(frozen=True, slots=True)
class UtilisationRow:
    """Sums of one group.

    Fields:
        key: of the group: a type, a site, a term, the start of an hour in Unix ms, or "all".
        capacity_gpu_ms: GPU-milliseconds that shares are of: those of the group, or of the fleet
            where the group is a term.
        gpu_ms: by state; those of a group that is no term sum to the capacity.
        list_rated: by state, what it is at list price.
        rated: revenue.
        cost_rated: full cost; of a term its running cost only.
        capacity_list_rated: the capacity at list price.
        running_rated: cost of energy while GPUs were used.
    """

    key: str
    capacity_gpu_ms: int
    gpu_ms: Mapping[GpuState, int]
    list_rated: Mapping[GpuState, int]
    rated: int
    cost_rated: int
    capacity_list_rated: int
    running_rated: int

    @property
    def used_share(self) -> float:
        """GPU-hours that clusters held, over all: utilisation in percent, as 0 to 1."""
        return self._share(USED)

    @property
    def paid_share(self) -> float:
        """GPU-hours that somebody paid for, over all."""
        return self._share(PAID)

    @property
    def dollar_share(self) -> float:
        """Revenue over that of every GPU-hour sold at list price: utilisation in dollars."""
        return self.rated / self.capacity_list_rated if self.capacity_list_rated else 0.0

    @property
    def revenue_usd_per_gpu_hour(self) -> float:
        """Revenue for each GPU-hour that there was."""
        return _usd(self.rated) / self._hours if self._hours else 0.0

    @property
    def cost_usd_per_gpu_hour(self) -> float:
        """Full cost of each GPU-hour that there was."""
        return _usd(self.cost_rated) / self._hours if self._hours else 0.0

    @property
    def point_usd(self) -> float:
        """What one more point (1 %) of GPU-hours sold would have earned, energy taken off.

        At the average price of those that were sold, or at list price where none was.
        """
        sold = sum(self.gpu_ms.get(state, 0) for state in PAID)
        if not self.capacity_gpu_ms:
            return 0.0
        price = self.rated / sold if sold else self.capacity_list_rated / self.capacity_gpu_ms
        used = sum(self.gpu_ms.get(state, 0) for state in USED)
        running = self.running_rated / used if used else 0.0
        return 0.01 * _usd(self.capacity_gpu_ms * (price - running))

    @property
    def _hours(self) -> float:
        return self.capacity_gpu_ms / MS_PER_HOUR

    def _share(self, states: Iterable[GpuState]) -> float:
        if not self.capacity_gpu_ms:
            return 0.0
        return sum(self.gpu_ms.get(state, 0) for state in states) / self.capacity_gpu_ms


def _usd(rated: float) -> float:
    return rated / MS_PER_HOUR / 1_000_000


def whole(
    stretches: Iterable[Stretch], gpu_counts: Mapping[Place, int], from_ms: int, to_ms: int
) -> tuple[Stretch, ...]:
    """Stretches clipped to a window, and idle ones for all that they do not name.

    Args:
        stretches: in any order; those outside are left out.
        gpu_counts: GPUs that there are.
        from_ms: where the window begins, Unix ms.
        to_ms: where it ends; itself not in it.

    Raises:
        InputError: the window is empty.
        DataError: a stretch is none, or at some moment more GPUs are named than there are.
    """
    if from_ms >= to_ms:
        raise InputError(f"the window is from {from_ms} to {to_ms} ms, wanted a later end")
    clipped = [found for one in stretches if (found := _clip(one, from_ms, to_ms)) is not None]
    named: dict[Place, list[Stretch]] = {place: [] for place in gpu_counts}
    for stretch in clipped:
        if stretch.place not in named:
            raise DataError(f"a stretch is of {stretch.place}, which is not in the fleet")
        named[stretch.place].append(stretch)
    idle = [row for place, rows in named.items() for row in _idle(place, rows, gpu_counts[place],
                                                                  from_ms, to_ms)]  # fmt: skip
    return (*clipped, *idle)


def _clip(stretch: Stretch, from_ms: int, to_ms: int) -> Stretch | None:
    if stretch.from_ms > stretch.to_ms or stretch.gpu_count < 0:
        raise DataError(
            f"a stretch of {stretch.gpu_count} GPUs from {stretch.from_ms} to {stretch.to_ms} ms"
        )
    begin, end = max(stretch.from_ms, from_ms), min(stretch.to_ms, to_ms)
    if begin >= end or not stretch.gpu_count:
        return None
    return replace(stretch, from_ms=begin, to_ms=end)


def _idle(
    place: Place, stretches: Sequence[Stretch], gpu_count: int, from_ms: int, to_ms: int
) -> Iterator[Stretch]:
    change: dict[int, int] = defaultdict(int, {from_ms: 0, to_ms: 0})
    for stretch in stretches:
        change[stretch.from_ms] += stretch.gpu_count
        change[stretch.to_ms] -= stretch.gpu_count
    left = gpu_count
    for begin, end in pairwise(sorted(change)):
        left -= change[begin]
        if left < 0:
            raise DataError(
                f"at {begin} ms {gpu_count - left} GPUs of {place[0]} at {place[1]} are in some"
                f" state, and there are {gpu_count}"
            )
        if left:
            yield Stretch(*place, GpuState.IDLE, None, left, begin, end)


def by_hours(stretches: Iterable[Stretch]) -> Iterator[Stretch]:
    """The same time, cut wherever an hour begins (UTC)."""
    for stretch in stretches:
        begin = stretch.from_ms
        while begin < stretch.to_ms:
            end = min(stretch.to_ms, (begin // MS_PER_HOUR + 1) * MS_PER_HOUR)
            yield replace(stretch, from_ms=begin, to_ms=end)
            begin = end


_KEYS: Mapping[By, Callable[[Stretch], str]] = {
    "all": lambda _: "all",
    "type": lambda one: one.gpu_type,
    "site": lambda one: str(one.site_id),
    "term": lambda one: UNSOLD if one.term is None else one.term.value,
    "hour": lambda one: str(one.from_ms // MS_PER_HOUR * MS_PER_HOUR),
}


def utilisation(
    stretches: Sequence[Stretch], worths: Mapping[str, Worth], by: By = "all"
) -> tuple[UtilisationRow, ...]:
    """Sums of a whole fleet's time (see ``whole``), one row a group, by key.

    Args:
        stretches: all of them, so that they sum to the fleet.
        worths: by GPU type; each type that is there.
        by: what a group is.

    Raises:
        InputError: nobody said what a GPU-hour of a type is worth.
    """
    for gpu_type in sorted({stretch.gpu_type for stretch in stretches} - set(worths)):
        raise InputError(f"nobody said what a GPU-hour of {gpu_type} is worth and costs")
    groups: dict[str, list[Stretch]] = defaultdict(list)
    key_of = _KEYS[by]
    for stretch in by_hours(stretches) if by == "hour" else stretches:
        groups[key_of(stretch)].append(stretch)
    fleet = stretches if by == "term" else None
    return tuple(_row(key, groups[key], worths, fleet) for key in sorted(groups))


def _row(
    key: str,
    stretches: Sequence[Stretch],
    worths: Mapping[str, Worth],
    fleet: Sequence[Stretch] | None,
) -> UtilisationRow:
    gpu_ms: dict[GpuState, int] = dict.fromkeys(GpuState, 0)
    list_rated: dict[GpuState, int] = dict.fromkeys(GpuState, 0)
    rated = fixed = running = 0
    for one in stretches:
        worth, passed = worths[one.gpu_type], one.gpu_ms
        gpu_ms[one.state] += passed
        list_rated[one.state] += passed * worth.list_micro_usd_per_gpu_hour
        rated += one.rated
        fixed += passed * worth.fixed_micro_usd_per_gpu_hour
        if one.state in USED:
            running += passed * worth.running_micro_usd_per_gpu_hour
    capacity_list = sum(list_rated.values())
    capacity_gpu_ms = sum(gpu_ms.values())
    if fleet is not None:
        capacity_gpu_ms = sum(one.gpu_ms for one in fleet)
        capacity_list = sum(
            one.gpu_ms * worths[one.gpu_type].list_micro_usd_per_gpu_hour for one in fleet
        )
    cost = running if fleet is not None else fixed + running
    return UtilisationRow(
        key, capacity_gpu_ms, gpu_ms, list_rated, rated, cost, capacity_list, running
    )
