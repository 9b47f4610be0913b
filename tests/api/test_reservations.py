"""Reservations, spot and notices over HTTP.

Goal: what is shown is what is booked, at that price; a repeated request books once; a bid is asked
back with a notice that its tenant sees everywhere, and others do not.
Method: a real server on a fleet of 512 GPUs with a rate card; its clock stands still and is moved.
"""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from gigawatt.app.clock import ManualClock
from gigawatt.app.market.opening import open_market
from gigawatt.units import DAY_S, HOUR_S


def block(world: Any, who: str = "acme", **more: Any) -> dict[str, Any]:
    project = world.ids[who]["project"]
    return {
        "project_id": project,
        "name": "block",
        "gpu_count": 64,
        "gpu_type": "h100",
        "hours": 24,
        **more,
    }


@pytest.fixture
def clock(quiet_world: Any) -> ManualClock:
    """The service's clock, standing still."""
    around = quiet_world.service.control.around
    made = ManualClock(around.clock.now_s())
    object.__setattr__(around, "clock", made)
    return made


def test_what_was_planned_is_booked(quiet_world: Any):
    world = quiet_world
    begins = datetime.fromtimestamp(world.service.now_s() + 30 * DAY_S, UTC).isoformat()
    body = block(world, from_at=begins, growth_gpu_count=8)
    planned = world.ok("acme.member", "POST", "/reservations/plans", body)
    assert planned["state"] == "planned"
    assert world.ok("acme.member", "GET", "/reservations")["items"] == []
    path = f"/reservations/{planned['id']}"
    assert world.call("acme.member", "POST", f"{path}:book").status_code == 403
    booked = world.ok("acme.owner", "POST", f"{path}:book")
    same = ("nodes", "growth_nodes", "price_micro_usd_per_gpu_hour", "amount_micro_usd")
    assert [booked[name] for name in same] == [planned[name] for name in same]
    assert (booked["state"], len(booked["nodes"]), len(booked["growth_nodes"])) == ("booked", 8, 1)
    assert booked["amount_micro_usd"] == 64 * 24 * booked["price_micro_usd_per_gpu_hour"]
    assert world.ok("other.owner", "GET", "/reservations")["items"] == []
    assert world.call("other.owner", "GET", path).status_code == 404
    ended = world.ok("acme.owner", "POST", f"{path}:cancel")
    assert (ended["state"], ended["charged_micro_usd"]) == ("cancelled", 0)


def test_a_request_that_is_sent_again_books_once(quiet_world: Any):
    world, key = quiet_world, {"Idempotency-Key": "one"}
    first = world.ok("acme.owner", "POST", "/reservations", block(world), headers=key)
    again = world.ok("acme.owner", "POST", "/reservations", block(world), headers=key)
    assert first["id"] == again["id"]
    assert len(world.ok("acme.owner", "GET", "/reservations")["items"]) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"hours": None},
        {"months": 1},
        {"hours": 0},
        {"hours": -1},
        {"hours": 1e9},
        {"gpu_count": -8},
        {"gpu_count": 12},
        {"growth_gpu_count": -8},
        {"gpu_type": "h900"},
        {"from_at": "1970-01-01T00:00:00Z"},
        {"from_at": "9999-01-01T00:00:00Z"},
        {"from_at": "soon"},
    ],
)
def test_absurd_wishes_are_refused(quiet_world: Any, wrong: dict[str, Any]):
    answer = quiet_world.call(
        "acme.owner", "POST", "/reservations", {**block(quiet_world), **wrong}
    )
    assert answer.status_code in {400, 422}, answer.text


def test_the_view_says_when_there_is_room(quiet_world: Any):
    world = quiet_world
    world.ok(
        "operator",
        "PUT",
        f"/projects/{world.ids['acme']['project']}/quota",
        {"granted_gpu_count": 512},
    )
    booked = world.ok("acme.owner", "POST", "/reservations", block(world, gpu_count=448))
    seen = world.ok("other.read_only", "GET", "/capacity?gpus=128&gpu_type=h100&hours=24")
    assert [window["free_gpu_count"] for window in seen["windows"]] == [64, 512]
    assert seen["starts_at"] > booked["to_at"]
    now = world.ok("other.read_only", "GET", "/capacity?gpus=64&gpu_type=h100")
    assert now["starts_at"] == now["windows"][0]["from_at"]
    assert world.call("other.owner", "GET", "/capacity?gpus=8&gpu_type=x").status_code == 400


def test_who_reserved_sees_what_is_missing_and_what_is_credited(
    quiet_world: Any, clock: ManualClock
):
    """All of the fleet is promised: a node that breaks is missing, by name, until it is mended."""
    world = quiet_world
    acme = world.ids["acme"]["project"]
    world.ok("operator", "PUT", f"/projects/{acme}/quota", {"granted_gpu_count": 512})
    body = {"project_id": acme, "name": "all", "gpu_count": 512, "gpu_type": "h100", "hours": 24}
    made = world.ok("acme.owner", "POST", "/reservations", body)
    opened, broken = chores_of(world), made["nodes"][0]
    world.ok("operator", "POST", f"/nodes/{broken}:quarantine", {"reason": "it fell off the bus"})
    clock.at_s += HOUR_S
    run(world, opened)
    shown = world.ok("acme.member", "GET", f"/reservations/{made['id']}")
    assert shown["short_gpu_count"] == 8
    assert shown["credited_micro_usd"] == 8 * made["price_micro_usd_per_gpu_hour"]
    assert [(gap["node_id"], gap["until_at"]) for gap in shown["gaps"]] == [(broken, None)]
    for who, is_told in (("acme.member", True), ("operator", True), ("other.member", False)):
        told = world.ok(who, "GET", "/events?kind=reservation.short")["items"]
        assert bool(told) == is_told
        assert all(broken in event["message"] for event in told)
    world.ok("operator", "POST", f"/nodes/{broken}:return", {"reason": "mended"})
    clock.at_s += 60.0
    run(world, opened)
    after = world.ok("acme.member", "GET", f"/reservations/{made['id']}")
    assert (after["short_gpu_count"], after["nodes"]) == (0, made["nodes"])


def test_notices_are_answered_by_who_may_and_say_so(quiet_world: Any, clock: ManualClock):
    world = quiet_world
    rate = {"gpu_type": "h100", "term": "spot", "price_micro_usd_per_gpu_hour": 500_000}
    world.ok("operator", "POST", "/rates", {"rates": [rate]})
    for who in ("acme", "other"):
        path = f"/projects/{world.ids[who]['project']}/quota"
        world.ok("operator", "PUT", path, {"granted_gpu_count": 512})
    wish = {"project_id": world.ids["acme"]["project"], "name": "sweep", "gpu_count": 512}
    spot = {**wish, "term": "spot", "price_micro_usd_per_gpu_hour_max": 900_000}
    spot["gpu_type"] = "h100"
    world.ok("acme.member", "POST", "/waiting", {"cluster": spot})
    opened = chores_of(world)
    run(world, opened)
    mine = {"project_id": world.ids["other"]["project"], "name": "mine", "gpu_count": 64}
    world.ok("other.member", "POST", "/waiting", {"cluster": mine})
    run(world, opened)
    clock.at_s += 20.0
    run(world, opened)
    (notice,) = world.ok("acme.member", "GET", "/notices")["items"]
    path = f"/notices/{notice['id']}:answer"
    assert world.call("other.member", "POST", path, {"answer": "saved"}).status_code == 404
    assert world.call("acme.member", "POST", path, {"answer": "maybe"}).status_code == 400
    failed = world.ok("acme.member", "POST", path, {"answer": "failed", "detail": "disk full"})
    assert (failed["answer"], failed["state"]) == ("failed", "given")
    assert world.ok("acme.member", "POST", path, {"answer": "saved"})["answer"] == "saved"
    clock.at_s += 2.0
    run(world, opened)
    (taken,) = world.ok("acme.member", "GET", "/notices?with_ended=true")["items"]
    assert taken["state"] in {"begun", "done"}
    assert taken["state_since"] < notice["deadline_at"]


def test_spot_is_bid_for_and_asked_back_with_notice(quiet_world: Any, clock: ManualClock):
    world = quiet_world
    rate = {
        "gpu_type": "h100",
        "term": "spot",
        "price_micro_usd_per_gpu_hour": 500_000,
        "note": "made up",
    }
    world.ok("operator", "POST", "/rates", {"rates": [rate]})
    for who in ("acme", "other"):
        path = f"/projects/{world.ids[who]['project']}/quota"
        world.ok("operator", "PUT", path, {"granted_gpu_count": 512})
    wish = {"project_id": world.ids["acme"]["project"], "name": "sweep", "gpu_count": 512}
    spot = {"term": "spot", "price_micro_usd_per_gpu_hour_max": 900_000, "gpu_type": "h100"}
    refused = world.call("acme.member", "POST", "/clusters", {**wish, **spot})
    assert (refused.status_code, "bid" in refused.text) == (400, True)
    world.ok("acme.member", "POST", "/waiting", {"cluster": {**wish, **spot}})
    opened = chores_of(world)
    run(world, opened)
    (cluster,) = world.ok("acme.member", "GET", "/clusters")["items"]
    (price,) = world.ok("other.member", "GET", "/spot/prices")["items"]
    assert price["price_micro_usd_per_gpu_hour"] == 500_000
    mine = {"project_id": world.ids["other"]["project"], "name": "mine", "gpu_count": 64}
    world.ok("other.member", "POST", "/waiting", {"cluster": mine})
    run(world, opened)
    clock.at_s += 20.0
    run(world, opened)
    (notice,) = world.ok("acme.member", "GET", "/notices")["items"]
    assert (len(notice["nodes"]), notice["state"]) == (8, "given")
    assert 100.0 <= notice["seconds_left"] <= 120.0
    assert world.ok("other.member", "GET", "/notices")["items"] == []
    shown = world.ok("acme.member", "GET", f"/clusters/{cluster['id']}")
    assert [row["id"] for row in shown["notices"]] == [notice["id"]]
    kinds = [e["kind"] for e in world.ok("acme.member", "GET", "/events?limit=500")["items"]]
    assert "notice.given" in kinds
    world.ok("acme.member", "POST", f"/clusters/{cluster['id']}:saved")
    clock.at_s += HOUR_S
    run(world, opened)
    (ended,) = world.ok("acme.member", "GET", "/notices?with_ended=true")["items"]
    assert ended["state"] in {"begun", "done"}


def chores_of(world: Any) -> Any:
    """What a server does again and again, on the same store."""
    service = world.service
    return open_market(service.admission, service.control.around.store, "test")


def run(world: Any, opened: Any) -> None:
    """Let a server do it once, and carry on what is open."""
    control = world.service.control
    opened.care.run_if_due()
    opened.preemption.run_if_due()
    opened.pump.run_if_due()
    for operation in control.around.store.open_operations():
        asyncio.run(control.run(operation.operation_id, "test"))
