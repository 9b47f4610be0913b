"""The client against a real server.

Goal: every operation has a call, both clients do the same, errors come back in their own class, and
a lost reply is repeated without doing anything twice.
Method: the calls are held against the OpenAPI document; a real server on loopback; a transport that
loses replies after the server has answered.
"""

import asyncio
import inspect
import re
from typing import Any

import httpx
import pytest
from typing_extensions import override

from gigawatt import errors
from gigawatt.errors import (
    DriverRetryableError,
    ForbiddenError,
    InputError,
    NoCapacityError,
    UnauthenticatedError,
    UnknownIdError,
    VersionError,
)
from gigawatt.sdk import AsyncClient, Client, calls
from gigawatt.sdk import documents as doc
from gigawatt.sdk.failures import CLASSES


def all_calls() -> dict[str, Any]:
    return {
        name: found
        for name, found in vars(calls).items()
        if inspect.isfunction(found)
        and found.__module__.startswith(calls.__name__)
        and not name.startswith("_")
    }


def made(make: Any) -> Any:
    """A call with made-up arguments."""
    given: dict[str, Any] = {}
    for name, parameter in inspect.signature(make).parameters.items():
        if parameter.default is inspect.Parameter.empty:
            annotation = parameter.annotation
            given[name] = {int: 8, list[str]: ["n"]}.get(annotation, "x")
            if annotation is doc.ClusterRequest:
                given[name] = doc.ClusterRequest(project_id="p", name="n", gpu_count=8)
            if annotation is doc.CreateWaitingRequest:
                wish = doc.ClusterRequest(project_id="p", name="n", gpu_count=8)
                given[name] = doc.CreateWaitingRequest(cluster=wish)
            if annotation is doc.CreateAccount:
                given[name] = doc.CreateAccount(name="n")
            if annotation is doc.CreateApiKey:
                given[name] = doc.CreateApiKey(name="n")
            if annotation is doc.ChangePlan:
                given[name] = doc.ChangePlan(kind="release")
            if annotation is doc.RoleName:
                given[name] = "member"
    return make(**given)


def test_every_operation_has_a_call_with_its_method_and_path(quiet_world: Any):
    document = quiet_world.http.get(f"{quiet_world.url}/gw/v1/openapi.json").json()
    described = {
        operation["operationId"]: (method.upper(), re.sub(r"\{\w+\}", "x", path))
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    found = {name: (made(make).method, made(make).path) for name, make in all_calls().items()}
    assert found == {k: v for k, v in described.items() if k not in calls.NOT_HERE}


def test_both_clients_have_every_call():
    for kind in (Client, AsyncClient):
        assert not set(all_calls()) - set(dir(kind)), kind
        assert kind.stream_events is not None
        assert kind.watch_operation is not None


def test_a_refusal_for_lack_of_room_says_how_to_wait(quiet_world: Any):
    project = quiet_world.ids["acme"]["project"]
    path = f"/projects/{project}/quota"
    quiet_world.ok("operator", "PUT", path, {"granted_gpu_count": 600})
    with Client(quiet_world.url, quiet_world.keys["acme.member"]) as client:
        client.create_cluster(doc.ClusterRequest(project_id=project, name="a", gpu_count=512))
        wish = doc.ClusterRequest(project_id=project, name="b", gpu_count=8)
        with pytest.raises(NoCapacityError) as caught:
            client.create_cluster(wish)
        assert "/gw/v1/waiting" in caught.value.next_step
        made = client.create_waiting_request(doc.CreateWaitingRequest(cluster=wish))
        assert client.get_waiting_request(made.id).state == "waiting"
        assert [row.id for row in client.pages(calls.list_waiting_requests)] == [made.id]
        assert client.withdraw_waiting_request(made.id).state == "withdrawn"


def test_every_error_comes_back_in_its_class():
    ours = {name for name, kind in vars(errors).items() if inspect.isclass(kind)}
    assert {name for name in ours if name.endswith("Error")} == set(CLASSES)


def wish(world: Any, name: str = "train", gpu_count: int = 16) -> doc.ClusterRequest:
    project = world.ids["acme"]["project"]
    return doc.ClusterRequest(project_id=project, name=name, gpu_count=gpu_count)


def test_the_blocking_client_lives_a_clusters_life(world: Any):
    with Client(world.url, world.keys["acme.member"]) as client:
        assert client.who_am_i().role == "member"
        plan = client.create_plan(wish(world))
        cluster = client.apply_plan(plan.id)
        assert cluster.operation_id is not None
        world.ended(cluster.operation_id)
        cluster = client.get_cluster(cluster.id)
        assert cluster.state == "active"
        assert "HostName" in client.get_file(cluster.id, "ssh_config")
        assert client.list_evidence(cluster.id).items
        names = [c.name for c in client.pages(calls.list_clusters, limit=1)]
        assert names == ["train"]
        grown = client.grow_cluster(cluster.id, 8, if_match=cluster.version)
        world.ended(str(grown.operation_id))
        with pytest.raises(VersionError):
            client.release_cluster(cluster.id, if_match=cluster.version)
        world.ended(str(client.release_cluster(cluster.id).operation_id))


def test_the_awaiting_client_does_the_same(world: Any):
    async def live() -> None:
        async with AsyncClient(world.url, world.keys["acme.member"]) as client:
            cluster = await client.create_cluster(wish(world))
            async for event in client.stream_events(cluster_id=cluster.id, after=0):
                if event.kind == "finished" or "done" in event.message:
                    break
            assert [c.id async for c in client.pages(calls.list_clusters)] == [cluster.id]

    asyncio.run(live())


def test_errors_are_ours(quiet_world: Any):
    world = quiet_world
    with Client(world.url, world.keys["acme.billing"]) as client:
        with pytest.raises(ForbiddenError) as caught:
            client.create_cluster(wish(world))
        assert "request req_" in str(caught.value)
        with pytest.raises(UnknownIdError):
            client.get_cluster("clu_x")
        with pytest.raises(InputError):
            client.list_clusters(limit=501)
    with Client(world.url, "gw_no") as client, pytest.raises(UnauthenticatedError):
        client.who_am_i()
    world.ok(
        "operator",
        "PUT",
        f"/projects/{world.ids['acme']['project']}/quota",
        {"granted_gpu_count": 10_000},
    )
    with Client(world.url, world.keys["acme.member"]) as client:
        client.create_cluster(wish(world, "most", 496))
        with pytest.raises(NoCapacityError) as full:
            client.create_cluster(wish(world, "more", 64))
        assert full.value.reasons
        assert full.value.would_fit


class LosesReplies(httpx.HTTPTransport):
    """A network that delivers every request and loses the first replies."""

    def __init__(self, lost_count: int) -> None:
        super().__init__()
        self.left_count = lost_count

    @override
    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = super().handle_request(request)
        if self.left_count > 0:
            self.left_count -= 1
            response.close()
            raise httpx.ReadError("lost")
        return response


def test_a_lost_reply_is_repeated_and_nothing_is_done_twice(
    quiet_world: Any, monkeypatch: pytest.MonkeyPatch
):
    world = quiet_world
    monkeypatch.setattr("gigawatt.sdk.client._pause_s", lambda *_: 0.0)
    key = world.keys["acme.member"]
    with Client(world.url, key, transport=LosesReplies(2)) as client:
        cluster = client.create_cluster(wish(world))
    assert [c["id"] for c in world.ok("acme.member", "GET", "/clusters")["items"]] == [cluster.id]
    lost = Client(world.url, key, transport=LosesReplies(99))
    with lost as client, pytest.raises(DriverRetryableError):
        client.who_am_i()
