"""Care of promises: a node that broke is replaced in the calendar, or its holder is told and paid.

A promise is of places, so a node that was taken out of use leaves a gap. Another node that nobody
was promised takes its place if it fits by topology; spot on it gives way with notice. Where there
is none the reservation is short, which its holder and the operator are told by name, and the time
is credited. Whatever becomes of it is one transaction of the store, so any number of servers may
do this at once (ADR-0049).
"""

import logging
from collections.abc import Callable

import numpy as np

from gigawatt.app.control import Control
from gigawatt.app.market.room import Room
from gigawatt.errors import ConflictError
from gigawatt.fleet.model import U16, Fleet
from gigawatt.ids import NodeId
from gigawatt.intent.request import ClusterRequest, Level
from gigawatt.interfaces.reservations import ReservationBook, ReservationRecord, Swap
from gigawatt.interfaces.store import StoreSnapshot
from gigawatt.placement.place import place
from gigawatt.placement.result import Placement
from gigawatt.units import DAY_S

LOOK_EVERY_S = 30.0
"""Pause between two looks at broken promised nodes. Ours."""

AHEAD_S = 1.0 * DAY_S
"""Of a reservation that starts later than this nothing is replaced: by then it is mended. Ours."""

_log = logging.getLogger("gigawatt.promises")

_GROUPS: dict[Level, Callable[[Fleet], np.ndarray[tuple[int], np.dtype[np.int32]]]] = {
    Level.NVLINK_DOMAIN: lambda fleet: fleet.nodes.nvlink_domain,
    Level.LEAF_GROUP: lambda fleet: fleet.nodes.leaf_group,
    Level.POD: lambda fleet: fleet.pod_of_node,
}


class PromiseCare:
    """Looks after promised nodes that are out of use, for one server."""

    def __init__(self, control: Control, book: ReservationBook) -> None:
        """Mend the promises of a book."""
        self._control = control
        self._book = book
        self._policy = control.notice_policy
        self._due_s = 0.0

    def run_if_due(self) -> int:
        """Look, if it is time; promises that were changed."""
        now_s = self._control.around.clock.now_s()
        if now_s < self._due_s:
            return 0
        self._due_s = now_s + LOOK_EVERY_S
        return self.look()

    def look(self) -> int:
        """Replace what is broken, or say that nothing fits; how many promises were changed."""
        now_s = self._control.around.clock.now_s()
        stored = self._control.around.store.snapshot(now_s)
        changed = 0
        for record in self._book.booked(now_s):
            if now_s >= record.promise.to_s:
                changed += self._look_back(record, stored, now_s)
            elif record.promise.from_s - AHEAD_S <= now_s:
                changed += self._look_at(record, stored, now_s)
        return changed

    def _look_back(self, record: ReservationRecord, stored: StoreSnapshot, now_s: float) -> int:
        """Note what was missing of a promise when it ended, and nobody had looked at since."""
        changed = 0
        for node_id in sorted(_out_of_use(record, stored) - _open_gaps(record)):
            try:
                changed += self._book.note_gap(record.reservation_id, node_id, now_s)
            except ConflictError as error:
                _log.info("%s ended as it was: %s", record.reservation_id, error)
        return changed

    def _look_at(self, record: ReservationRecord, stored: StoreSnapshot, now_s: float) -> int:
        there = self._control.around.fleet.nodes.index_of.keys()
        # Of a node that is not in the fleet any more nobody knows what would stand in for it.
        out, known = _out_of_use(record, stored) & there, _open_gaps(record)
        changed = sum(
            self._book.end_gap(record.reservation_id, node_id, now_s)
            for node_id in sorted(known - out)
        )
        for node_id in sorted(out):
            try:
                changed += self._mend(record, node_id, now_s)
            except ConflictError as error:
                # Somebody was faster, or the node was mended: the next look comes soon.
                _log.info("%s stays as it is: %s", record.reservation_id, error)
        return changed

    def _mend(self, record: ReservationRecord, node_id: NodeId, now_s: float) -> bool:
        # Read anew: what was replaced just before is taken now.
        fresh = self._book.get(record.reservation_id)
        if fresh.state != "booked" or node_id not in _promised(fresh):
            return False
        around = self._control.around
        room = Room(around.fleet, around.store.snapshot(now_s), self._policy, now_s)
        found = self._another(room, fresh, node_id)
        if found is None:
            return self._book.note_gap(fresh.reservation_id, node_id, now_s)
        self._book.swap(fresh.reservation_id, found, self._policy, now_s)
        return True

    def _another(self, room: Room, record: ReservationRecord, node_id: NodeId) -> Swap | None:
        """A node that can take the place of one; those that are free at once come first."""
        promise, fleet, now_s = record.promise, room.fleet, room.now_s
        for free_s in (now_s, now_s + self._policy.lead_s):
            ready_s = max(promise.from_s, free_s)
            free = room.mask(ready_s, promise.to_s, promised_from_s=promise.from_s)
            new_id = _nearest(fleet, _fitting(fleet, free, record, node_id), record, node_id)
            if new_id is not None:
                paid = _rows(fleet, promise.node_ids - {node_id})
                if node_id in promise.node_ids:
                    paid.append(fleet.nodes.index_of[new_id])
                leaf_group_count = len(np.unique(fleet.nodes.leaf_group[paid]))
                return Swap(node_id, new_id, ready_s, leaf_group_count)
        return None


def _promised(record: ReservationRecord) -> frozenset[NodeId]:
    return record.promise.node_ids | record.promise.growth_node_ids


def _open_gaps(record: ReservationRecord) -> set[NodeId]:
    return {gap.node_id for gap in record.gaps if gap.until_s is None}


def _out_of_use(record: ReservationRecord, stored: StoreSnapshot) -> set[NodeId]:
    """Promised nodes that their holder cannot have: a drained one works on for who is on it."""
    theirs = {
        node_id
        for node_id, cluster_id in stored.allocations
        if (holder := stored.clusters.get(cluster_id)) is not None
        and holder.target is not None
        and holder.target.reservation_id == record.reservation_id
    }
    return {
        node_id
        for node_id in _promised(record)
        if (state := stored.node_states.get(node_id)) is not None
        and not (state[0] == "drained" and node_id in theirs)
    }


def _rows(fleet: Fleet, node_ids: frozenset[NodeId]) -> list[int]:
    index_of = fleet.nodes.index_of
    return [index_of[name] for name in sorted(node_ids) if name in index_of]


def _fitting(fleet: Fleet, free: U16, record: ReservationRecord, node_id: NodeId) -> U16:
    """uint16[N]: free GPUs of nodes like the one that broke, where the reservation may be."""
    row = fleet.nodes.index_of[node_id]
    good = (fleet.nodes.type == fleet.nodes.type[row]) & (
        fleet.fabric_of_node == fleet.fabric_of_node[row]
    )
    rest = _rows(fleet, record.promise.node_ids - {node_id})
    group_of = _GROUPS.get(record.keep_together)
    if group_of is not None and rest and node_id in record.promise.node_ids:
        groups = group_of(fleet)
        good &= np.isin(groups, groups[rest])
    return np.where(good, free, 0).astype(np.uint16)


def _nearest(fleet: Fleet, free: U16, record: ReservationRecord, node_id: NodeId) -> NodeId | None:
    """The node among free ones that is nearest to the rest of the reservation."""
    wish = ClusterRequest(
        tenant_id=record.project_id,
        name=record.name,
        gpu_count=int(fleet.gpu_count_of_node[fleet.nodes.index_of[node_id]]),
        gpu_type=record.gpu_type,
    )
    near = _rows(fleet, _promised(record) - {node_id})
    answer = place(fleet, free, wish, near)
    if not isinstance(answer, Placement):
        return None
    return fleet.node_id(answer.members[0][0])
