"""A world of two organisations in which there is one object of every kind to call about."""

from collections.abc import Iterator
from typing import Any

import pytest
from authorisation_objects import (
    booked_reservation,
    invited,
    keep_invoices,
    new_notice,
    new_ruleset,
    wish,
)


@pytest.fixture(scope="module")
def stage(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Any]:
    """A world with a plan, a cluster, an operation and an SSH key in both organisations."""
    from_conftest = request.getfixturevalue("new_world_of")
    with from_conftest(tmp_path_factory.mktemp("home"), with_worker=False) as world:
        for name, ids in world.ids.items():
            project = ids["project"]
            plan = world.ok("operator", "POST", "/plans", wish(project, "planned"))
            made = world.ok("operator", "POST", "/clusters", wish(project, f"c-{name}"))
            key = {"name": "k", "public_key": "ssh-ed25519 AAAA"}
            ssh = world.ok("operator", "POST", f"/projects/{project}/ssh-keys", key)
            ids |= {"plan": plan["id"], "cluster": made["id"], "ssh": ssh["id"]}
            ids["operation"] = made["operation_id"]
            waits = {"cluster": wish(project, f"w-{name}")}
            ids["waiting"] = world.ok("operator", "POST", "/waiting", waits)["id"]
            files = {"project_id": project, "name": "f", "quota_bytes": 1 << 30}
            ids["file_system"] = world.ok("operator", "POST", "/file-systems", files)["id"]
            ids["ruleset"] = new_ruleset(world, project)
            ids["reservation"] = booked_reservation(world, project)
            ids["notice"] = new_notice(world, project, made["id"])
        keep_invoices(world)
        world.ids["acme"]["proof"] = world.ok("operator", "POST", "/proofs", {})["id"]
        made = world.ok("operator", "POST", "/reconciliations")
        world.ids["acme"]["reconciliation"] = made["id"]
        yield world


@pytest.fixture(scope="module")
def populated(stage: Any) -> Any:
    """The stage with a service account in both organisations, which no test calls as."""
    for ids in stage.ids.values():
        path = f"/organisations/{ids['organisation']}/accounts"
        body = {"name": "service", "kind": "service_account", "role": "member"}
        ids["account.service"] = stage.ok("operator", "POST", path, body)["id"]
        path = f"/accounts/{ids['account.service']}/api-keys"
        ids["key.service"] = stage.ok("operator", "POST", path, {"name": "k"})["id"]
        ids["invitation"] = invited(stage, ids)
    return stage
