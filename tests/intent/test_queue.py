"""The order of waiting requests, and who may pass whom.

Goal: everybody who fits an empty fleet starts in the end, nobody is passed after their patience,
a project with many requests starves nobody, and what a project's limits forbid blocks nobody.
Method: hypothesis draws requests, projects and lifetimes; a small world of two places is run round
by round until nothing waits any more, and every start is judged against those that were left.
"""

import math
from dataclasses import dataclass, field, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from gigawatt.ids import TenantId
from gigawatt.intent.queue import (
    FairRound,
    Passage,
    QueuePolicy,
    Standing,
    Waiter,
    Why,
    before,
    dominant_share,
    line_up,
)

SUPPLY = {"h100": 64, "b200": 32}
POLICY = QueuePolicy(patience_s=10.0, refusal_count_max=4)
PROJECTS = [TenantId(f"ten_{letter}") for letter in "abcd"]
NO_ROOM = Why("room", "no room")


def waiter(
    number: int,
    project: int = 0,
    gpus: int = 8,
    kinds: tuple[str, ...] = ("h100",),
    since_s: float = 0.0,
    front_since_s: float | None = None,
) -> Waiter:
    return Waiter(
        f"wai_{number:03d}",
        PROJECTS[project],
        gpus,
        kinds[0],
        frozenset(kinds),
        since_s,
        front_since_s,
        f"{gpus} {kinds}",
    )


@dataclass
class World:
    """Two places with GPUs, projects with grants, and clusters that end after their time."""

    grants: dict[TenantId, int]
    now_s: float = 0.0
    waiting: dict[str, Waiter] = field(default_factory=dict)
    running: list[tuple[float, Waiter, str]] = field(default_factory=list)
    starts: list[str] = field(default_factory=list)

    def free(self, place: str) -> int:
        return SUPPLY[place] - sum(w.gpu_count for _, w, at in self.running if at == place)

    def standings(self) -> dict[TenantId, Standing]:
        found = {}
        for project, granted in self.grants.items():
            held: dict[str, int] = {}
            for _, w, at in self.running:
                if w.project_id == project:
                    held[at] = held.get(at, 0) + w.gpu_count
            found[project] = Standing(float(granted), held, granted - sum(held.values()))
        return found

    def round(self, life_s: float) -> list[str]:
        """One round; ids of those started. Judges every start on the way."""
        fair = FairRound(list(self.waiting.values()), self.standings(), SUPPLY, POLICY, self.now_s)
        passage, started = Passage(POLICY, self.now_s), []
        while (w := fair.next_waiter()) is not None:
            place = next((p for p in sorted(w.places) if self.free(p) >= w.gpu_count), None)
            if place is None:
                fair.refuse(w, NO_ROOM)
                continue
            for other in self.waiting.values():
                is_before = (other.front_since_s or math.inf) < (w.front_since_s or math.inf)
                may = other.gpu_count <= fair._room[other.project_id]
                if other is not w and may and is_before and other.places & w.places:
                    assert not passage.is_overdue(other.front_since_s), (w, other)
            fair.start(w, place)
            del self.waiting[w.waiting_id]
            self.running.append((self.now_s + life_s, w, place))
            started.append(w.waiting_id)
        fronts = fair.fronts()
        for name, w in self.waiting.items():
            since_s = self.now_s if w.front_since_s is None else w.front_since_s
            self.waiting[name] = replace(w, front_since_s=since_s if name in fronts else None)
        assert len({self.waiting[name].project_id for name in fronts}) == len(fronts)
        self.starts += started
        return started

    def end_some(self) -> None:
        self.running = [row for row in self.running if row[0] > self.now_s]


KINDS = st.sampled_from([("h100",), ("b200",), ("h100", "b200")])
ASKS = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from([1, 2, 4, 8, 24, 32]), KINDS, st.integers(0, 40)),
    min_size=5,
    max_size=40,
)


def made(asks: list[tuple[int, int, tuple[str, ...], int]]) -> list[Waiter]:
    return [
        waiter(number, project, gpus, kinds, float(since))
        for number, (project, gpus, kinds, since) in enumerate(asks)
    ]


@settings(max_examples=150, deadline=None)
@given(ASKS, st.integers(8, 30))
def test_everybody_starts_in_the_end_and_nobody_is_passed_after_patience(asks, life_s):
    world = World(dict.fromkeys(PROJECTS, 48))
    coming = sorted(made(asks), key=lambda w: w.since_s)
    for _ in range(3_000):
        while coming and coming[0].since_s <= world.now_s:
            w = coming.pop(0)
            world.waiting[w.waiting_id] = w
        world.end_some()
        world.round(float(life_s))
        if not coming and not world.waiting:
            break
        world.now_s += 1.0
    assert sorted(world.starts) == [f"wai_{number:03d}" for number in range(len(asks))]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from([1, 2, 4, 8]), min_size=20, max_size=60), st.integers(2, 12))
def test_a_large_request_is_served_though_small_ones_never_stop_coming(sizes, life_s):
    """One small request a second, for ever: it would be passed for ever without patience."""
    world = World(dict.fromkeys(PROJECTS, 64))
    large = waiter(0, 0, 64, since_s=1.0)
    for number in range(1, 200):
        if number == 2:
            world.waiting[large.waiting_id] = large
        size = sizes[number % len(sizes)]
        small = waiter(number, 1 + number % 3, size, since_s=world.now_s)
        world.waiting[small.waiting_id] = small
        world.end_some()
        world.round(float(life_s))
        if large.waiting_id in world.starts:
            break
        world.now_s += 1.0
    # Patience, then as long as what was running lives; a second each for the rounds between.
    assert world.now_s <= 1.0 + POLICY.patience_s + life_s + 2.0


@settings(max_examples=100, deadline=None)
@given(ASKS, st.integers(0, 30), st.randoms(use_true_random=False))
def test_the_order_of_arrival_in_memory_does_not_matter(asks, now_s, random):
    waiters = [
        replace(w, front_since_s=w.since_s if number % 3 == 0 else None)
        for number, w in enumerate(made(asks))
    ]
    shuffled = list(waiters)
    random.shuffle(shuffled)
    standings = {p: Standing(1.0 + n, {"h100": 8 * n}, 40) for n, p in enumerate(PROJECTS)}
    seen = []
    for some in (waiters, shuffled):
        fair = FairRound(some, standings, SUPPLY, POLICY, float(now_s))
        order = []
        while (w := fair.next_waiter()) is not None:
            order.append(w.waiting_id)
            if w.gpu_count >= 16:
                fair.refuse(w, NO_ROOM)
            else:
                fair.start(w, w.gpu_type)
        seen.append((order, fair.reasons, fair.fronts()))
    assert seen[0] == seen[1]


@given(st.integers(1, 500), st.integers(1, 8))
def test_a_project_with_many_requests_does_not_starve_another(count, gpus):
    """However long a flood has waited, a project that holds less comes after one front of it."""
    flood = [waiter(number, 0, gpus) for number in range(count)]
    flood[0] = replace(flood[0], front_since_s=0.0)
    other = waiter(999, 1, gpus, since_s=1e6)
    standings = {PROJECTS[0]: Standing(1.0, {}, 10_000), PROJECTS[1]: Standing(1.0, {}, 10_000)}
    line = line_up([*flood, other], standings, SUPPLY, POLICY, 1e6)
    assert line.index(other) == 1
    assert len(line) == count + 1


def test_shares_are_of_the_type_held_most_and_by_weight():
    standings = {
        PROJECTS[0]: Standing(1.0, {"h100": 32}, 99),
        PROJECTS[1]: Standing(1.0, {"b200": 24}, 99),
        PROJECTS[2]: Standing(4.0, {"b200": 32}, 99),
    }
    assert dominant_share({"h100": 32, "gone": 5}, SUPPLY, 1.0) == 0.5
    line = line_up([waiter(n, n) for n in range(3)], standings, SUPPLY, POLICY, 0.0)
    assert [w.project_id for w in line] == [PROJECTS[2], PROJECTS[0], PROJECTS[1]]


@given(st.integers(9, 64), st.integers(0, 100))
def test_over_its_limit_a_request_waits_and_blocks_nobody(gpus, waited_s):
    over = waiter(0, 0, gpus, front_since_s=0.0)
    after = [waiter(1, 0, 8, since_s=1.0), waiter(2, 1, 64, since_s=2.0)]
    standings = {PROJECTS[0]: Standing(1.0, {}, 8), PROJECTS[1]: Standing(1.0, {"h100": 1}, 99)}
    fair = FairRound([over, *after], standings, SUPPLY, POLICY, float(waited_s))
    first = fair.next_waiter()
    assert first == after[0]
    fair.start(first, "h100")
    assert fair.next_waiter() == after[1]
    fair.refuse(after[1], NO_ROOM)
    assert fair.next_waiter() is None
    assert fair.reasons["wai_000"].kind == "limit"
    assert fair.fronts() == {"wai_002"}, "its patience does not run"


def test_who_ran_out_of_patience_closes_only_the_places_that_would_do():
    overdue = waiter(0, 0, 64, front_since_s=0.0)
    same, other = waiter(1, 1, 1), waiter(2, 1, 1, ("b200",))
    standings = {p: Standing(1.0, {}, 99) for p in PROJECTS}
    fair = FairRound([overdue, same, other], standings, SUPPLY, POLICY, 10.0)
    assert fair.next_waiter() == overdue
    fair.refuse(overdue, NO_ROOM)
    assert fair.next_waiter() == other
    fair.start(other, "b200")
    assert fair.next_waiter() is None
    assert fair.reasons["wai_001"] == Why(
        "behind", "a request that was passed for too long is served first"
    )


def test_before_patience_what_fits_passes():
    large, small = waiter(0, 0, 64, front_since_s=0.1), waiter(1, 1, 1)
    standings = {p: Standing(1.0, {}, 99) for p in PROJECTS}
    fair = FairRound([large, small], standings, SUPPLY, POLICY, 10.0)
    assert fair.next_waiter() == large
    fair.refuse(large, NO_ROOM)
    assert fair.next_waiter() == small


def test_refusals_in_one_round_are_bounded_and_equal_questions_are_asked_once():
    standings = {p: Standing(1.0, {}, 999) for p in PROJECTS}
    equal = [waiter(n, 0, 8, since_s=float(n)) for n in range(9)]
    different = [waiter(10 + n, 1, 1 + n, since_s=float(n)) for n in range(9)]
    for some, most in ((equal, 1), (different, POLICY.refusal_count_max)):
        fair, count = FairRound(some, standings, SUPPLY, POLICY, 0.0), 0
        while (w := fair.next_waiter()) is not None:
            fair.refuse(w, NO_ROOM)
            count += 1
        assert count == most


def test_a_position_counts_those_before_it_that_could_use_the_same_gpus():
    standings = {p: Standing(1.0, {}, 99) for p in PROJECTS}
    some = [
        waiter(0, 0, 8, since_s=0.0),
        waiter(1, 1, 8, ("b200",), since_s=1.0),
        waiter(2, 2, 8, ("h100", "b200"), since_s=2.0),
        waiter(3, 3, 8, since_s=3.0),
    ]
    line = line_up(some, standings, SUPPLY, POLICY, 5.0)
    assert [len(before(line, w)) for w in some] == [0, 0, 2, 2]
