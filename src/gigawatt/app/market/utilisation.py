"""Utilisation of the fleet from the store: what was held, billed, broken, stranded and free."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from gigawatt.app.economics_cost import both_views
from gigawatt.economics.gpu_hour.inputs import CostInputs
from gigawatt.errors import InputError
from gigawatt.fleet.model import Fleet
from gigawatt.ids import NodeId, SiteId
from gigawatt.intent.term import Term
from gigawatt.interfaces.fleet_history import FleetHistory
from gigawatt.interfaces.reservations import ReservationBook
from gigawatt.interfaces.turned_away import TurnedAwayBook, TurnedAwayFilter
from gigawatt.interfaces.usage import UsageBook, UsageQuery
from gigawatt.interfaces.waiting import WaitingRoom
from gigawatt.market.gap import paid_nodes
from gigawatt.market.meter import MS_PER_HOUR
from gigawatt.market.node_time import Hold, NodeTime, Paid, free_masks, node_stretches
from gigawatt.market.stranded import stranded
from gigawatt.market.utilisation import (
    By,
    GpuState,
    Place,
    Stretch,
    UtilisationRow,
    Worth,
    utilisation,
    whole,
)
from gigawatt.money import MICRO_USD_PER_USD

DAYS_MAX = 400
HOUR_ROWS_MAX = 24 * 92
"""Days of one answer, and hours where it is by hour. Ours."""
ASKED_FOR_MS = MS_PER_HOUR
"""How long a request that was refused at once counts as asking. Ours: nobody says until when they
would still have taken it."""
REFUSALS_READ_MAX = 10_000
EVERYTHING_BEFORE = 1 << 62


@dataclass(frozen=True, slots=True)
class Asked:
    """A size that somebody waited for in vain, from when to when; ``gpu_type`` None for any."""

    gpu_type: str | None
    gpu_count: int
    from_ms: int
    to_ms: int


@dataclass(frozen=True, slots=True)
class UtilisationReport:
    """Utilisation of a window.

    Fields:
        from_ms, to_ms: the window.
        rows: by what was asked.
        in_part_gpu_ms, too_few_gpu_ms: of stranded GPUs, those on nodes of which another part is
            taken, and those of which too few are together.
        asked_in_vain: requests that waited or were refused for want of room, by type and size, and
            the GPUs they wanted.
        worths: by GPU type.
    """

    from_ms: int
    to_ms: int
    rows: tuple[UtilisationRow, ...]
    in_part_gpu_ms: int
    too_few_gpu_ms: int
    asked_in_vain: Mapping[tuple[str, int], tuple[int, int]]
    worths: Mapping[str, Worth]


@dataclass(frozen=True, slots=True)
class UtilisationSources:
    """Where a report is read from."""

    fleet: Fleet
    room: WaitingRoom
    book: TurnedAwayBook
    usage: UsageBook
    history: FleetHistory
    reservations: ReservationBook


def worth_of(list_micro_usd: int, inputs: CostInputs) -> Worth:
    """What a GPU-hour is worth, by the accounting cost of the given inputs.

    The cost of a sold hour at full utilisation, less the energy that only a used GPU takes, is what
    an hour costs that the GPU is there.
    """
    cost = both_views(replace(inputs, utilisation_share=1.0))[0]
    running = cost.power_load_usd * inputs.pue
    return Worth(
        list_micro_usd,
        round((cost.total_usd - running) * MICRO_USD_PER_USD),
        round(running * MICRO_USD_PER_USD),
    )


def worths_of(fleet: Fleet, inputs: CostInputs) -> dict[str, Worth]:
    """By GPU type, at the list price of the fleet; the dearest where node types differ."""
    prices: dict[str, int] = {}
    for node_type in fleet.node_types:
        price = node_type.price_micro_usd_per_gpu_hour
        prices[node_type.gpu_type] = max(prices.get(node_type.gpu_type, 0), price)
    return {gpu_type: worth_of(price, inputs) for gpu_type, price in prices.items()}


@dataclass(frozen=True, slots=True)
class FleetTime:
    """What every GPU was doing in a window, and who asked in vain; rows of any kind are its sums.

    Fields: ``stretches`` sum to the fleet; the rest is as in ``UtilisationReport``.
    """

    from_ms: int
    to_ms: int
    stretches: tuple[Stretch, ...]
    in_part_gpu_ms: int
    too_few_gpu_ms: int
    asked_in_vain: Mapping[tuple[str, int], tuple[int, int]]
    worths: Mapping[str, Worth]

    def report(self, by: By) -> UtilisationReport:
        """The sums by one thing."""
        return UtilisationReport(
            from_ms=self.from_ms,
            to_ms=self.to_ms,
            rows=utilisation(self.stretches, self.worths, by),
            in_part_gpu_ms=self.in_part_gpu_ms,
            too_few_gpu_ms=self.too_few_gpu_ms,
            asked_in_vain=self.asked_in_vain,
            worths=self.worths,
        )


def refuse_window(window: tuple[int, int], by: By) -> None:
    """Nothing, for a window that a report can be made of.

    Raises:
        InputError: it is empty, too long, or has too many hours for rows of hours.
    """
    hours = (window[1] - window[0]) / MS_PER_HOUR
    if not 0 < hours <= DAYS_MAX * 24 or (by == "hour" and hours > HOUR_ROWS_MAX):
        raise InputError(
            f"the window has {hours:,.1f} hours, wanted more than 0, up to {DAYS_MAX} days, and up"
            f" to {HOUR_ROWS_MAX // 24} days by hour",
            next_step="Ask for another window.",
        )


def fleet_time(
    sources: UtilisationSources, window: tuple[int, int], inputs: CostInputs
) -> FleetTime:
    """What every GPU was doing in a window that has passed.

    Raises:
        DataError: the store says that a GPU was in two states at once.
    """
    from_ms, to_ms = window
    fleet = sources.fleet
    nodes = _node_times(sources, fleet, from_ms, to_ms)
    named = [stretch for node in nodes.values() for stretch in node_stretches(node)]
    asked = asked_in(sources, from_ms, to_ms)
    lost = list(_stranded(fleet, nodes, asked, window))
    stretches = whole([*named, *(row for row, _ in lost)], _capacity(fleet), from_ms, to_ms)
    in_part = sum(part * (row.to_ms - row.from_ms) for row, part in lost)
    return FleetTime(
        from_ms=from_ms,
        to_ms=to_ms,
        stretches=tuple(stretches),
        in_part_gpu_ms=in_part,
        too_few_gpu_ms=sum(row.gpu_ms for row, _ in lost) - in_part,
        asked_in_vain=_by_size(asked),
        worths=worths_of(fleet, inputs),
    )


def _place_of(fleet: Fleet, row: int) -> Place:
    site_id = SiteId(fleet.sites.ids[int(fleet.site_of_node[row])])
    return fleet.node_type(row).gpu_type, site_id


def _capacity(fleet: Fleet) -> dict[Place, int]:
    found: dict[Place, int] = defaultdict(int)
    for type_index, node_type in enumerate(fleet.node_types):
        sites, counts = np.unique(
            fleet.site_of_node[fleet.nodes.type == type_index], return_counts=True
        )
        for site, count in zip(sites.tolist(), counts.tolist(), strict=True):
            place = node_type.gpu_type, SiteId(fleet.sites.ids[site])
            found[place] += count * node_type.gpu_count
    return dict(found)


def _node_times(
    sources: UtilisationSources, fleet: Fleet, from_ms: int, to_ms: int
) -> dict[NodeId, NodeTime]:
    """Nodes to which anything happened; those that have left the fleet are left out."""
    holds: dict[NodeId, list[Hold]] = defaultdict(list)
    for row in sources.history.holdings(from_ms, to_ms):
        is_leaving = row.kind == "leaving"
        holds[row.node_id].append(Hold(row.gpu_mask, is_leaving, row.from_ms, row.to_ms))
    billed: dict[NodeId, list[Paid]] = defaultdict(list)
    query = UsageQuery(from_ms, to_ms)
    for usage in (*sources.usage.usages(query), *sources.usage.under_way(to_ms, query)):
        price = usage.price_micro_usd_per_gpu_hour
        paid = Paid(usage.gpu_count, usage.term, price, usage.from_ms, usage.to_ms)
        billed[usage.node_id].append(paid)
    outages: dict[NodeId, list[tuple[int, int]]] = defaultdict(list)
    for outage in sources.history.outages(from_ms, to_ms):
        outages[outage.node_id].append((outage.from_ms, outage.to_ms))
    kept = _kept(sources.reservations, from_ms, to_ms)
    index_of = fleet.nodes.index_of
    return {
        node_id: NodeTime(
            _place_of(fleet, index_of[node_id]),
            int(fleet.full_gpu_mask_of_node[index_of[node_id]]),
            holds[node_id],
            billed[node_id],
            kept[node_id],
            outages[node_id],
        )
        for node_id in sorted({*holds, *billed, *outages, *kept})
        if node_id in index_of
    }


def _kept(book: ReservationBook, from_ms: int, to_ms: int) -> dict[NodeId, list[Paid]]:
    """Reservations of nodes that were in force; growth room is kept free and not paid for."""
    found: dict[NodeId, list[Paid]] = defaultdict(list)
    for record in book.between(None, from_ms / 1000, to_ms / 1000):
        price = record.price_micro_usd_per_gpu_hour
        if record.state != "booked":
            continue
        for node_id, begin_s, end_s in paid_nodes(record.promise, record.gaps):
            begin, end = max(round(begin_s * 1000), from_ms), min(round(end_s * 1000), to_ms)
            if begin < end:
                found[node_id].append(Paid(0, Term.RESERVED, price, begin, end))
    return found


def asked_in(sources: UtilisationSources, from_ms: int, to_ms: int) -> list[Asked]:
    """Sizes that were asked for in vain in a window: those that wait, and those turned away."""
    found = [
        Asked(row.request.gpu_type, row.gpu_count, round(row.since_s * 1000), to_ms)
        for row in sources.room.waiting()
    ]
    wanted = TurnedAwayFilter(since_s=from_ms / 1000, until_s=to_ms / 1000, cause="capacity")
    for away in sources.book.page(wanted, EVERYTHING_BEFORE, REFUSALS_READ_MAX):
        if away.origin == "plan":
            continue
        at_ms, gpu_type = round(away.at_s * 1000), away.gpu_type
        begin = at_ms - round(away.waited_s * 1000)
        end = at_ms if away.waited_s else at_ms + ASKED_FOR_MS
        found.append(Asked(None if gpu_type == "any" else gpu_type, away.gpu_count, begin, end))
    clipped = (replace(a, from_ms=max(a.from_ms, from_ms), to_ms=min(a.to_ms, to_ms))
               for a in found)  # fmt: skip
    return [one for one in clipped if one.from_ms < one.to_ms]


def _by_size(asked: Sequence[Asked]) -> dict[tuple[str, int], tuple[int, int]]:
    found: dict[tuple[str, int], tuple[int, int]] = {}
    for one in asked:
        key = one.gpu_type or "any", one.gpu_count
        count, gpu_count = found.get(key, (0, 0))
        found[key] = count + 1, gpu_count + one.gpu_count
    return dict(sorted(found.items()))


def _stranded(
    fleet: Fleet, nodes: Mapping[NodeId, NodeTime], asked: Sequence[Asked], window: tuple[int, int]
) -> Iterator[tuple[Stretch, int]]:
    """Stretches of stranded GPUs, and how many of them lie on nodes that are used in part."""
    for type_index, node_type in enumerate(fleet.node_types):
        mine = [one for one in asked if one.gpu_type in {None, node_type.gpu_type}]
        if mine:
            for site in np.unique(fleet.site_of_node[fleet.nodes.type == type_index]).tolist():
                yield from _stranded_of(fleet, (type_index, site), nodes, mine, window)


def _stranded_of(
    fleet: Fleet,
    kind: tuple[int, int],
    nodes: Mapping[NodeId, NodeTime],
    asked: Sequence[Asked],
    window: tuple[int, int],
) -> Iterator[tuple[Stretch, int]]:
    """Of one node type at one site: time is walked from change to change."""
    rows = np.flatnonzero((fleet.nodes.type == kind[0]) & (fleet.site_of_node == kind[1]))
    free = fleet.full_gpu_mask_of_node[rows].copy()
    fabric = fleet.fabric_of_node[rows].astype(np.int64)
    node_type = fleet.node_types[kind[0]]
    changes = sorted(_free_changes(fleet, rows.tolist(), nodes, window))
    moments = sorted({*window, *(at_ms for at_ms, _, _ in changes),
                      *(edge for one in asked for edge in (one.from_ms, one.to_ms))})  # fmt: skip
    place = node_type.gpu_type, SiteId(fleet.sites.ids[kind[1]])
    position = 0
    for begin, end in pairwise(moments):
        while position < len(changes) and changes[position][0] <= begin:
            _, number, mask = changes[position]
            free[number] = mask
            position += 1
        sizes = {one.gpu_count for one in asked if one.from_ms <= begin < one.to_ms}
        found = stranded(free, fabric, node_type.gpu_count, sizes)
        if found.gpu_count:
            row = Stretch(*place, GpuState.STRANDED, None, found.gpu_count, begin, end)
            yield row, found.in_part


def _free_changes(
    fleet: Fleet, rows: Iterable[int], nodes: Mapping[NodeId, NodeTime], window: tuple[int, int]
) -> Iterator[tuple[int, int, int]]:
    """(moment, number of the node, free GPUs) of every change."""
    for number, row in enumerate(rows):
        node = nodes.get(NodeId(fleet.nodes.ids[row]))
        if node is not None:
            for at_ms, mask in free_masks(node, *window):
                yield at_ms, number, mask
