"""Goal: winners pay one price, and spot gives way by what is needed, after notice, and once.

Method: bids and requests of a site of 16 nodes whose time the test moves; what the store, the
notices and the usage records hold is looked at after each, with servers that stop in between.
"""

from dataclasses import replace

import pytest
from market_site import FLOOR, NOW_S, A, B, spot

from gigawatt.errors import ImpossibleError, InputError
from gigawatt.intent.request import ClusterRequest
from gigawatt.interfaces.spot import Notice
from gigawatt.interfaces.usage import UsageQuery
from gigawatt.planner.phases import Phase
from gigawatt.planner.plan import OperationKind
from gigawatt.units import HOUR_S


def test_bids_pay_one_price_and_losers_wait(site):
    """Of three that want half the fleet each, the two best win at what the third would pay."""
    for name, most in (("good", 900_000), ("best", 1_000_000), ("less", 800_000)):
        site.bid(name, 64, most)
    site.work()
    live = {record.name: record.target for record in site.store.clusters()}
    assert set(live) == {"good", "best"}
    prices = {m.price_micro_usd_per_gpu_hour for target in live.values() for m in target.members}
    assert prices == {800_000}
    (round_,) = site.market.spot.prices()
    assert (round_.offered_gpu_count, round_.sold_gpu_count, round_.bid_count) == (128, 128, 3)
    assert [row.request.name for row in site.admission.room.waiting()] == ["less"]


def test_a_bid_below_the_floor_or_without_a_price_is_refused(site):
    with pytest.raises(ImpossibleError, match="at most"):
        site.bid("cheap", 8, FLOOR - 1)
    with pytest.raises(InputError, match="spot needs the highest price"):
        site.wait(replace(spot("none", 8, 1), price_micro_usd_per_gpu_hour_max=None))
    with pytest.raises(InputError, match="not created but bid for"):
        site.launch(spot("now", 8, 1_000_000))


def test_a_bid_that_cannot_be_placed_does_not_make_the_price(site):
    """It would pay most, and no leaf group is that large: those who can start pay the floor."""
    site.launch(ClusterRequest(A, "there", 8, "h100"))
    site.bid("whole", 128, 3_000_000)
    site.bid("small", 8, 600_000)
    site.work()
    member = site.named("small").target.members[0]
    assert member.price_micro_usd_per_gpu_hour == FLOOR
    assert "whole" not in {record.name for record in site.store.clusters()}


def test_spot_gives_way_by_exactly_what_is_needed_and_after_notice(site):
    site.bid("spot", 128, 1_000_000, returns_to_queue=True)
    site.work()
    site.wait(ClusterRequest(B, "mine", 16, "h100"))
    site.work()
    site.pass_time(20.0, 5.0)
    (notice,) = site.notices()
    assert len(notice.node_ids) == 2
    assert notice.deadline_s - notice.given_s == 120.0
    site.clock.at_s = notice.deadline_s - 1.0
    site.work()
    assert len(site.named("spot").target.members) == 16
    site.pass_time(900.0, 60.0)
    assert len(site.named("spot").target.members) == 14
    assert site.named("mine").phase is Phase.ACTIVE
    assert [notice.state for notice in site.notices()] == ["done"]


def test_who_saved_last_is_asked_first(site):
    for name in ("one", "two"):
        site.bid(name, 64, 1_000_000)
    site.work()
    site.clock.at_s += 10 * HOUR_S
    site.market.spot.note_saved(site.named("one").cluster_id, site.clock.at_s)
    site.wait(ClusterRequest(B, "mine", 8, "h100"))
    site.work()
    site.pass_time(20.0, 5.0)
    assert [notice.cluster_id for notice in site.notices()] == [site.named("one").cluster_id]


def test_a_cluster_that_needs_all_it_has_is_taken_whole_and_bids_again(site):
    site.bid("spot", 128, 1_000_000, gpu_count_min=128, returns_to_queue=True)
    site.work()
    site.wait(ClusterRequest(B, "mine", 8, "h100"))
    site.work()
    site.pass_time(900.0, 60.0)
    assert site.named("mine").phase is Phase.ACTIVE
    assert site.named("spot").phase is Phase.RELEASED
    (again,) = site.admission.room.waiting()
    assert again.request.name == "spot"


def test_a_notice_is_withdrawn_when_nobody_waits_any_more(site):
    site.bid("spot", 128, 1_000_000)
    site.work()
    waiting = site.wait(ClusterRequest(B, "mine", 8, "h100"))
    site.work()
    site.pass_time(20.0, 5.0)
    now_s = site.clock.at_s
    site.admission.room.end(waiting.waiting_id, "withdrawn", "changed mind", now_s, None)
    site.pass_time(600.0, 60.0)
    assert [notice.state for notice in site.notices()] == ["withdrawn"]
    assert len(site.named("spot").target.members) == 16


def asked_back(site) -> tuple[Notice, Notice]:
    """Notices to two spot clusters, for one request that needs a node more than each has."""
    for name in ("one", "two"):
        site.bid(name, 64, 1_000_000)
    site.work()
    site.wait(ClusterRequest(B, "mine", 72, "h100"))
    site.work()
    site.pass_time(20.0, 5.0)
    first, second = sorted(site.notices(), key=lambda n: n.cluster_id)
    return first, second


def test_nodes_are_taken_at_once_when_all_who_are_asked_have_saved(site):
    """And they cost nothing from then on; of one alone nothing is taken early."""
    first, second = asked_back(site)
    site.market.spot.answer(first.notice_id, "saved", "", site.clock.at_s)
    site.pass_time(10.0, 1.0)
    assert [n.state for n in site.notices()] == ["given", "given"]
    assert site.clock.at_s < first.deadline_s - 30.0
    site.market.spot.answer(second.notice_id, "saved", "step 7", site.clock.at_s)
    said_s = site.clock.at_s
    site.servers[0].preemption.carry_out()
    assert {n.state for n in site.notices()} == {"begun"}
    for notice in (first, second):
        (_, taken) = site.store.operations_of(notice.cluster_id)
        assert taken.started_s == said_s < notice.deadline_s
        records = site.market.usage.usages(UsageQuery(0, 1 << 53, cluster_id=notice.cluster_id))
        ends = {r.to_ms for r in records if r.node_id in notice.node_ids}
        assert ends == {round(said_s * 1000)}
    messages = [e.message for e in site.store.events(None, 0, 1_000) if e.kind == "notice.saved"]
    assert messages[1].endswith("nodes is saved: step 7")
    site.pass_time(900.0, 60.0)
    assert site.named("mine").phase is Phase.ACTIVE


@pytest.mark.parametrize("answers", [("saved", None), ("saved", "failed"), ("failed", "failed")])
def test_a_hook_that_fails_or_never_comes_changes_nothing_of_the_deadline(site, answers):
    notices = asked_back(site)
    for notice, answer in zip(notices, answers, strict=True):
        if answer is not None:
            site.market.spot.answer(notice.notice_id, answer, "", site.clock.at_s)
    site.clock.at_s = notices[0].deadline_s - 0.5
    site.work()
    assert [n.state for n in site.notices()] == ["given", "given"]
    site.clock.at_s = max(n.deadline_s for n in notices)
    site.servers[0].preemption.carry_out()
    assert [n.state for n in site.notices()] == ["begun", "begun"]


def test_who_failed_can_still_save_and_who_saved_cannot_unsay_it(site):
    first, _ = asked_back(site)
    spot = site.market.spot
    assert spot.answer(first.notice_id, "failed", "disk full", NOW_S).answer == "failed"
    assert spot.answer(first.notice_id, "saved", "", NOW_S + 1.0).answer == "saved"
    again = spot.answer(first.notice_id, "failed", "", NOW_S + 2.0)
    assert (again.answer, again.answered_s) == ("saved", NOW_S + 1.0)
    assert first.cluster_id in spot.saved()
    kinds = [e.kind for e in site.store.events(first.cluster_id, 0, 100)]
    assert [k for k in kinds if k in {"notice.saved", "notice.failed"}] == [
        "notice.failed",
        "notice.saved",
    ]


def test_a_server_that_stops_between_the_answer_and_the_taking_changes_nothing(site):
    """The answers are durable, and the other server takes the nodes, once."""
    for notice in asked_back(site):
        site.market.spot.answer(notice.notice_id, "saved", "", site.clock.at_s)
    for server in (1, 0):
        site.servers[server].preemption.carry_out()
    site.carry_on()
    site.pass_time(300.0, 60.0)
    for notice in site.notices():
        kinds = [o.kind for o in site.store.operations_of(notice.cluster_id)]
        assert len(kinds) == 2
        assert notice.state == "done"


def test_a_server_that_stops_after_the_commit_takes_nothing_twice(site):
    """The operation is committed under the notice's own id, and nobody has written that down."""
    site.bid("spot", 128, 1_000_000)
    site.work()
    site.wait(ClusterRequest(B, "mine", 8, "h100"))
    site.work()
    site.pass_time(20.0, 5.0)
    (notice,) = site.notices()
    site.clock.at_s = notice.deadline_s + 1.0
    site.control.commit_new(
        lambda: site.control.plan_give_up(notice.cluster_id, notice.node_ids),
        operation_id=notice.operation_id,
    )
    site.work(server=1)
    site.pass_time(600.0, 60.0)
    assert len(site.named("spot").target.members) == 15
    kinds = [o.kind for o in site.store.operations_of(notice.cluster_id)]
    assert kinds == [OperationKind.LAUNCH, OperationKind.SHRINK]


def test_spot_does_not_grow(site):
    site.bid("spot", 8, 1_000_000)
    site.work()
    with pytest.raises(InputError, match="does not grow"):
        site.control.plan_grow(site.named("spot").cluster_id, 8)
