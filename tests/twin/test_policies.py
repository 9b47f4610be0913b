"""Policies against each other.

Goal: a comparison is fair, repeatable and says how sure it is.
Method: a small fleet and a generated trace; known distributions for the intervals; the command as a
user calls it.
"""

import csv
import json
from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

from gigawatt.app.market.order_file import parse_order
from gigawatt.cli.lazy import command_of
from gigawatt.cli.twin import app
from gigawatt.errors import InputError
from gigawatt.fleet.demo import hgx_fleet
from gigawatt.intent.term import Term
from gigawatt.market.order import ORDER, Order
from gigawatt.twin.failures import FailureRates
from gigawatt.twin.market.compare import bootstrap, compare, drawing, to_csv, to_markdown
from gigawatt.twin.market.demand import market_workload
from gigawatt.twin.market.figures import FIGURES
from gigawatt.twin.market.judge import judge
from gigawatt.twin.market.replay import replay_market
from gigawatt.twin.market.settings import POLICIES, MarketSettings, policy_of
from gigawatt.twin.workload import generated
from gigawatt.units import DAY_S, HOUR_S

COMMAND = command_of(app, "twin")
TRACE = generated(("philly",), 256, 3 * DAY_S, 0.9, 1).trace
BUSY = generated(("philly",), 256, 10 * DAY_S, 1.1, 1).trace
BASE = MarketSettings(rates=FailureRates().times(10.0))


def compared(seeds: tuple[int, ...] = (1, 2)):
    draw = drawing(TRACE, 256, 12 * HOUR_S, 0.9)
    return compare(hgx_fleet(256), draw, POLICIES, seeds, BASE)


def test_a_comparison_is_the_same_again_and_pairs_seeds():
    first, again = compared(), compared()
    assert to_csv(first) == to_csv(again)
    rows = list(csv.DictReader(to_csv(first).splitlines()))
    assert len(rows) == len(POLICIES) * 2
    for name in FIGURES:
        assert all(name in row for row in rows)
    # A policy compared with itself under another name differs in nothing.
    twins = (POLICIES[0], replace(POLICIES[0], name="spot_fill"))
    same = compare(hgx_fleet(256), drawing(TRACE, 256, 6 * HOUR_S, 0.9), twins, (1, 2), BASE)
    assert "+0.0 [0.0, 0.0]" in to_markdown(same)
    assert "**" not in to_markdown(same)


def test_shares_are_shares_and_dollars_follow_prices():
    found = compared()
    for figures in found.figures.values():
        for name in ("used_share", "paid_share", "stranded_share", "turned_away_share"):
            assert np.all((figures[name] >= 0) & (figures[name] <= 1))
        assert np.all(figures["spread_ratio"][~np.isnan(figures["spread_ratio"])] >= 1.0)
    assert np.all(found.figures["on_demand"]["preemption_count"] == 0)
    # On demand alone everything that is paid for is paid at list price.
    alone = found.figures["on_demand"]
    assert alone["paid_share"] == pytest.approx(alone["dollar_share"])


@pytest.mark.parametrize("count", [20, 60])
def test_intervals_cover_the_mean_as_often_as_they_say(count):
    random = np.random.default_rng(4)
    hits = 0
    for _ in range(100):
        found = bootstrap(random.normal(3.0, 2.0, count))
        hits += found.low <= 3.0 <= found.high
    # 95 % of 100, a little less because a bootstrap of few values is narrow.
    assert 86 <= hits <= 100


def test_nothing_known_is_said_so():
    assert np.isnan(bootstrap(np.array([np.nan, np.nan])).mean)
    one = bootstrap(np.array([2.0, np.nan]))
    assert (one.mean, one.low, one.high) == (2.0, 2.0, 2.0)


def test_what_cannot_be_compared_is_refused():
    draw = drawing(TRACE, 256, 6 * HOUR_S, 0.9)
    for policies, seeds in (
        ((), (1,)),
        (POLICIES, ()),
        (POLICIES[:1] * 2, (1,)),
        (POLICIES, (1, 1)),
    ):
        with pytest.raises(InputError, match="once each"):
            compare(hgx_fleet(256), draw, policies, seeds, BASE)


def sold(policy: str, order: Order):
    """One replay under an order of classes."""
    workload = market_workload(BUSY, 256, 4 * DAY_S, 1.1, 1)
    settings = replace(BASE, seed=1, policy=policy_of(policy), order=order)
    log = StringIO()
    outcome = replay_market(hgx_fleet(256), workload, settings, stream=log)
    log.seek(0)
    judge(outcome, log)
    return outcome


def changed(term: Term, **flags: bool) -> Order:
    return tuple(replace(r, **flags) if r.term is term else r for r in ORDER)


def test_the_order_of_the_service_decides_in_a_replay():
    """Where nobody takes from spot nobody is preempted; where spot is first others wait longer."""
    usual = sold("spot_fill", ORDER)
    assert usual.metrics.preemption_count > 0
    calm = sold("spot_fill", changed(Term.ON_DEMAND, takes_from_spot=False))
    assert calm.metrics.preemption_count == 0
    assert calm.digest != usual.digest
    assert waits_s(calm, Term.ON_DEMAND) > waits_s(usual, Term.ON_DEMAND)
    first = sold("spot_fill", (ORDER[0], ORDER[2], ORDER[1]))
    assert first.digest != usual.digest
    assert waits_s(first, Term.ON_DEMAND) > waits_s(usual, Term.ON_DEMAND)
    assert sold("spot_fill", parse_order(yaml.safe_dump(written(ORDER)))).digest == usual.digest


def waits_s(outcome, term: Term) -> float:
    return sum(wait.wait_s for wait in outcome.metrics.waits if wait.term is term)


def written(order: Order) -> dict[str, object]:
    """An order as the service writes it."""
    rows = [
        {
            "term": rule.term.value,
            "takes_from_spot": rule.takes_from_spot,
            "takes_from_lent": rule.takes_from_lent,
            "sentence": rule.sentence,
        }
        for rule in order
    ]
    return {"order": rows}


def test_lent_nodes_come_back_only_where_the_order_says_so():
    keeps = changed(Term.RESERVED, takes_from_spot=False, takes_from_lent=False)
    usual, kept = sold("sell_back", ORDER), sold("sell_back", keeps)
    assert kept.metrics.preemption_count < usual.metrics.preemption_count
    assert waits_s(kept, Term.RESERVED) > waits_s(usual, Term.RESERVED)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("order: 3", "no YAML mapping"),
        ("[]", "no YAML mapping"),
        ("order: []", "wanted each of"),
        ("order: [{term: spot}, {term: spot}, {term: reserved}]", "wanted each of"),
        ("order: [{term: lent}]", "'lent', wanted one of"),
        ("order: [7]", "no mapping"),
        ("order: [{term: spot, first: true}]", "has 'first'"),
        ("order: [{term: spot, takes_from_lent: 1}]", "wanted true or false"),
        (
            "order: [{term: spot, takes_from_spot: true}, {term: reserved}, {term: on_demand}]",
            "spot takes from nobody",
        ),
    ],
)
def test_what_is_no_order_is_refused(text: str, said: str):
    with pytest.raises(InputError, match=said):
        parse_order(text)


def test_the_commands_write_what_they_say(tmp_path: Path):
    env = {"GIGAWATT_TRACES": ""}
    trace = tmp_path / "trace.csv"
    rows = [f"{j.job_id},{j.submit_s},{j.duration_s},1,{j.gpu_count}" for j in TRACE.jobs]
    trace.write_text("\n".join(["job_id,submit_s,duration_s,nodes,gpus", *rows]) + "\n")
    common = ["--gpus", "256", "--days", "0.5", "--trace", str(trace), "--out", str(tmp_path)]
    some = ["--only", "on_demand,sell_back", "--seeds", "1,2"]
    result = CliRunner().invoke(COMMAND, ["policies", *common, *some], env=env)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "policies.png").read_bytes().startswith(b"\x89PNG")
    assert "| used (%) |" in (tmp_path / "policies.md").read_text()
    assert len((tmp_path / "policies.csv").read_text().splitlines()) == 5
    order = tmp_path / "order.yaml"
    order.write_text(yaml.safe_dump(written((ORDER[0], ORDER[2], ORDER[1]))))
    words = ["market", *common, "--order", str(order), "-o", "json"]
    result = CliRunner().invoke(COMMAND, words, env=env)
    assert result.exit_code == 0, result.output
    assert "2. spot" in json.loads(result.output)["order"]
    assert {p.name for p in tmp_path.iterdir()} >= {"events.log", "ledger.beancount", "market.png"}
    for wrong in (["--seeds", "one"], ["--days", "0"], ["--only", "bazaar"]):
        failed = CliRunner().invoke(COMMAND, ["policies", "--gpus", "256", *wrong], env=env)
        assert failed.exit_code != 0
