"""Goal: on both engines the database itself keeps every promise, whoever plans and whoever is late.

Method: bookings of two writers for the same nodes, at the same time and from one generation; plans
that were made without looking at the calendar, committed against it; reservations past their
terms; notices that two servers give and carry out.
"""

import threading
from contextlib import closing
from dataclasses import replace

import pytest

from gigawatt.errors import ConflictError, UnknownIdError
from gigawatt.ids import (
    ClusterId,
    FabricId,
    NodeId,
    NoticeId,
    OperationId,
    ReservationId,
    SiteId,
    TenantId,
)
from gigawatt.intent.term import Term
from gigawatt.interfaces.directory import Reach
from gigawatt.interfaces.reservations import CancellationTerms, ReservationRecord, Swap
from gigawatt.interfaces.spot import Notice, SpotRoundRecord
from gigawatt.market.calendar import Reservation
from gigawatt.market.notice import NoticePolicy
from gigawatt.planner.plan import OperationKind
from gigawatt.store.open import open_store_at
from gigawatt.store.reservation_gaps import SETTLED_S
from gigawatt.store.reservations import SqlReservations
from gigawatt.store.spot import SqlSpotBook
from gigawatt.units import DAY_S, HOUR_S

NOW_S = 1_000_000_000.0
LAUNCH = OperationKind.LAUNCH
POLICY = NoticePolicy()


def record(
    name: str,
    nodes: list[NodeId],
    from_s: float = NOW_S + DAY_S,
    length_s: float = DAY_S,
    *,
    tenant: str = "ten_a",
    is_lent: bool = False,
    growth: tuple[NodeId, ...] = (),
) -> ReservationRecord:
    """A plan of a reservation."""
    promise = Reservation(
        reservation_id=f"res_{name}",
        tenant_id=TenantId(tenant),
        node_ids=frozenset(nodes),
        growth_node_ids=frozenset(growth),
        from_s=from_s,
        to_s=from_s + length_s,
        is_lent=is_lent,
    )
    return ReservationRecord(
        sequence=0,
        promise=promise,
        account_id=None,
        name=name,
        state="planned",
        gpu_type="h100",
        site_id=SiteId("site-a"),
        fabric_id=FabricId("ib0"),
        gpu_count=8 * len(nodes),
        growth_gpu_count=8 * len(growth),
        leaf_group_count=1,
        price_micro_usd_per_gpu_hour=2_000_000,
        month_count=0,
        cancellation=CancellationTerms(from_s - HOUR_S, 5_000_000),
        clear_until_s=from_s + length_s + POLICY.clear_s,
        planned_s=NOW_S,
        expires_s=NOW_S + 600.0,
    )


def booked(book: SqlReservations, planned: ReservationRecord, now_s: float = NOW_S):
    """The reservation of a plan."""
    book.plan(planned)
    return book.book(planned.reservation_id, None, POLICY, now_s)


@pytest.fixture
def book(store) -> SqlReservations:
    return SqlReservations(store.database)


@pytest.fixture
def spot(store) -> SqlSpotBook:
    return SqlSpotBook(store.database)


def test_a_plan_promises_nothing_and_a_booking_does(store, book, build):
    planned = book.plan(record("a", [build.nodes[0]]))
    assert store.snapshot(NOW_S).promises.by_id == {}
    book.book(planned.reservation_id, None, POLICY, NOW_S)
    assert set(store.snapshot(NOW_S).promises.by_id) == {"res_a"}
    again = book.book(planned.reservation_id, None, POLICY, NOW_S + 1e6)
    assert again.booked_s == NOW_S


def test_a_node_is_promised_once_at_a_time_with_the_time_to_clear_it(book, build):
    first = booked(book, record("a", [build.nodes[0], build.nodes[1]]))
    for name, from_s in (
        ("same", first.promise.from_s),
        ("late", first.promise.to_s - 1.0),
        ("soon", first.promise.to_s + POLICY.clear_s - 1.0),
        ("early", first.promise.from_s - HOUR_S),
    ):
        with pytest.raises(ConflictError, match="res_a"):
            booked(book, record(name, [build.nodes[1]], from_s))
    booked(book, record("after", [build.nodes[1]], first.promise.to_s + POLICY.clear_s))
    booked(book, record("beside", [build.nodes[2]]))


def test_growth_room_is_promised_too(book, build):
    booked(book, record("a", [build.nodes[0]], growth=(build.nodes[1],)))
    with pytest.raises(ConflictError, match="res_a"):
        booked(book, record("b", [build.nodes[1]]))


def test_of_two_writers_one_promises(place, build):
    """Both have planned the same nodes before either has booked."""
    for round_number in range(4):
        outcomes: list[str] = []
        start = threading.Barrier(2)

        def write(
            name: str,
            number: int = round_number,
            gate: threading.Barrier = start,
            outcomes: list[str] = outcomes,
        ) -> None:
            with closing(open_store_at(place)) as mine:
                book = SqlReservations(mine.database)
                book.plan(record(name, [build.nodes[number]]))
                gate.wait(20)
                try:
                    book.book(ReservationId(f"res_{name}"), None, POLICY, NOW_S)
                    outcomes.append("booked")
                except ConflictError:
                    outcomes.append("refused")

        with closing(open_store_at(place)):
            pass
        names = [f"{letter}{round_number}" for letter in "ab"]
        threads = [threading.Thread(target=write, args=(name,)) for name in names]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert sorted(outcomes) == ["booked", "refused"]


def test_a_booking_makes_plans_of_before_it_old(store, book, build):
    generation = store.snapshot(NOW_S).generation
    plan = build.plan(LAUNCH, None, build.target("a", (0,)), generation, expires_s=2e9)
    booked(book, record("r", [build.nodes[5]]))
    with pytest.raises(ConflictError, match="generation"):
        store.commit(plan, OperationId("op_1"), NOW_S)


@pytest.mark.parametrize(
    ("who", "after_s", "is_refused"),
    [
        ((Term.ON_DEMAND, False), 0.0, True),
        ((Term.ON_DEMAND, True), 0.0, False),
        ((Term.SPOT, False), 0.0, False),
        ((Term.SPOT, False), DAY_S - 60.0, True),
        ((Term.ON_DEMAND, True), DAY_S - 60.0, True),
        ((Term.SPOT, False), DAY_S + 60.0, True),
        ((Term.ON_DEMAND, False), 2.0 * DAY_S + 60.0, True),
        ((Term.ON_DEMAND, False), 2.0 * DAY_S + 2.0 * HOUR_S, False),
    ],
)
def test_a_plan_that_did_not_look_is_refused(store, book, build, who, after_s, is_refused):
    """The commit judges by the same rule, on what is true at that moment."""
    booked(book, record("r", [build.nodes[0]]))
    (term, is_lent), now_s = who, NOW_S + after_s
    target = replace(build.target("a", (0,)), term=term, is_lent=is_lent)
    plan = build.plan(LAUNCH, None, target, store.snapshot(now_s).generation, expires_s=2e9)
    if not is_refused:
        store.commit(plan, OperationId("op_1"), now_s)
        return
    with pytest.raises(ConflictError, match="reserved"):
        store.commit(plan, OperationId("op_1"), now_s)
    assert store.snapshot(now_s).allocations == {}


def test_only_its_tenant_uses_a_reservation_and_only_while_it_lasts(store, book, build):
    booked(book, record("r", [build.nodes[0]], NOW_S + HOUR_S))

    def commit(tenant: str, node: int, now_s: float) -> None:
        target = replace(
            build.target(f"c{node}", (node,), number=node + 1, tenant=tenant),
            term=Term.RESERVED,
            reservation_id=ReservationId("res_r"),
        )
        members = tuple(replace(member, term=Term.RESERVED) for member in target.members)
        plan = build.plan(
            LAUNCH,
            None,
            replace(target, members=members),
            store.snapshot(now_s).generation,
            expires_s=2e9,
        )
        store.commit(plan, OperationId(f"op_{node}"), now_s)

    with pytest.raises(ConflictError, match="has not begun"):
        commit("ten_a", 0, NOW_S)
    with pytest.raises(ConflictError, match="no reservation"):
        commit("ten_b", 0, NOW_S + 2 * HOUR_S)
    with pytest.raises(ConflictError, match="not of reservation"):
        commit("ten_a", 1, NOW_S + 2 * HOUR_S)
    commit("ten_a", 0, NOW_S + 2 * HOUR_S)


def test_growth_room_is_not_covered(store, book, build):
    """Who takes growth room as if it were paid for is refused by the store too."""
    room = record("r", [build.nodes[0]], NOW_S + HOUR_S, growth=(build.nodes[1],))
    booked(book, room)
    now_s = NOW_S + 2 * HOUR_S

    def target(node: int, term: Term):
        found = replace(build.target("c", (node,), tenant="ten_a"), term=Term.RESERVED)
        members = tuple(replace(member, term=term) for member in found.members)
        return replace(found, members=members, reservation_id=ReservationId("res_r"))

    generation = store.snapshot(now_s).generation
    plan = build.plan(LAUNCH, None, target(1, Term.RESERVED), generation, expires_s=2e9)
    with pytest.raises(ConflictError, match="not of reservation"):
        store.commit(plan, OperationId("op_1"), now_s)
    plan = build.plan(LAUNCH, None, target(1, Term.ON_DEMAND), generation, expires_s=2e9)
    store.commit(plan, OperationId("op_2"), now_s)


def test_nodes_of_who_has_no_end_are_not_promised(store, book, build):
    build.launched(store, build.target("a", (0,)), NOW_S - 1e6)
    spot = replace(build.target("b", (1,), number=2), term=Term.SPOT)
    build.launched(store, spot, NOW_S - 1e6)
    with pytest.raises(ConflictError, match="will not be gone"):
        booked(book, record("far", [build.nodes[0]], NOW_S + 100 * DAY_S))
    with pytest.raises(ConflictError, match="will not be gone"):
        booked(book, record("soon", [build.nodes[1]], NOW_S + 60.0))
    booked(book, record("told", [build.nodes[1]], NOW_S + POLICY.lead_s))


def test_a_reservation_is_given_up_under_its_terms(store, book, build):
    free = booked(book, record("free", [build.nodes[0]]))
    late = booked(book, record("late", [build.nodes[1]]))
    begun = booked(book, record("begun", [build.nodes[2]]))
    assert book.cancel(free.reservation_id, NOW_S).charged_micro_usd == 0
    late_s = late.cancellation.free_until_s
    assert book.cancel(late.reservation_id, late_s).charged_micro_usd == 5_000_000
    assert book.cancel(late.reservation_id, late_s + 1.0).cancelled_s == late_s
    with pytest.raises(ConflictError, match="has begun"):
        book.cancel(begun.reservation_id, begun.promise.from_s)
    assert set(store.snapshot(NOW_S).promises.by_id) == {"res_begun"}
    booked(book, record("again", [build.nodes[0]]))
    due = book.between(None, NOW_S, NOW_S + 10 * DAY_S)
    assert {row.name for row in due} == {"late", "begun", "again"}
    assert book.between(frozenset({TenantId("ten_z")}), NOW_S, NOW_S + 10 * DAY_S) == ()


def test_a_plan_lapses(book, build):
    planned = book.plan(record("a", [build.nodes[0]]))
    with pytest.raises(ConflictError, match="too old"):
        book.book(planned.reservation_id, None, POLICY, planned.expires_s + 1.0)
    book.plan(replace(record("b", [build.nodes[0]]), planned_s=planned.expires_s + 1.0))
    with pytest.raises(UnknownIdError):
        book.get(planned.reservation_id)


def notice(cluster: str, nodes: list[NodeId], name: str) -> Notice:
    return Notice(
        sequence=0,
        notice_id=NoticeId(f"ntc_{name}"),
        cluster_id=ClusterId(cluster),
        project_id=TenantId("ten_x"),
        node_ids=frozenset(nodes),
        cause="waiting",
        cause_id="wai_1",
        reason="8 GPUs are wanted",
        given_s=NOW_S,
        deadline_s=NOW_S + 120.0,
        operation_id=OperationId(f"op_{name}"),
        state="given",
        state_since_s=NOW_S,
    )


def test_a_node_is_asked_back_once(store, spot, build):
    build.launched(store, build.target("a", (0, 1, 2)))
    first = spot.give(notice("clu_a", [build.nodes[0]], "one"))
    with pytest.raises(ConflictError, match="under notice"):
        spot.give(notice("clu_a", [build.nodes[0], build.nodes[1]], "two"))
    assert [row.notice_id for row in spot.open_notices()] == ["ntc_one"]
    assert spot.turn(first.notice_id, "begun", NOW_S + 120.0)
    assert not spot.turn(first.notice_id, "begun", NOW_S + 121.0)
    assert spot.turn(first.notice_id, "done", NOW_S + 130.0)
    assert not spot.turn(first.notice_id, "withdrawn", NOW_S + 131.0)
    spot.give(notice("clu_a", [build.nodes[0], build.nodes[1]], "three"))
    kinds = [event.kind for event in store.events(ClusterId("clu_a"))]
    assert [kind for kind in kinds if kind.startswith("notice.")] == [
        "notice.given",
        "notice.begun",
        "notice.done",
        "notice.given",
    ]
    shown = spot.page(Reach(frozenset({TenantId("ten_x")})), 1 << 60, 10, with_ended=True)
    assert [row.notice_id for row in shown] == ["ntc_three", "ntc_one"]
    assert spot.page(Reach(frozenset({TenantId("ten_y")})), 1 << 60, 10, with_ended=True) == ()


def test_rounds_are_kept_when_they_end_otherwise(spot):
    cleared = SpotRoundRecord(0, NOW_S, "h100", SiteId("site-a"), 5, 3, 8, 8, 2)
    assert spot.note_round(cleared)
    assert not spot.note_round(replace(cleared, at_s=NOW_S + 1.0))
    assert spot.note_round(replace(cleared, price_micro_usd_per_gpu_hour=6))
    assert spot.note_round(replace(cleared, gpu_type="b200"))
    assert [row.price_micro_usd_per_gpu_hour for row in spot.prices()] == [5, 6]
    assert [row.sequence for row in spot.rounds(1 << 60, 2)] == [3, 2]


def test_what_is_saved_only_moves_on(store, spot, build):
    build.launched(store, build.target("a", (0,)))
    for saved_s in (NOW_S, NOW_S + 5.0, NOW_S + 1.0):
        spot.note_saved(ClusterId("clu_a"), saved_s)
    assert spot.saved() == {"clu_a": NOW_S + 5.0}


def quarantined(store, node_id: NodeId, at_s: float) -> None:
    store.set_node_state(node_id, "quarantined", "broke", at_s)


def test_a_broken_node_gives_its_promise_to_another(store, book, build):
    """From then on the old one is anybody's, and the new one nobody else's."""
    first = booked(book, record("a", [build.nodes[0], build.nodes[1]], growth=(build.nodes[2],)))
    swap = Swap(build.nodes[0], build.nodes[3], NOW_S + 60.0, 1)
    with pytest.raises(ConflictError, match="in use"):
        book.swap(first.reservation_id, swap, POLICY, NOW_S)
    quarantined(store, build.nodes[0], NOW_S + 10.0)
    generation = store.snapshot(NOW_S).generation
    now = book.swap(first.reservation_id, swap, POLICY, NOW_S + 20.0)
    assert now.promise.node_ids == {build.nodes[1], build.nodes[3]}
    (gap,) = now.gaps
    assert (gap.since_s, gap.until_s, gap.replaced_by) == (
        NOW_S + 10.0,
        NOW_S + 60.0,
        build.nodes[3],
    )
    assert store.snapshot(NOW_S).generation > generation
    assert store.snapshot(NOW_S).promises.by_id["res_a"] == now.promise
    with pytest.raises(ConflictError, match="res_a"):
        booked(book, record("b", [build.nodes[3]]))
    booked(book, record("c", [build.nodes[0]]))
    quarantined(store, build.nodes[2], NOW_S + 30.0)
    grown = book.swap(
        first.reservation_id,
        Swap(build.nodes[2], build.nodes[4], NOW_S + 40.0, 1),
        POLICY,
        NOW_S + 40.0,
    )
    assert grown.promise.growth_node_ids == {build.nodes[4]}
    assert [g.is_growth for g in grown.gaps] == [False, True]


def test_no_promised_held_or_broken_node_takes_the_place_of_a_broken_one(store, book, build):
    first = booked(book, record("a", [build.nodes[0]]))
    booked(book, record("b", [build.nodes[1]]))
    build.commit(store, LAUNCH, None, build.target("there", (2,)))
    quarantined(store, build.nodes[0], NOW_S)
    quarantined(store, build.nodes[3], NOW_S)
    for other in (0, 1, 2, 3):
        swap = Swap(build.nodes[0], build.nodes[other], NOW_S, 1)
        with pytest.raises(ConflictError):
            book.swap(first.reservation_id, swap, POLICY, NOW_S)
    assert book.get(first.reservation_id) == first


def test_a_gap_is_noted_once_and_ends_once(store, book, build):
    first = booked(book, record("a", [build.nodes[0]], NOW_S, DAY_S))
    with pytest.raises(ConflictError, match="in use"):
        book.note_gap(first.reservation_id, build.nodes[0], NOW_S)
    quarantined(store, build.nodes[0], NOW_S + HOUR_S)
    with pytest.raises(ConflictError, match="not promised"):
        book.note_gap(first.reservation_id, build.nodes[1], NOW_S + HOUR_S)
    assert book.note_gap(first.reservation_id, build.nodes[0], NOW_S + 2 * HOUR_S)
    assert not book.note_gap(first.reservation_id, build.nodes[0], NOW_S + 3 * HOUR_S)
    (due,) = book.between(None, NOW_S, NOW_S + DAY_S)
    ms = (round(1000 * NOW_S), round(1000 * (NOW_S + DAY_S)))
    assert due.short_gpu_ms(*ms) == 8 * 23 * 3_600_000
    assert book.end_gap(first.reservation_id, build.nodes[0], NOW_S + 5 * HOUR_S)
    assert not book.end_gap(first.reservation_id, build.nodes[0], NOW_S + 6 * HOUR_S)
    assert book.get(first.reservation_id).short_gpu_ms(*ms) == 8 * 4 * 3_600_000
    kinds = [e.kind for e in store.events(None, 0, 100) if e.kind.startswith("reservation.")]
    assert kinds == ["reservation.booked", "reservation.short", "reservation.restored"]


def test_a_node_of_who_was_promised_it_until_just_now_waits_a_little(store, book, build):
    """A server whose clock is behind still reads that promise; to it a node is promised once."""
    first = booked(book, record("a", [build.nodes[0]], NOW_S, 2 * DAY_S))
    short = record("b", [build.nodes[1]], NOW_S, DAY_S)
    booked(book, short)
    quarantined(store, build.nodes[0], NOW_S)
    swap = Swap(build.nodes[0], build.nodes[1], NOW_S + DAY_S, 1)
    ended_s = short.clear_until_s
    for late_s in (-1.0, 1.0, SETTLED_S - 1.0):
        with pytest.raises(ConflictError, match="res_b"):
            book.swap(first.reservation_id, swap, POLICY, ended_s + late_s)
    book.swap(first.reservation_id, swap, POLICY, ended_s + SETTLED_S + 1.0)
    store.snapshot(ended_s + SETTLED_S)
