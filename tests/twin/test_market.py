"""The market replay.

Goal: whatever breaks and whatever is sold, each invoice is what the event log says to the
micro-dollar, each GPU is in one state at a time, and a fault that is planted in the books is found.
Method: small fleets under random demand, failures many times as often as by default, every policy;
the judge recomputes money by code that shares nothing with the books. The judge is tested by
usages that are billed twice, left out or moved, by changed logs and by changed outcomes.
"""

from collections.abc import Iterable
from dataclasses import replace
from io import StringIO
from tempfile import TemporaryFile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gigawatt.errors import DataError, InputError, UnknownIdError
from gigawatt.fleet.demo import hgx_fleet, mixed_fleet
from gigawatt.intent.term import Term
from gigawatt.market.ledger import balances, to_beancount
from gigawatt.market.meter import Usage
from gigawatt.twin.failures import FailureRates
from gigawatt.twin.market.books import CREDIT, ROUNDING, as_they_are
from gigawatt.twin.market.demand import market_workload, repeat, wishes_of
from gigawatt.twin.market.judge import fleet_time, judge
from gigawatt.twin.market.placing import pack, spread
from gigawatt.twin.market.recompute import recompute
from gigawatt.twin.market.replay import MarketOutcome, replay_market
from gigawatt.twin.market.settings import POLICIES, MarketMix, MarketSettings, policy_of
from gigawatt.twin.scene import START_S
from gigawatt.twin.traces import Job, make_trace
from gigawatt.twin.workload import Workload, generated
from gigawatt.units import DAY_S, HOUR_S

FLEET = hgx_fleet(256)
HARSH = FailureRates().times(60.0)
JOBS = st.lists(
    st.tuples(
        st.floats(0, 40 * HOUR_S),
        st.floats(0, 20 * HOUR_S),
        st.sampled_from([1, 2, 4, 8, 16, 64, 128, 256, 512]),
    ),
    min_size=1,
    max_size=40,
)


def workload_of(rows: Iterable[tuple[float, float, int]], span_s: float = 48 * HOUR_S) -> Workload:
    jobs = [Job(f"j{n}", at_s, length_s, gpus) for n, (at_s, length_s, gpus) in enumerate(rows)]
    return Workload(make_trace("hand-made", jobs, span_s), "hand-made", 0, 0.0)


def busy(seed: int, count: int = 60) -> Workload:
    random = np.random.default_rng(seed)
    sizes = [1, 4, 8, 16, 32, 64, 128]
    return workload_of(
        (float(random.uniform(0, 40 * HOUR_S)), float(random.exponential(6 * HOUR_S)),
         int(random.choice(sizes)))
        for _ in range(count)
    )  # fmt: skip


def run(workload: Workload, given_settings: MarketSettings, tamper=as_they_are):
    log = StringIO()
    outcome = replay_market(FLEET, workload, given_settings, stream=log, tamper=tamper)
    return outcome, log.getvalue().splitlines()


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.name)
@given(JOBS, st.integers(0, 1000))
@settings(max_examples=4, deadline=None)
def test_money_and_hours_agree_whatever_breaks(policy, rows, seed):
    given_settings = MarketSettings(seed=seed, policy=policy, rates=HARSH, term_s=DAY_S)
    outcome, lines = run(workload_of(rows), given_settings)
    judge(outcome, lines)
    assert sum(balances(outcome.entries).values()) == 0
    assert sum(s.gpu_ms for s in fleet_time(outcome)) == FLEET.gpu_count * outcome.span_ms


def test_a_busy_fleet_sells_every_term_and_all_of_it_is_judged():
    given_settings = MarketSettings(rates=HARSH, term_s=DAY_S)
    outcome, lines = run(busy(1), given_settings)
    judge(outcome, lines)
    assert {key[2] for key in outcome.posted} == {*(t.value for t in Term), CREDIT, ROUNDING}
    assert outcome.metrics.preemption_count > 0
    assert outcome.metrics.failure_count > 0
    assert len(outcome.calendar.by_id) > 4


def test_the_same_seed_is_the_same_money_and_another_is_not():
    first, second, other = (
        run(busy(2), MarketSettings(seed=seed, rates=HARSH))[0] for seed in (3, 3, 4)
    )
    assert (first.digest, first.posted) == (second.digest, second.posted)
    assert first.digest != other.digest


def doubled(usages: tuple[Usage, ...]) -> tuple[Usage, ...]:
    """One usage of one cluster is billed twice."""
    return (*usages, *(u for u in usages if u.cluster_id == "c5" and u.number == 0))


def lost(usages: tuple[Usage, ...]) -> tuple[Usage, ...]:
    return tuple(u for u in usages if not (u.cluster_id == "c5" and u.number == 0))


def late(usages: tuple[Usage, ...]) -> tuple[Usage, ...]:
    """One usage begins a second too late."""
    is_it = [u.cluster_id == "c5" and u.number == 0 for u in usages]
    return tuple(
        replace(u, from_ms=u.from_ms + 1000) if hit else u
        for u, hit in zip(usages, is_it, strict=True)
    )


@pytest.mark.parametrize("tamper", [doubled, lost, late])
def test_one_wrong_usage_record_is_found(tamper):
    sold = MarketSettings(policy=policy_of("on_demand"), rates=FailureRates().times(0.0))
    good, lines = run(busy(1), sold)
    judge(good, lines)
    bad, its_log = run(busy(1), sold, tamper)
    assert its_log == lines
    with pytest.raises(DataError, match="micro-USD by the log"):
        judge(bad, its_log)


def test_a_log_in_which_a_line_is_missing_or_moved_does_not_pass():
    outcome, lines = run(busy(1), MarketSettings(rates=HARSH, term_s=DAY_S))
    stops = [n for n, line in enumerate(lines) if line.split()[1] == "stop"]
    without = [line for n, line in enumerate(lines) if n != stops[3]]
    with pytest.raises(DataError):
        judge(outcome, without)
    opens = next(n for n, line in enumerate(lines) if line.split()[1] == "open")
    with pytest.raises(DataError, match="before it was opened"):
        judge(outcome, [line for n, line in enumerate(lines) if n != opens])


def test_the_judge_sees_a_gpu_in_two_states_and_revenue_that_nobody_metered():
    outcome, lines = run(busy(1), MarketSettings(rates=HARSH))
    billed = next(s for s in outcome.stretches if s.price_micro_usd_per_gpu_hour)
    dearer = replace(billed, price_micro_usd_per_gpu_hour=billed.price_micro_usd_per_gpu_hour + 1)
    changed = tuple(dearer if s is billed else s for s in outcome.stretches)
    with pytest.raises(DataError, match="were earned"):
        judge(replace(outcome, stretches=changed), lines)
    more = replace(billed, gpu_count=FLEET.gpu_count)
    with pytest.raises(DataError, match="and there are"):
        judge(replace(outcome, stretches=(*outcome.stretches, more)), lines)
    with pytest.raises(DataError):
        judge(replace(outcome, entries=outcome.entries[1:]), lines)
    with pytest.raises(DataError, match="by their invoices"):
        judge(replace(outcome, entries=outcome.entries[:-1]), lines)


def test_beancount_agrees_with_the_ledger():
    loader = pytest.importorskip("beancount.loader")
    outcome, _ = run(busy(5), MarketSettings(rates=HARSH, term_s=DAY_S))
    rows, errors, _ = loader.load_string(to_beancount(outcome.entries))
    assert not errors
    theirs: dict[str, int] = {}
    for row in rows:
        for posting in getattr(row, "postings", ()):
            amount = int(posting.units.number * 1_000_000)
            theirs[posting.account] = theirs.get(posting.account, 0) + amount
    assert theirs == balances(outcome.entries)


def test_a_month_is_posted_when_it_ends_and_usage_that_spans_two_is_cut():
    span_s = 33 * DAY_S
    outcome, lines = run(
        workload_of([(30 * DAY_S, 2 * DAY_S, 8)], span_s),
        MarketSettings(
            policy=policy_of("on_demand"), mix=MarketMix(0.0, 0.0), rates=HARSH.times(0)
        ),
    )
    judge(outcome, lines)
    assert [entry.draft.date for entry in outcome.entries] == ["2026-01-31", "2026-02-28"]
    launch_s, price = 300, outcome.prices.on_demand
    january = 8 * (DAY_S - launch_s) * price / HOUR_S
    february = 8 * (DAY_S + launch_s) * price / HOUR_S
    lines = [amount for key, amount in outcome.posted.items() if key[2] != ROUNDING]
    assert lines == [round(january), round(february)]
    owed = {name: amount for name, amount in balances(outcome.entries).items() if "Assets" in name}
    assert len(owed) == 1
    assert all(amount % 10_000 == 0 for amount in owed.values())


def test_spot_gives_way_and_its_work_goes_on_from_the_last_checkpoint():
    mix = MarketMix(reserved_share=0.0, spot_share=1.0)
    workload = workload_of([(0.0, 10 * HOUR_S, 256), (4.5 * HOUR_S, 1 * HOUR_S, 256)])
    jobs = wishes_of(workload, mix, 7)
    assert {wish.term for wish in jobs} == {Term.SPOT}
    # The second comes on demand: a mix of its own that a seed is searched for.
    both = MarketMix(reserved_share=0.0, spot_share=0.5)
    wanted = [Term.SPOT, Term.ON_DEMAND]
    seed = next(s for s in range(99) if [w.term for w in wishes_of(workload, both, s)] == wanted)
    calm = MarketSettings(
        seed=seed, policy=policy_of("spot_fill"), mix=both, rates=HARSH.times(0.0)
    )
    outcome, lines = run(workload, calm)
    judge(outcome, lines)
    metrics = outcome.metrics
    assert metrics.preemption_count == 1
    assert metrics.ended == {Term.SPOT: 1, Term.ON_DEMAND: 1}
    # It began after its launch; it ran until the notice was over, and kept 4 whole hours.
    ran_s = 4.5 * HOUR_S + calm.notice_s - calm.launch_s
    assert metrics.preempted_gpu_s == pytest.approx(256 * (ran_s - 4 * HOUR_S))
    waits = {wait.term: wait.wait_s for wait in metrics.waits}
    assert waits[Term.ON_DEMAND] == pytest.approx(calm.notice_s + calm.clean_s)


def test_reserved_capacity_is_paid_for_whether_it_is_used_or_not():
    mix = MarketMix(reserved_share=1.0, spot_share=0.0, reserved_tenant_count=1, cover_ratio=2.0)
    calm = MarketSettings(policy=policy_of("reserved_spot"), mix=mix, rates=HARSH.times(0.0))
    outcome, lines = run(workload_of([(0.0, 24 * HOUR_S, 64)]), calm)
    judge(outcome, lines)
    (booked,) = outcome.calendar.by_id.values()
    hours = outcome.span_ms / 3_600_000
    paid = len(booked.node_ids) * 8 * hours * outcome.prices.reserved
    key = ("2026-01", "ten_r00", "reserved", booked.reservation_id, outcome.prices.reserved)
    assert outcome.posted[key] == round(paid)
    assert {key[2] for key in outcome.posted} <= {"reserved", ROUNDING}


def test_what_is_lent_brings_its_tenant_a_credit_and_the_fleet_more_hours():
    workload = busy(4, 120)
    kept, lent = (
        run(workload, MarketSettings(policy=policy_of(name), rates=HARSH.times(0.0)))[0]
        for name in ("reserved_spot", "sell_back")
    )
    assert not any(key[2] == CREDIT for key in kept.posted)
    assert sum(v for key, v in lent.posted.items() if key[2] == CREDIT) > 0

    def unused(outcome: MarketOutcome) -> int:
        return sum(s.gpu_ms for s in outcome.stretches if s.state == "kept")

    assert unused(lent) < unused(kept)


@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 2, 4, 8, 24, 64]))
@settings(deadline=None, max_examples=40)
def test_spreading_takes_what_is_free_from_the_emptiest_groups(seed, gpu_count):
    random = np.random.default_rng(seed)
    free = FLEET.full_gpu_mask_of_node.copy()
    free[random.random(len(free)) < 0.5] = 0
    some = random.random(len(free)) < 0.2
    free[some] &= np.uint16(0b1101)
    found, packed = (place(FLEET, free, gpu_count, ()) for place in (spread, pack))
    assert (found is None) == (packed is None)
    if found is not None:
        assert sum(mask.bit_count() for mask in found.values()) == gpu_count
        assert all(int(free[row]) & mask == mask for row, mask in found.items())


def test_every_policy_meets_the_same_demand_and_a_trace_is_repeated_to_fill_a_span():
    trace = make_trace("t", [Job(f"j{n}", n * HOUR_S, 5 * HOUR_S, 8) for n in range(48)], 2 * DAY_S)
    longer = repeat(trace, 5 * DAY_S)
    assert longer.span_s == 6 * DAY_S
    assert len(longer) == 3 * len(trace)
    workload = market_workload(trace, 256, 10 * DAY_S, 0.8, 1)
    assert workload.trace.span_s == 10 * DAY_S
    assert workload.load == pytest.approx(0.8, rel=0.15)
    wishes = wishes_of(workload, MarketMix(), 1)
    shares = [np.mean([w.term is term for w in wishes]) for term in Term]
    assert shares == pytest.approx([0.4, 0.3, 0.3], abs=0.15)


def test_what_cannot_be_replayed_is_refused():
    with pytest.raises(InputError, match="several"):
        replay_market(mixed_fleet(), busy(1), MarketSettings())
    with pytest.raises(UnknownIdError, match="bazaar"):
        policy_of("bazaar")
    with pytest.raises(InputError, match="shares"):
        MarketMix(reserved_share=0.7, spot_share=0.7)
    with pytest.raises(InputError, match="cover_ratio"):
        MarketMix(cover_ratio=0.0)
    with pytest.raises(InputError, match="bids"):
        MarketMix(bid_ratio_min=0.9, bid_ratio_max=0.1)
    with pytest.raises(DataError, match="still paid for"):
        recompute(["0.0 open c1 ten on_demand", "0.0 members c1 n=8=1", "0.0 deliver c1"], START_S)


@pytest.mark.slow
@pytest.mark.timeout(3_600)
def test_a_year_of_the_demo_fleet_is_sold_and_judged():
    fleet = hgx_fleet(10_000)
    month = generated(("kalos",), fleet.gpu_count, 30 * DAY_S, 0.85, 1).trace
    workload = market_workload(month, fleet.gpu_count, 365 * DAY_S, 0.85, 7)
    with TemporaryFile("w+", encoding="utf-8") as log:
        outcome = replay_market(fleet, workload, MarketSettings(), stream=log)
        log.seek(0)
        judge(outcome, log)
    assert len({key[0] for key in outcome.posted}) == 12
    assert outcome.metrics.failure_count > 1_000
