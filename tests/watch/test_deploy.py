"""The alerts and the dashboard that operators install.

Goal: each alert calls when it should and not when it should not, everything that alerts and
dashboard ask for is there to be scraped, and each alert leads to a page of what to do.
Method: promtool runs the unit tests that are shipped; the metrics named in expressions are looked
up in the exposition of a service that has lived a little.
"""

import asyncio
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from gigawatt.app.home import Home
from gigawatt.app.service import open_service
from gigawatt.app.watch.context import RequestScope
from gigawatt.app.watch.settings import WatchSettings
from gigawatt.fleet.demo import hgx_fleet
from gigawatt.fleet.yaml_dump import dump_fleet
from gigawatt.ids import TenantId
from gigawatt.intent.request import ClusterRequest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "observability"
ALERTS = yaml.safe_load((FOLDER / "alerts.yml").read_text(encoding="utf-8"))["groups"][0]["rules"]
DASHBOARD = json.loads((FOLDER / "dashboard.json").read_text(encoding="utf-8"))
SUFFIX = re.compile(r"_(bucket|count|sum|total)$")


def names_in(expression: str) -> set[str]:
    """Metrics that an expression reads."""
    return set(re.findall(r"\b(?:gigawatt|process)_[a-z_]+", re.sub(r'"[^"]*"', '""', expression)))


@pytest.fixture(scope="module")
def exposition(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a service that launched a cluster, reconciled, proved and answered."""
    home = Home(tmp_path_factory.mktemp("home"), database_url=None)
    home.make()
    home.fleet_path.write_text(dump_fleet(hgx_fleet(128)), encoding="utf-8")
    with open_service(home, settings=WatchSettings(replica="r")) as service:
        control = service.control
        request = ClusterRequest(TenantId("ten_1"), "train", 16)
        operation = control.commit(control.plan_create(request, with_alternatives=False))
        asyncio.run(control.run(operation.operation_id, "worker"))
        asyncio.run(control.reconcile("reconciler"))
        control.prove_targets()
        scope = RequestScope({}, 0.0, operation="list_clusters")
        service.watching.request_ended(scope, 200, 0.1, 0.1)
        yield service.watching.exposition().decode()


def shown(exposition: str) -> set[str]:
    return set(re.findall(r"^([a-z_]+)[{ ]", exposition, re.M))


def labels_of(exposition: str, name: str) -> set[str]:
    found = re.findall(rf"^{name}(?:_bucket|_count|_total)?\{{([^}}]*)\}}", exposition, re.M)
    return {label for inner in found for label in re.findall(r"(\w+)=", inner)}


def expressions() -> dict[str, str]:
    found = {f"alert {rule['alert']}": rule["expr"] for rule in ALERTS}
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", []):
            found[f"panel {panel['title']} {target['refId']}"] = target["expr"]
    return found


@pytest.mark.parametrize("where", expressions())
def test_what_is_asked_for_is_there(exposition: str, where: str):
    expression = expressions()[where]
    assert names_in(expression), where
    assert names_in(expression) <= shown(exposition), where


@pytest.mark.parametrize("where", expressions())
def test_labels_that_are_asked_for_are_there(exposition: str, where: str):
    """Grouping by a label that no series has gives one empty group, and nobody notices."""
    expression = expressions()[where]
    have = {"le", "instance"}
    for name in names_in(expression):
        have |= labels_of(exposition, SUFFIX.sub("", name))
    asked = {
        label.strip()
        for inner in re.findall(r"by \(([^)]*)\)", expression)
        for label in inner.split(",")
    }
    assert asked <= have, where


def test_a_metric_that_is_not_there_is_caught(exposition: str):
    assert not names_in("rate(gigawatt_nothing_total[5m])") <= shown(exposition)
    assert names_in('gigawatt_a{b="gigawatt_c"}') == {"gigawatt_a"}


def test_every_alert_leads_to_what_to_do():
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    headings = set(re.findall(r"^### (\w+)$", text, re.M))
    assert headings == {rule["alert"] for rule in ALERTS}
    for rule in ALERTS:
        link = f"docs/operations.md#{rule['alert'].lower()}"
        assert rule["annotations"]["runbook_url"] == link
        assert rule["labels"]["severity"] in {"critical", "warning"}


def test_every_alert_has_a_case_in_which_it_calls_and_one_in_which_it_does_not():
    cases = yaml.safe_load((FOLDER / "alerts_test.yml").read_text(encoding="utf-8"))["tests"]
    checks = [check for case in cases for check in case["alert_rule_test"]]
    names = {rule["alert"] for rule in ALERTS}
    assert {check["alertname"] for check in checks if check["exp_alerts"]} == names
    assert {check["alertname"] for check in checks if not check["exp_alerts"]} == names
    well = cases[0]
    assert {check["alertname"] for check in well["alert_rule_test"]} == names, "all is well"


@pytest.mark.parametrize(
    "arguments", [["check", "rules", "alerts.yml"], ["test", "rules", "alerts_test.yml"]]
)
def test_promtool_agrees(arguments: list[str]):
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian: prometheus)")
    done: Any = subprocess.run(
        [promtool, *arguments], cwd=FOLDER, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_panels_do_not_overlap_and_have_distinct_ids():
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
