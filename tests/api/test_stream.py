"""Events as they happen.

Goal: a stream shows every event once and in order, also across a broken connection; it ends when
its key ends, and shows nothing of others. Method: real streams over loopback while a cluster is
launched; the connection is dropped after every few events and resumed with ``Last-Event-ID``.
"""

from typing import Any

import httpx
import pytest

from gigawatt.sdk import Client


def launched(world: Any, name: str, who: str = "acme") -> dict[str, Any]:
    body = {"project_id": world.ids[who]["project"], "name": name, "gpu_count": 8}
    made: dict[str, Any] = world.ok("operator", "POST", "/clusters", body)
    world.ended(made["operation_id"])
    return made


def all_events(world: Any, who: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = world.ok(who, "GET", "/events?limit=500")["items"]
    return found


@pytest.mark.parametrize("events_per_connection", [1, 2, 100])
def test_a_resumed_stream_shows_every_event_once(world: Any, events_per_connection: int):
    launched(world, "a")
    launched(world, "b", "other")
    launched(world, "c")
    expected = [event["sequence"] for event in all_events(world, "acme.read_only")]
    seen: list[int] = []
    while len(seen) < len(expected):
        with Client(world.url, world.keys["acme.read_only"]) as client:
            stream = client.stream_events(after=seen[-1] if seen else 0)
            for event in stream:
                seen.append(event.sequence)
                if len(seen) == len(expected) or len(seen) % events_per_connection == 0:
                    break
            stream.close()
    assert seen == expected


def test_a_new_stream_shows_what_happens_from_now_on(world: Any):
    old = launched(world, "a")
    headers = {"Authorization": f"Bearer {world.keys['acme.member']}"}
    url = f"{world.url}/gw/v1/events:stream"
    with httpx.stream("GET", url, headers=headers, timeout=30.0) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        made = launched(world, "b")
        lines = response.iter_lines()
        first = next(line for line in lines if line.startswith("data:"))
    assert made["id"] in first
    assert old["id"] not in first


def test_a_stream_of_one_cluster_shows_no_other(world: Any):
    launched(world, "a")
    wanted = launched(world, "b")
    expected = [
        e["sequence"] for e in all_events(world, "operator") if e["cluster_id"] == wanted["id"]
    ]
    with Client(world.url, world.keys["operator"]) as client:
        stream = client.stream_events(cluster_id=wanted["id"], after=0)
        seen = [next(stream).sequence for _ in expected]
        stream.close()
    assert seen == expected


def test_a_stream_ends_when_its_key_ends(world: Any):
    launched(world, "a")
    with Client(world.url, world.keys["acme.member"]) as client:
        stream = client.stream_events(after=0)
        next(stream)
        world.ok("operator", "POST", f"/api-keys/{world.ids['acme']['key.member']}:revoke")
        assert len(list(stream)) < 100  # it comes to an end


def test_billing_sees_no_events_and_nobody_resumes_from_nonsense(world: Any):
    assert world.call("acme.billing", "GET", "/events:stream").status_code == 403
    answer = world.call("acme.member", "GET", "/events:stream", headers={"Last-Event-ID": "x"})
    assert answer.status_code == 400


def test_which_process_does_it_is_told_to_the_site_alone(world: Any):
    made = launched(world, "a")
    worker = world.service.worker.name

    def told(who: str) -> str:
        with Client(world.url, world.keys[who]) as client:
            stream = client.stream_events(after=0)
            streamed = [next(stream).model_dump_json() for _ in all_events(world, who)]
            stream.close()
        page = world.call(who, "GET", f"/events?cluster_id={made['id']}")
        return "".join([*streamed, page.text])

    assert worker in told("operator")
    assert worker not in told("acme.member")
    assert "carried on at generation" in told("acme.member")
