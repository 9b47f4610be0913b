"""The order in which requests that wait for room are tried, and who may pass whom.

The rule, in one place for the service and the twin (ADR-0027):

1. Of all projects, the one that holds the smallest part of its grant is tried first; within a
   project the oldest request first. So a project with many requests waits behind its own.
2. What does not fit is passed by what does, but not for ever: the front of a project's own line
   may be passed for ``patience_s``. After that it is served before everybody who could use the
   same GPUs, and while it does not fit, none of those starts. So room gathers for it.
3. What its project's limits forbid waits without blocking anybody, and its patience does not run.

Patience counts from when a request became the front of its project, not from when it was sent:
else a thousand requests sent at once would all run out of patience together and come before
everybody else's.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from typing import Literal

from gigawatt.ids import TenantId
from gigawatt.units import HOUR_S

WhyKind = Literal["room", "limit", "behind", "untried"]


@dataclass(frozen=True, slots=True)
class QueuePolicy:
    """How long a request may be passed, and how much is tried at once.

    Nothing is reserved and no start is promised: nobody says when clusters end.

    Fields:
        patience_s: how long a front may be passed by what fits; ``math.inf`` for ever.
        refusal_count_max: requests that may be refused in one round of tries, >= 1.
    """

    patience_s: float = 6.0 * HOUR_S
    refusal_count_max: int = 32


class Passage:
    """Who may still be tried in one round: the rule of patience.

    A place is where GPUs are that can stand for each other, e.g. one type in one fabric. Requests
    that share no place never delay each other.
    """

    def __init__(self, policy: QueuePolicy, now_s: float) -> None:
        """Begin a round in which everybody may be tried."""
        self._policy = policy
        self._now_s = now_s
        self._closed: set[str] = set()
        self._refusal_count = 0

    def is_over(self) -> bool:
        """Whether enough was tried for one round."""
        return self._refusal_count >= self._policy.refusal_count_max

    def is_closed(self, places: Iterable[str]) -> bool:
        """Whether somebody who ran out of patience waits for one of these places."""
        return not self._closed.isdisjoint(places)

    def is_overdue(self, front_since_s: float | None) -> bool:
        """Whether somebody who is in front since then may no longer be passed."""
        return front_since_s is not None and self._now_s - front_since_s >= self._policy.patience_s

    def count_refusal(self) -> None:
        """One more was tried and did not fit."""
        self._refusal_count += 1

    def leave(self, places: Iterable[str], front_since_s: float | None) -> None:
        """Somebody stays waiting; if their patience is over, nobody passes them at their places."""
        if self.is_overdue(front_since_s):
            self._closed.update(places)


@dataclass(frozen=True, slots=True)
class Waiter:
    """One waiting request, as the queue sees it.

    Fields:
        waiting_id: of the request; breaks ties.
        project_id: whose it is.
        gpu_count: GPUs it would hold, spares included, >= 1.
        gpu_type: the type it is counted under before it has one.
        places: where it could go, see ``Passage``; not empty.
        since_s: when it was sent, Unix seconds.
        front_since_s: when it became the front of its project; None when it is not.
        profile: requests of equal profile fit or fail together; empty for one like no other.
    """

    waiting_id: str
    project_id: TenantId
    gpu_count: int
    gpu_type: str
    places: frozenset[str]
    since_s: float
    front_since_s: float | None = None
    profile: str = ""

    @property
    def order(self) -> tuple[float, str]:
        """Place in its project's own line."""
        return self.since_s, self.waiting_id


@dataclass(frozen=True, slots=True)
class Standing:
    """What a project holds and may hold.

    Fields:
        weight: its part of the fleet is divided by this, > 0; GPUs granted, or 1 for all.
        held_gpu_count: GPUs held, by type.
        room_gpu_count: GPUs that it may hold beside these.
    """

    weight: float
    held_gpu_count: Mapping[str, int]
    room_gpu_count: int


@dataclass(frozen=True, slots=True)
class Why:
    """Why a request was not started in a round: a kind for programs, a sentence for people."""

    kind: WhyKind
    sentence: str


def dominant_share(held: Mapping[str, int], supply: Mapping[str, int], weight: float) -> float:
    """The largest part that a project holds of the GPUs of any one type, by its weight.

    Args:
        held: GPUs held by type.
        supply: GPUs that there are by type; types that are not there count nothing.
        weight: > 0.

    Source: Ghodsi et al., "Dominant Resource Fairness", NSDI 2011, with weights (section 4.3).

    Example:
        >>> dominant_share({"h100": 64, "b200": 64}, {"h100": 512, "b200": 128}, 2.0)
        0.25
    """
    parts = (count / supply[name] for name, count in held.items() if supply.get(name))
    return max(parts, default=0.0) / weight


class FairRound:
    """One round of tries over everything that waits; pure bookkeeping, its caller does the trying.

    Take ``next_waiter``, try it, and say ``start`` or ``refuse`` before taking the next one.

    Attributes:
        reasons: why each of those that were looked at and not started waits, by id.
    """

    def __init__(
        self,
        waiting: Collection[Waiter],
        standings: Mapping[TenantId, Standing],
        supply: Mapping[str, int],
        policy: QueuePolicy,
        now_s: float,
    ) -> None:
        """Begin; the order of ``waiting`` does not matter. ``supply``: GPUs by type."""
        self.reasons: dict[str, Why] = {}
        self._supply = supply
        self._standings = standings
        self._passage = Passage(policy, now_s)
        self._held = {p: dict(standing.held_gpu_count) for p, standing in standings.items()}
        self._room = {p: standing.room_gpu_count for p, standing in standings.items()}
        newest_first = sorted(waiting, key=lambda w: w.order, reverse=True)
        self._all = newest_first
        # An overdue front stands in line by itself, before its project's turn.
        self._overdue = [w for w in newest_first if self._passage.is_overdue(w.front_since_s)]
        self._overdue.sort(key=lambda w: (w.front_since_s or 0.0, *w.order), reverse=True)
        self._lines: dict[TenantId, list[Waiter]] = {}
        for waiter in newest_first:
            if not self._passage.is_overdue(waiter.front_since_s):
                self._lines.setdefault(waiter.project_id, []).append(waiter)
        self._started: set[str] = set()
        self._hopeless: set[str] = set()
        self._heap = [self._entry(project_id) for project_id in self._lines]
        heapify(self._heap)

    def _entry(self, project_id: TenantId) -> tuple[float, tuple[float, str], TenantId]:
        standing = self._standings[project_id]
        share = dominant_share(self._held[project_id], self._supply, standing.weight)
        return share, self._lines[project_id][-1].order, project_id

    def next_waiter(self) -> Waiter | None:
        """Who is to be tried now; None when the round is over."""
        while not self._passage.is_over():
            waiter = self._pop()
            if waiter is None:
                return None
            why = self._why_not(waiter)
            if why is None:
                return waiter
            self._leave(waiter, why)
        return None

    def _pop(self) -> Waiter | None:
        if self._overdue:
            return self._overdue.pop()
        if not self._heap:
            return None
        _, _, project_id = heappop(self._heap)
        waiter = self._lines[project_id].pop()
        if self._lines[project_id]:
            heappush(self._heap, self._entry(project_id))
        return waiter

    def _why_not(self, waiter: Waiter) -> Why | None:
        """Why it makes no sense, or is not fair, to try somebody now."""
        room = self._room[waiter.project_id]
        if waiter.gpu_count > room:
            text = (
                f"it wants {waiter.gpu_count:,} GPUs and its project may hold {max(room, 0):,} more"
            )
            return Why("limit", text)
        if self._passage.is_closed(waiter.places):
            return Why("behind", "a request that was passed for too long is served first")
        if waiter.profile and waiter.profile in self._hopeless:
            return Why("room", "an equal request did not fit just before")
        return None

    def start(self, waiter: Waiter, gpu_type: str) -> None:
        """It got its GPUs, of a type."""
        project_id = waiter.project_id
        self._started.add(waiter.waiting_id)
        self._room[project_id] -= waiter.gpu_count
        held = self._held[project_id]
        held[gpu_type] = held.get(gpu_type, 0) + waiter.gpu_count
        # The entry in the heap has the share of before.
        self._heap = [entry for entry in self._heap if entry[2] != project_id]
        if self._lines.get(project_id):
            self._heap.append(self._entry(project_id))
        heapify(self._heap)

    def refuse(self, waiter: Waiter, why: Why) -> None:
        """It was tried in vain: there is no room ("room"), or its project may not ("limit")."""
        if why.kind == "room":
            self._passage.count_refusal()
            self._hopeless.add(waiter.profile)
        self._leave(waiter, why)

    def _leave(self, waiter: Waiter, why: Why) -> None:
        self.reasons[waiter.waiting_id] = why
        if why.kind != "limit":
            self._passage.leave(waiter.places, waiter.front_since_s)

    def fronts(self) -> frozenset[str]:
        """Ids of those who are now first of their project among those that its limits allow."""
        found: dict[TenantId, str] = {}
        for waiter in self._all:
            why = self.reasons.get(waiter.waiting_id)
            is_limited = why is not None and why.kind == "limit"
            if waiter.waiting_id not in self._started and not is_limited:
                found[waiter.project_id] = waiter.waiting_id
        return frozenset(found.values())


def line_up(
    waiting: Collection[Waiter],
    standings: Mapping[TenantId, Standing],
    supply: Mapping[str, int],
    policy: QueuePolicy,
    now_s: float,
) -> tuple[Waiter, ...]:
    """Those that wait, in the order in which they would start if everything fitted.

    Those that their project's limits would hold back are left out. Arguments as for ``FairRound``.
    """
    fair = FairRound(waiting, standings, supply, policy, now_s)
    found = []
    while (waiter := fair.next_waiter()) is not None:
        fair.start(waiter, waiter.gpu_type)
        found.append(waiter)
    return tuple(found)


def before(line: Sequence[Waiter], waiter: Waiter) -> tuple[Waiter, ...]:
    """Those in a line who come before somebody and could use the same GPUs."""
    found = []
    for other in line:
        if other.waiting_id == waiter.waiting_id:
            break
        if other.places & waiter.places:
            found.append(other)
    return tuple(found)
