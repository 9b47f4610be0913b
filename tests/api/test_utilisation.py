"""Utilisation over HTTP.

Goal: who runs the site sees where its GPU-hours went; nobody else does, billing accounts of the
site's own organisation excepted.
Method: a real server on loopback with its worker; a cluster that is made and released.
"""

from typing import Any

import pytest
from typer.testing import CliRunner

from gigawatt.app.service import site_organisation
from gigawatt.cli.utilisation import app
from gigawatt.sdk import documents as doc
from gigawatt.sdk.client import Client

HOUR_MS = 3_600_000


@pytest.fixture
def used(world: Any) -> Any:
    """A world in which a cluster was made and released, and its operator's client."""
    with Client(world.url, world.keys["operator"]) as client:
        project = world.ids["acme"]["project"]
        made = client.create_cluster(
            doc.ClusterRequest(project_id=project, name="train", gpu_count=16)
        )
        assert world.ended(made.operation_id)["state"] == "done"
        gone = client.release_cluster(made.id)
        assert world.ended(gone.operation_id)["state"] == "done"
        yield world, client


def test_states_sum_to_the_fleet_and_money_is_that_of_usage(used: Any):
    world, client = used
    gpu_count = world.service.control.around.fleet.gpu_count
    for by in ("all", "type", "site", "hour", "term"):
        found = client.get_utilisation(by=by)
        there = gpu_count * (found.to_ms - found.from_ms) / HOUR_MS
        total = sum(state.gpu_hours for row in found.rows for state in row.states)
        assert total == pytest.approx(there, rel=1e-9)
        usage = client.get_usage_summary(from_ms=found.from_ms, to_ms=found.to_ms)
        revenue = sum(row.revenue_micro_usd for row in found.rows)
        assert revenue == pytest.approx(usage.total.amount_micro_usd, abs=len(found.rows))
        billed = sum(s.gpu_hours for row in found.rows for s in row.states if s.state == "billed")
        assert billed == pytest.approx(usage.total.gpu_ms / HOUR_MS)
        assert billed > 0
    terms = {row.key: row for row in client.get_utilisation(by="term").rows}
    assert set(terms) >= {"on_demand", "unsold"}


def test_the_sites_own_billing_sees_it_and_a_tenants_does_not(used: Any):
    world, _ = used
    assert world.call("acme.billing", "GET", "/utilisation").status_code == 403
    assert world.call("acme.owner", "GET", "/utilisation").status_code == 403
    site = site_organisation(world.service.directory)
    account = world.ok(
        "operator", "POST", f"/organisations/{site}/accounts", {"name": "b", "role": "billing"}
    )
    key = world.ok("operator", "POST", f"/accounts/{account['id']}/api-keys", {"name": "k"})["key"]
    assert world.call(key, "GET", "/utilisation?by=type").status_code == 200


@pytest.mark.parametrize(
    "query", ["from_ms=5&to_ms=5", "from_ms=0", "from_ms=9000000000000", "by=colour", "from_ms=x"]
)
def test_a_window_that_cannot_be_is_refused(world: Any, query: str):
    assert world.call("operator", "GET", f"/utilisation?{query}").status_code == 400


def test_the_command_shows_and_draws_it(used: Any, tmp_path: Any):
    world, _ = used
    env = {"GIGAWATT_SERVER": world.url, "GIGAWATT_API_KEY": world.keys["operator"]}
    path = tmp_path / "hours.png"
    result = CliRunner().invoke(app, ["--by", "hour", "--plot", str(path)], env=env)
    assert result.exit_code == 0, result.output
    assert "USED" in result.output
    assert path.read_bytes().startswith(b"\x89PNG")


def test_a_node_out_of_use_is_broken_and_its_history_breaks_no_report(used: Any):
    world, client = used
    node_id = world.service.control.around.fleet.nodes.ids[-1]
    client.quarantine_node(node_id, "test")
    # A line of the trail that tells of a node and names no state.
    world.service.control.around.store.add_event(
        "node", "said", world.service.now_s(), data={"node_id": node_id}
    )
    found = client.get_utilisation()
    states = {state.state: state.gpu_hours for state in found.rows[0].states}
    assert 0 < states["broken"] < 8 * 24
    assert client.check_usage().differences == []
