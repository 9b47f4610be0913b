"""Who may do what at the Lambda-compatible door.

Goal: every operation of the door's own document is refused to everybody who may not call it: 401
without a key, 403 without the right, 404 on what is foreign or absent.
Method: every role calls every operation with a key for its one project, about things of its own,
of another organisation and of nobody, over real HTTP.
"""

from typing import Any

import pytest
from authorisation_calls import lambda_operations
from authorisation_objects import numbers
from authorisation_rows import ABSENT, LAMBDA_ROWS, ROLES


@pytest.fixture(scope="module")
def narrow(populated: Any) -> dict[str, str]:
    """A key for the project alone, for each role of acme: this door must know which project."""
    found = {}
    for role in ROLES.values():
        path = f"/accounts/{populated.ids['acme'][f'account.{role}']}/api-keys"
        body = {"name": "narrow", "project_id": populated.ids["acme"]["project"]}
        found[role] = populated.ok("operator", "POST", path, body)["key"]
    return found


def send_there(world: Any, who: str | None, operation: str, whose: str) -> int:
    """One request at the Lambda-compatible door, about a thing of ``whose``."""
    method, path = lambda_operations(world)[operation]
    things = dict.fromkeys(("instance_id", "ssh_key_id", "ruleset_id", "file_system_id"), ABSENT)
    if whose != "absent":
        things = lambda_things(world, whose)
    path = path.format(**things)
    instance = things["instance_id"]
    launch = {"region_name": "site-a", "instance_type_name": "gpu_1x_h100_sxm5"}
    bodies: dict[str, Any] = {
        "rename_lambda_instance": {"name": "n"},
        "launch_lambda_instance": {**launch, "ssh_key_names": [f"{whose}-launch"]},
        "restart_lambda_instances": {"instance_ids": [instance]},
        "terminate_lambda_instances": {"instance_ids": [instance]},
        "add_lambda_ssh_key": {"name": f"n{next(numbers)}"},
        "create_lambda_file_system": {"name": f"n{next(numbers)}", "region": "site-a"},
        "set_lambda_firewall_rules": {"data": []},
        "create_lambda_firewall_ruleset": {
            "name": f"n{next(numbers)}",
            "region": "site-a",
            "rules": [],
        },
        "change_lambda_firewall_ruleset": {"rules": []},
        "change_lambda_global_firewall_ruleset": {"rules": []},
    }
    status: int = world.ask(who, method, path, bodies.get(operation)).status_code
    return status


def lambda_things(world: Any, whose: str) -> dict[str, str]:
    """Ids of one thing of each kind of an organisation, made for one call where it may go."""
    project = world.ids[whose]["project"]
    owner = f"{whose}.narrow"
    if owner not in world.keys:
        path = f"/accounts/{world.ids[whose]['account.owner']}/api-keys"
        body = {"name": "narrow", "project_id": project}
        world.keys[owner] = world.ok("operator", "POST", path, body)["key"]
        body = {"name": f"{whose}-launch", "public_key": "ssh-ed25519 AAAA"}
        world.data(owner, "POST", "/ssh-keys", body)
        body = {"name": "kept", "region": "site-a"}
        world.data(owner, "POST", "/filesystems", body)
    key = {"name": f"k{next(numbers)}", "public_key": "ssh-ed25519 AAAA"}
    rules = {"name": f"r{next(numbers)}", "region": "site-a", "rules": []}
    instances = world.data(owner, "GET", "/instances")
    launched = [one["id"] for one in instances if one["status"] == "booting" and "tags" in one]
    if not launched:
        launch = {"region_name": "site-a", "instance_type_name": "gpu_1x_h100_sxm5"}
        body = {**launch, "ssh_key_names": [f"{whose}-launch"]}
        made = world.data(owner, "POST", "/instance-operations/launch", body)
        launched = made["instance_ids"]
    return {
        "instance_id": launched[0],
        "ssh_key_id": world.data(owner, "POST", "/ssh-keys", key)["id"],
        "ruleset_id": world.data(owner, "POST", "/firewall-rulesets", rules)["id"],
        "file_system_id": world.data(owner, "GET", "/file-systems")[0]["id"],
    }


@pytest.mark.parametrize("operation", LAMBDA_ROWS)
def test_who_may_and_who_may_not_at_the_lambda_door(
    populated: Any, narrow: dict[str, str], operation: str
):
    """Who may not, may not whatever it is about; who may, finds what is foreign absent."""
    world, may = populated, LAMBDA_ROWS[operation]
    names_one = "{" in lambda_operations(world)[operation][1] or operation.startswith(
        ("restart_", "terminate_", "launch_")
    )
    for whose in ("acme", "other", "absent"):
        assert send_there(world, None, operation, whose) == 401, whose
        for letter, role in ROLES.items():
            key = narrow[role]
            if operation == "list_lambda_audit_events":
                key = f"acme.{role}"
                assert send_there(world, narrow[role], operation, whose) == 403
            status = send_there(world, key, operation, whose)
            if letter not in may:
                assert status == 403, (role, whose, status)
            elif whose == "acme" or not names_one:
                # 409: there is no restart, and a file system that is being made is not deleted;
                # one that another test has deleted already goes without complaint.
                fine = {"restart_lambda_instances": {409}, "delete_lambda_file_system": {200, 409}}
                assert status in fine.get(operation, {200}), (role, whose, status)
            else:
                assert status == 404, (role, whose, status)
