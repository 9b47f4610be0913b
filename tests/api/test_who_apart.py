"""Who did it is kept apart from why.

Goal: a tenant whose node an operator takes out of service reads the reason and never who gave it,
at no door; an operator reads both. The same holds for what else operators do to what is a tenant's.
Method: everything that a tenant may ask for is asked for by each role of its organisation while an
operator drains, quarantines, returns, cancels and withdraws, and searched for the operator's id
and name.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from gigawatt.sdk import documents as doc
from gigawatt.sdk.client import Client

NAME = "olu"
"""Name of the operator's account."""

TENANTS = ("acme.owner", "acme.member", "acme.billing", "acme.read_only")


@pytest.fixture
def operator(world: Any) -> Iterator[Client]:
    """The operator's client."""
    with Client(world.url, world.keys["operator"]) as client:
        yield client


def launched(world: Any) -> Any:
    """A cluster of acme that runs on two nodes."""
    body = {"project_id": world.ids["acme"]["project"], "name": "train", "gpu_count": 16}
    made = world.ok("acme.owner", "POST", "/clusters", body)
    assert world.ended(made["operation_id"])["state"] == "done"
    return world.ok("acme.owner", "GET", f"/clusters/{made['id']}")


def described(world: Any) -> dict[str, tuple[str, str]]:
    """Method and path of each operation, as the API describes itself."""
    paths = world.ok(None, "GET", "/openapi.json")["paths"]
    return {
        operation["operationId"]: (method.upper(), path)
        for path, methods in paths.items()
        for method, operation in methods.items()
    }


def readable(world: Any, who: str, cluster: Any) -> dict[str, str]:
    """Text of every page that a tenant can read without an object of its own besides these."""
    filled = {
        "{cluster_id}": cluster["id"],
        "{project_id}": world.ids["acme"]["project"],
        "{organisation_id}": world.ids["acme"]["organisation"],
    }
    found = {}
    for name, (method, path) in described(world).items():
        mine = re.sub(r"\{\w+\}", lambda word: filled.get(word[0], word[0]), path)
        if method != "GET" or "{" in mine or ":stream" in mine:
            continue
        answer = world.http.get(world.url + mine, headers=bearer(world, who))
        if answer.status_code == 200:
            found[name] = answer.text
    for path in ("/instances", "/audit-events", "/file-systems", "/instance-types"):
        found[path] = world.ask(who, "GET", path).text
    return found


def bearer(world: Any, who: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {world.keys[who]}"}


def streamed(world: Any, who: str, last_sequence: int) -> str:
    """What the stream shows from the first event up to one, to somebody who sees that one."""
    headers = {**bearer(world, who), "Last-Event-ID": "0"}
    url, said = f"{world.url}/gw/v1/events:stream", ""
    with httpx.stream("GET", url, headers=headers, timeout=30.0) as response:
        for line in response.iter_lines():
            said += line + "\n"
            if f'"sequence":{last_sequence},' in line:
                return said
    raise AssertionError(f"the stream ended before event {last_sequence}")


def test_tenants_read_why_a_node_is_out_and_never_who_said_so(world: Any, operator: Client):
    me = world.ok("operator", "GET", "/me")
    cluster = launched(world)
    drained, broken = cluster["status"]["members"]
    node = operator.drain_node(drained, "a fan is loud")
    assert node.state_reason == "a fan is loud"
    assert node.state_by == doc.Doer(account_id=me["account_id"], name=NAME)
    operator.quarantine_node(broken, "XID 79")
    for who in TENANTS:
        pages = readable(world, who, cluster)
        assert len(pages) > 15
        if who != "acme.billing":
            assert "a fan is loud" in pages["get_cluster_topology"]
            assert "XID 79" in pages["get_cluster_topology"]
        for name, said in pages.items():
            found = re.search(rf"{me['account_id']}|\b{NAME}\b|\(by ", said)
            assert found is None, f"{who} reads it in {name}"
    last = world.ok("acme.owner", "GET", "/events?newest_first=true&limit=1")["items"][0]
    said = streamed(world, "acme.owner", last["sequence"])
    assert me["account_id"] not in said
    assert "a fan" not in said, "what happens to nodes is told to operators alone"


def test_operators_read_who_took_a_node_out_in_lists_pages_and_events(world: Any, operator: Client):
    node_id = world.service.control.around.fleet.nodes.ids[0]
    operator.drain_node(node_id, "a fan")
    me = world.ok("operator", "GET", "/me")
    by = doc.Doer(account_id=me["account_id"], name=NAME)
    assert operator.get_node(node_id).state_by == by
    listed = operator.list_nodes(doc.NodeFilter(state="drained")).items
    assert [(one.id, one.state_by) for one in listed] == [(node_id, by)]
    event = world.ok("operator", "GET", f"/events?node_id={node_id}")["items"][0]
    assert event["message"] == f"node {node_id} is drained: a fan"
    assert event["data"]["by"] == me["account_id"]
    assert event["data"]["by_name"] == NAME
    assert f'"by_name":"{NAME}"' in streamed(world, "operator", event["sequence"])
    back = operator.return_node(node_id, "it is mended")
    assert (back.state, back.state_by) == ("available", None)


def test_what_the_control_plane_takes_out_itself_names_nobody(world: Any, operator: Client):
    store, node_id = world.service.control.around.store, operator.list_nodes().items[0].id
    store.set_node_state(node_id, "quarantined", "its BMC is silent", 100.0)
    node = operator.get_node(node_id)
    assert (node.state_reason, node.state_by) == ("its BMC is silent", None)


@pytest.mark.parametrize("who", ["operator", "acme.member"])
def test_a_cancelled_launch_names_members_and_no_operator(quiet_world: Any, who: str):
    world = quiet_world
    body = {"project_id": world.ids["acme"]["project"], "name": "train", "gpu_count": 16}
    made = world.ok("acme.member", "POST", "/clusters", body)
    world.ok(who, "POST", f"/operations/{made['operation_id']}:cancel")
    world.service.worker.start()
    ended = world.ended(made["operation_id"])
    events = world.ok("acme.owner", "GET", f"/events?cluster_id={made['id']}")
    said = json.dumps([ended, events, world.ok("acme.owner", "GET", f"/clusters/{made['id']}")])
    account_id = world.ok(who, "GET", "/me")["account_id"]
    assert (account_id in said) == (who != "operator")
    assert ("cancelled by whoever runs the site" in said) == (who == "operator")


@pytest.mark.parametrize("who", ["operator", "acme.member"])
def test_a_withdrawn_request_names_members_and_no_operator(quiet_world: Any, who: str):
    world = quiet_world
    body = {"project_id": world.ids["acme"]["project"], "name": "train", "gpu_count": 16}
    made = world.ok("acme.member", "POST", "/waiting", {"cluster": body})
    world.ok(who, "POST", f"/waiting/{made['id']}:withdraw")
    said = world.ok("acme.owner", "GET", f"/waiting/{made['id']}")["state_reason"]
    account_id = world.ok(who, "GET", "/me")["account_id"]
    name = "whoever runs the site" if who == "operator" else account_id
    assert said == f"withdrawn by {name}"
