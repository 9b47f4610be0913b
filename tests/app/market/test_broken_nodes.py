"""Goal: a promised node that breaks is replaced by the nearest that fits, or credited by name.

Method: nodes of a site are judged broken and mended, while their reservations run and before they
begin, with nobody, their tenant or spot on them.
"""

from market_site import NOW_S, A, B, of, open_site

from gigawatt.app.market.charges import ChargeSource
from gigawatt.fleet.demo import hgx_fleet
from gigawatt.identity.accounts import OrganisationId
from gigawatt.intent.request import ClusterRequest, Level
from gigawatt.intent.term import Term
from gigawatt.planner.phases import Phase
from gigawatt.units import DAY_S, HOUR_S


def test_a_broken_promised_node_is_replaced_by_the_nearest_that_is_free(site):
    reservation = site.reserve(32, None, DAY_S)
    broken = min(reservation.promise.node_ids)
    site.judge_node(broken, is_broken=True)
    site.pass_time(60.0, 30.0)
    now = site.booked(reservation)
    assert broken not in now.promise.node_ids
    assert len(now.promise.node_ids) == 4
    (gap,) = now.gaps
    (new,) = now.promise.node_ids - reservation.promise.node_ids
    assert (gap.node_id, gap.replaced_by) == (broken, new)
    assert gap.since_s <= gap.until_s <= NOW_S + 60.0
    cluster_id = site.launch(of(reservation, "train", 32))
    target = site.store.cluster(cluster_id).target
    assert {m.node_id for m in target.members} == now.promise.node_ids
    # The old one is mended, and anybody's.
    site.judge_node(broken, is_broken=False)
    site.launch(ClusterRequest(A, "rest", 96, "h100"))


def test_a_cluster_on_a_broken_promised_node_moves_to_the_one_that_took_its_place(site):
    reservation = site.reserve(32, None, DAY_S)
    cluster_id = site.launch(of(reservation, "train", 32))
    broken = min(reservation.promise.node_ids)
    site.judge_node(broken, is_broken=True)
    site.pass_time(60.0, 30.0)
    site.control.commit(site.control.plan_replace(cluster_id, [broken]))
    site.carry_on()
    target = site.store.cluster(cluster_id).target
    assert {m.node_id for m in target.members} == site.booked(reservation).promise.node_ids
    assert {(m.term, m.price_micro_usd_per_gpu_hour) for m in target.members} == {
        (Term.RESERVED, 0)
    }
    assert site.market.usage.check().differences == ()


def test_spot_on_the_node_that_takes_the_place_gets_its_notice(site):
    reservation = site.reserve(64, None, DAY_S)
    site.bid("spot", 64, 1_000_000)
    site.work()
    assert site.named("spot").phase is Phase.ACTIVE
    site.judge_node(min(reservation.promise.node_ids), is_broken=True)
    site.pass_time(60.0, 30.0)
    now = site.booked(reservation)
    (gap,) = now.gaps
    assert gap.replaced_by in {m.node_id for m in site.named("spot").target.members}
    assert gap.until_s > site.clock.at_s
    (notice,) = site.notices()
    assert notice.node_ids == {gap.replaced_by}
    assert (notice.cause, notice.deadline_s - notice.given_s) == ("reservation", 120.0)
    site.clock.at_s = notice.deadline_s - 1.0
    site.work()
    assert len(site.named("spot").target.members) == 8
    site.pass_time(gap.until_s - site.clock.at_s, 60.0)
    assert len(site.named("spot").target.members) == 7
    site.launch(of(reservation, "train", 64))


def test_a_reservation_that_nothing_fits_is_short_by_name_and_credited(site):
    site.launch(ClusterRequest(A, "rest", 64, "h100"))
    reservation = site.reserve(64, None, DAY_S)
    broken = min(reservation.promise.node_ids)
    broken_s = site.clock.at_s
    site.judge_node(broken, is_broken=True)
    site.pass_time(HOUR_S, 600.0)
    said = [e for e in site.store.events(None, 0, 1_000) if e.kind == "reservation.short"]
    assert len(said) == 1
    assert said[0].message == (
        f"'block' is 8 GPUs short, that are credited: {broken} is out of use and no other one fits"
    )
    site.judge_node(broken, is_broken=False)
    site.pass_time(60.0, 30.0)
    now = site.booked(reservation)
    (gap,) = now.gaps
    assert (gap.node_id, gap.replaced_by, gap.since_s) == (broken, None, broken_s)
    assert now.promise == reservation.promise
    ever = (0, round(1000 * reservation.promise.to_s))
    assert now.short_gpu_ms(*ever) == 8 * round(1000 * (gap.until_s - broken_s))
    owners = {B: OrganisationId("org")}
    source = ChargeSource("2001-09", {}, ())
    (charge,) = source.reservation_charges([now], owners, *ever)
    whole_ms = 64 * round(1000 * DAY_S)
    assert charge.quantity_parts == whole_ms - now.short_gpu_ms(*ever)


def test_what_was_to_stay_together_stays_together():
    """All else of its leaf group is out of use: a node of another group is no replacement."""
    fleet = hgx_fleet(512)
    group_of = dict(zip(fleet.nodes.ids, fleet.nodes.leaf_group.tolist(), strict=True))
    for level, is_replaced in ((Level.LEAF_GROUP, False), (Level.FABRIC, True)):
        with open_site(fleet) as site:
            reservation = site.reserve(16, None, DAY_S, keep_together=level)
            first, second = sorted(reservation.promise.node_ids)
            for node_id, group in group_of.items():
                if group == group_of[second] and node_id != second:
                    site.judge_node(node_id, is_broken=True)
            site.work()
            assert (first not in site.booked(reservation).promise.node_ids) == is_replaced


def test_nothing_of_a_far_reservation_is_replaced(site):
    reservation = site.reserve(32, 5 * DAY_S, DAY_S)
    site.judge_node(min(reservation.promise.node_ids), is_broken=True)
    site.work()
    assert site.booked(reservation) == reservation
    site.clock.at_s += 4 * DAY_S + HOUR_S
    site.work()
    assert len(site.booked(reservation).gaps) == 1
    now = site.booked(reservation)
    assert now.short_gpu_ms(0, round(1000 * now.promise.to_s)) == 0
