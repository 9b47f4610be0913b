"""Goal: nobody reaches what is not theirs, whether they ask for it, list, name or set it.

Method: the holders of keys of two organisations try it over real HTTP, by the objects of the other
one, by keys that are too narrow and by fields that are not theirs to set.
"""

from typing import Any

from authorisation_objects import wish
from authorisation_rows import ABSENT


def test_a_foreign_object_reads_as_an_absent_one(populated: Any):
    """The two answers differ in nothing but the id that was asked for."""
    world = populated
    places = {
        "cluster": "/clusters/{}",
        "plan": "/plans/{}",
        "ssh": "/ssh-keys/{}",
        "operation": "/operations/{}",
        "waiting": "/waiting/{}",
        "file_system": "/file-systems/{}",
        "ruleset": "/firewall-rulesets/{}",
        "project": "/projects/{}",
        "organisation": "/organisations/{}/audit",
        "account.owner": "/accounts/{}",
        "key.owner": "/api-keys/{}",
    }
    for noun, path in places.items():
        found = []
        for name in (world.ids["other"][noun], ABSENT):
            answer = world.call("acme.owner", "GET", path.format(name))
            problem = answer.json()
            assert problem.pop("request_id") == answer.headers["X-Request-Id"]
            found.append(str(problem).replace(name, "ID"))
        assert found[0] == found[1]
    keys = f"/accounts/{world.ids['acme']['account.owner']}/api-keys"
    for name in (world.ids["other"]["project"], ABSENT):
        body = {"name": "k", "project_id": name}
        assert world.call("acme.owner", "POST", keys, body).status_code == 404


def test_an_account_manages_its_own_keys_and_no_others(populated: Any):
    world, ids = populated, populated.ids["acme"]
    mine = f"/accounts/{ids['account.billing']}/api-keys"
    key = world.ok("acme.billing", "POST", mine, {"name": "mine"})
    assert world.call("acme.billing", "POST", f"/api-keys/{key['id']}:revoke").status_code == 200
    other = f"/api-keys/{ids['key.service']}:revoke"
    assert world.call("acme.billing", "POST", other).status_code == 403
    shown = world.ok("acme.billing", "GET", "/api-keys")["items"]
    assert {item["account_id"] for item in shown} == {ids["account.billing"]}


def test_nobody_but_an_operator_makes_an_operator(populated: Any):
    world, ids = populated, populated.ids["acme"]
    path = f"/organisations/{ids['organisation']}/accounts"
    body = {"name": "climber", "role": "operator"}
    assert world.call("acme.owner", "POST", path, body).status_code == 403
    body = {"role": "operator"}
    account = f"/accounts/{ids['account.service']}"
    assert world.call("acme.owner", "PATCH", account, body).status_code == 403
    operators = f"/accounts/{ids['account.operator']}"
    assert world.call("acme.owner", "DELETE", operators).status_code == 403
    assert (
        world.call("acme.owner", "POST", operators + "/api-keys", {"name": "k"}).status_code == 403
    )
    assert (
        world.call("acme.owner", "POST", f"/api-keys/{ids['key.operator']}:revoke").status_code
        == 403
    )


def test_a_key_for_one_project_reaches_no_other(populated: Any):
    world, ids = populated, populated.ids["acme"]
    org = ids["organisation"]
    second = world.ok("operator", "POST", f"/organisations/{org}/projects", {"name": "second"})
    key = {"name": "narrow", "project_id": second["id"]}
    path = f"/accounts/{ids['account.owner']}/api-keys"
    narrow = world.ok("operator", "POST", path, key)["key"]
    assert world.call(narrow, "GET", f"/projects/{second['id']}").status_code == 200
    assert world.call(narrow, "GET", f"/projects/{ids['project']}").status_code == 404
    assert world.call(narrow, "GET", f"/clusters/{ids['cluster']}").status_code == 404
    assert world.ok(narrow, "GET", "/clusters")["items"] == []
    assert world.ok(narrow, "GET", "/operations")["items"] == []
    assert [p["id"] for p in world.ok(narrow, "GET", "/projects")["items"]] == [second["id"]]
    for method, place in (("POST", "accounts"), ("GET", "audit"), ("POST", "projects")):
        body = {"name": "x"} if method == "POST" else None
        assert world.call(narrow, method, f"/organisations/{org}/{place}", body).status_code == 403
    assert world.call(narrow, "POST", path, {"name": "wider"}).status_code == 403


def test_an_operators_key_for_one_project_does_not_run_the_site(populated: Any):
    world, ids = populated, populated.ids["acme"]
    path = f"/accounts/{ids['account.operator']}/api-keys"
    body = {"name": "narrow", "project_id": ids["project"]}
    narrow = world.ok("operator", "POST", path, body)["key"]
    assert world.call(narrow, "GET", "/nodes").status_code == 403
    assert world.call(narrow, "GET", "/fleet").status_code == 200
    assert (
        world.call(narrow, "GET", f"/clusters/{world.ids['other']['cluster']}").status_code == 404
    )


def test_lists_show_only_what_is_ones_own(populated: Any):
    world = populated
    for who, ids in (("acme.owner", world.ids["acme"]), ("other.owner", world.ids["other"])):
        paths = ("/clusters", "/operations", "/file-systems", "/firewall-rulesets", "/waiting")
        for path in paths:
            found = world.ok(who, "GET", path)["items"]
            assert found
            assert {item["project_id"] for item in found} == {ids["project"]}
        events = world.ok(who, "GET", "/events")["items"]
        own = {
            item["id"]
            for path in ("/clusters?with_ended=true", "/file-systems?with_ended=true")
            for item in world.ok(who, "GET", path)["items"]
        }
        assert {event["cluster_id"] for event in events} <= {*own, None}
        for event in events:
            # A line of no cluster is about a waiting request of one's own, or one's own quota.
            if event["cluster_id"] is None and "waiting_id" in event["data"]:
                waiting_id = event["data"]["waiting_id"]
                assert world.call(who, "GET", f"/waiting/{waiting_id}").status_code == 200
            elif event["cluster_id"] is None:
                assert event["data"]["project_id"] == ids["project"]
        orgs = world.ok(who, "GET", "/organisations")["items"]
        assert [item["id"] for item in orgs] == [ids["organisation"]]


def test_a_foreign_cluster_or_ssh_key_cannot_be_named_in_a_wish(populated: Any):
    world = populated
    body = wish(world.ids["acme"]["project"], "nosy")
    for more in (
        {"near_cluster_id": world.ids["other"]["cluster"]},
        {"ssh_key_ids": [world.ids["other"]["ssh"]]},
        {"file_system_mounts": [{"file_system_id": world.ids["other"]["file_system"]}]},
        {"file_system_mounts": [{"file_system_id": world.ids["acme"]["cluster"]}]},
        {"near_cluster_id": world.ids["acme"]["file_system"]},
        {"firewall_ruleset_ids": [world.ids["other"]["ruleset"]]},
    ):
        assert world.call("acme.owner", "POST", "/plans", {**body, **more}).status_code == 404


def test_nobody_sets_what_is_not_theirs_to_set(populated: Any):
    world = populated
    body = wish(world.ids["acme"]["project"], "sly")
    for more in ({"state": "active"}, {"price_micro_usd_per_hour": 1}, {"tenant_id": "ten_x"}):
        assert world.call("acme.owner", "POST", "/clusters", {**body, **more}).status_code == 400
