"""Policies against each other.

Goal: a comparison is fair, repeatable and says how sure it is.
Method: a small fleet and a generated trace; known distributions for the intervals; the command as a
user calls it.
"""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from gigawatt.cli.lazy import command_of
from gigawatt.cli.twin import app
from gigawatt.errors import InputError
from gigawatt.fleet.demo import hgx_fleet
from gigawatt.twin.failures import FailureRates
from gigawatt.twin.market.compare import bootstrap, compare, drawing, to_csv, to_markdown
from gigawatt.twin.market.figures import FIGURES
from gigawatt.twin.market.settings import POLICIES, MarketSettings
from gigawatt.twin.workload import generated
from gigawatt.units import DAY_S, HOUR_S

COMMAND = command_of(app, "twin")
TRACE = generated(("philly",), 256, 3 * DAY_S, 0.9, 1).trace
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
    result = CliRunner().invoke(COMMAND, ["market", *common], env=env)
    assert result.exit_code == 0, result.output
    assert {p.name for p in tmp_path.iterdir()} >= {"events.log", "ledger.beancount", "market.png"}
    for wrong in (["--seeds", "one"], ["--days", "0"], ["--only", "bazaar"]):
        failed = CliRunner().invoke(COMMAND, ["policies", "--gpus", "256", *wrong], env=env)
        assert failed.exit_code != 0
