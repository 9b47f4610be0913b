"""The floor: who has which GPU of which node, and what state each GPU is in at every moment."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from gigawatt.fleet.model import U16, Fleet
from gigawatt.fleet.slices import aligned_masks
from gigawatt.ids import ClusterId, SiteId
from gigawatt.intent.term import Term
from gigawatt.market.stranded import stranded
from gigawatt.market.utilisation import GpuState
from gigawatt.placement.supply import Mask
from gigawatt.twin.market.demand import Wish
from gigawatt.twin.market.tally import BROKEN, IDLE, STRANDED, Kind, Tally

OPEN = -1
"""In ``reserved_by``: promised to nobody."""


_Kinds = tuple[tuple[Kind, int], ...]


@dataclass(slots=True, eq=False)
class Run:
    """One cluster of a wish.

    Fields:
        term, price_micro_usd_per_gpu_hour: how it is held; 0 where a reservation covers it.
        area: the reservation in which it runs, OPEN for none; spot has OPEN.
        members: GPU mask by node row.
        is_delivered: whether its tenant has it and pays.
        is_leaving: whether it was told to stop.
        broken_rows: members that broke and are not replaced yet.
        joining_rows: their replacements, which are not members yet.
        work_from_ms: since when it works.
        version: raised by whatever makes its planned end void.
    """

    cluster_id: ClusterId
    wish: Wish
    term: Term
    price_micro_usd_per_gpu_hour: int
    area: int
    members: dict[int, int]
    is_delivered: bool = False
    is_leaving: bool = False
    is_over: bool = False
    broken_rows: set[int] = field(default_factory=set)
    joining_rows: set[int] = field(default_factory=set)
    work_from_ms: int = 0
    version: int = 0

    @property
    def gpu_count(self) -> int:
        """GPUs of all members."""
        return sum(mask.bit_count() for mask in self.members.values())


class Floor:
    """Nodes of a fleet of one type and fabric.

    Attributes:
        free: uint16[N], GPUs that are free on nodes that work.
        coming: uint16[N], GPUs that will be free soon: being cleaned, or told to leave.
        reserved_by: int64[N], reservation of each node, or OPEN.
        is_broken: bool[N].
        runs_on: clusters on each node.
        tally: what state GPUs were in.
    """

    def __init__(self, fleet: Fleet, reserved_micro_usd: int, credit_percent: int) -> None:
        """All free. The price of reserved GPU-hours, and what lenders are credited of spot."""
        count = len(fleet.nodes)
        self.fleet = fleet
        self.full = int(fleet.full_gpu_mask_of_node[0])
        self.free: U16 = fleet.full_gpu_mask_of_node.copy()
        self.coming: U16 = np.zeros(count, np.uint16)
        self.reserved_by = np.full(count, OPEN, np.int64)
        self.is_broken: Mask = np.zeros(count, np.bool_)
        self.runs_on: list[dict[Run, int]] = [{} for _ in range(count)]
        node_type = fleet.node_types[0]
        self.tally = Tally(node_type.gpu_type, SiteId(fleet.sites.ids[0]))
        self.gpus_per_node = node_type.gpu_count
        self._cleaning = [0] * count
        self._reserved_micro_usd = reserved_micro_usd
        self._credit_percent = credit_percent
        self._kinds: list[_Kinds] = [()] * count
        self._stranded = 0
        self._fabric = fleet.fabric_of_node.astype(np.int64)
        self.recount(range(count), 0)

    def credit_micro_usd(self, run: Run, row: int) -> int:
        """What the lender of a node is credited for each GPU-hour of a cluster on it."""
        if run.term is not Term.SPOT or self.reserved_by[row] == OPEN:
            return 0
        return run.price_micro_usd_per_gpu_hour * self._credit_percent // 100

    def free_in(self, area: int) -> U16:
        """uint16[N]: what is free of a reservation's nodes, or of those promised to nobody."""
        return np.where(self.reserved_by == area, self.free, 0).astype(np.uint16)

    def has_room_soon(self, area: int, gpu_count: int) -> bool:
        """Whether a cluster fits when all that is coming is there."""
        soon = np.where(self.reserved_by == area, self.free | self.coming, 0)
        if gpu_count >= self.gpus_per_node:
            return bool((soon == self.full).sum() * self.gpus_per_node >= gpu_count)
        masks = aligned_masks(self.gpus_per_node, gpu_count)
        return any(bool((soon & mask == mask).any()) for mask in masks)

    def take(self, run: Run, members: Mapping[int, int], now_ms: int) -> None:
        """A cluster holds GPUs that are free."""
        for row, mask in members.items():
            assert int(self.free[row]) & mask == mask, f"{run.cluster_id} takes what is not free"
            self.free[row] &= np.uint16(~mask & 0xFFFF)
            self.runs_on[row][run] = mask
        self.recount(members, now_ms)

    def tell_to_leave(self, run: Run) -> None:
        """What a cluster holds will be free soon."""
        for row, mask in run.members.items():
            if not self.is_broken[row]:
                self.coming[row] |= np.uint16(mask)

    def let_go(self, run: Run, rows: Iterable[int], now_ms: int) -> dict[int, int]:
        """A cluster leaves nodes; what has to be cleaned, by row."""
        dirty: dict[int, int] = {}
        touched = list(rows)
        for row in touched:
            mask = self.runs_on[row].pop(run)
            if not self.is_broken[row]:
                self.coming[row] |= np.uint16(mask)
                self._cleaning[row] |= mask
                dirty[row] = mask
        self.recount(touched, now_ms)
        return dirty

    def cleaned(self, dirty: Mapping[int, int], now_ms: int) -> None:
        """GPUs are clean; those of a node that broke meanwhile come back with its repair."""
        for row, mask in dirty.items():
            clean = mask & self._cleaning[row]
            self._cleaning[row] &= ~clean
            self.coming[row] &= np.uint16(~clean & 0xFFFF)
            self.free[row] |= np.uint16(clean)
        self.recount(dirty, now_ms)

    def break_node(self, row: int, now_ms: int) -> None:
        """A node works no more."""
        self.is_broken[row] = True
        self.free[row] = self.coming[row] = self._cleaning[row] = 0
        self.recount((row,), now_ms)

    def mend_node(self, row: int, now_ms: int) -> None:
        """A node works again, and is clean."""
        assert not self.runs_on[row], f"node row {row} is mended under a cluster"
        self.is_broken[row] = False
        self.free[row] = self.full
        self.recount((row,), now_ms)

    def reserve(self, rows: Collection[int], area: int, now_ms: int) -> None:
        """Nodes are promised to a reservation, or to nobody."""
        self.reserved_by[list(rows)] = area
        self.recount(rows, now_ms)

    def recount(self, rows: Iterable[int], now_ms: int) -> None:
        """Take over what state the GPUs of some nodes are in now."""
        deltas: dict[Kind, int] = {}
        for row in rows:
            old, new = self._kinds[row], self._kinds_of(row)
            if old == new:
                continue
            self._kinds[row] = new
            for kind, count in old:
                deltas[kind] = deltas.get(kind, 0) - count
            for kind, count in new:
                deltas[kind] = deltas.get(kind, 0) + count
        self.tally.change(deltas, now_ms)

    def _kinds_of(self, row: int) -> _Kinds:
        """What the GPUs of a node are in now; a kind may be there more than once."""
        if self.is_broken[row]:
            return ((BROKEN, self.gpus_per_node),)
        is_reserved = self.reserved_by[row] != OPEN
        term = Term.RESERVED if is_reserved else None
        price = self._reserved_micro_usd if is_reserved else 0
        found: list[tuple[Kind, int]] = []
        left = self.gpus_per_node
        for run, mask in self.runs_on[row].items():
            kind = Kind(GpuState.HELD, term, price)
            if run.is_delivered and row not in run.joining_rows:
                paid = run.price_micro_usd_per_gpu_hour - self.credit_micro_usd(run, row)
                kind = Kind(GpuState.BILLED, run.term, price + paid)
            found.append((kind, mask.bit_count()))
            left -= mask.bit_count()
        dirty = self._cleaning[row].bit_count()
        if dirty:
            found.append((Kind(GpuState.CLEANING, term, price), dirty))
        if left > dirty:
            kind = Kind(GpuState.KEPT, term, price) if is_reserved else IDLE
            found.append((kind, left - dirty))
        return tuple(found)

    def strand(self, asked: Collection[int], now_ms: int) -> None:
        """Tell stranded GPUs from idle ones, for the sizes that somebody waits for."""
        count = 0
        if asked:
            free = self.free_in(OPEN)
            count = stranded(free, self._fabric, self.gpus_per_node, asked).gpu_count
        if count != self._stranded:
            more = count - self._stranded
            self.tally.change({STRANDED: more, IDLE: -more}, now_ms)
            self._stranded = count
