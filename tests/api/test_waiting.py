"""Requests that wait for room, and the record of those that were turned away.

Goal: what does not fit now waits, starts once when there is room, in a fair order, and says where
it stands; what can never be served is refused at once; every refusal is kept once.
Method: a real server on a fleet of 512 GPUs; the pump is driven by hand where the worker does not
run, and the clock is moved; two services share one home for what must happen once.
"""

import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from gigawatt.app.clock import ManualClock
from gigawatt.app.home import Home
from gigawatt.app.pump import Pump
from gigawatt.app.service import open_service
from gigawatt.errors import ConflictError, DataError
from gigawatt.ids import WaitingId
from gigawatt.interfaces.turned_away import TurnedAway
from gigawatt.store.audit import audit_database
from gigawatt.store.turned_away import SqlTurnedAwayBook
from gigawatt.units import DAY_S, HOUR_S


def wish(world: Any, name: str, gpu_count: int, who: str = "acme", **more: Any) -> dict[str, Any]:
    project = world.ids[who]["project"]
    return {"project_id": project, "name": name, "gpu_count": gpu_count, **more}


def wait(world: Any, name: str, gpu_count: int, who: str = "acme", **more: Any) -> dict[str, Any]:
    body = {"cluster": wish(world, name, gpu_count, who), **more}
    made: dict[str, Any] = world.ok(f"{who}.member", "POST", "/waiting", body)
    return made


def grant(world: Any, who: str, gpu_count: int, **more: Any) -> dict[str, Any]:
    path = f"/projects/{world.ids[who]['project']}/quota"
    body = {"granted_gpu_count": gpu_count, **more}
    changed: dict[str, Any] = world.ok("operator", "PUT", path, body)
    return changed


def fill(world: Any, name: str, gpu_count: int, who: str = "acme") -> dict[str, Any]:
    """A cluster that is committed and holds its GPUs."""
    made: dict[str, Any] = world.ok(
        f"{who}.member", "POST", "/clusters", wish(world, name, gpu_count, who)
    )
    return made


def pump_of(world: Any) -> Pump:
    return Pump(world.service.admission, "test")


def state(world: Any, made: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = world.ok("operator", "GET", f"/waiting/{made['id']}")
    return found


def until(is_so: Any, limit_s: float = 20.0) -> None:
    """Wait until something is so; the worker looks for work twice a second."""
    gate = threading.Event()
    for _ in range(int(limit_s / 0.02)):
        if is_so():
            return
        gate.wait(0.02)
    raise AssertionError("it did not come to be so")


def at_clock(world: Any) -> ManualClock:
    """A clock that the test moves, from now on."""
    around = world.service.control.around
    clock = ManualClock(around.clock.now_s())
    object.__setattr__(around, "clock", clock)
    return clock


def turned_away(world: Any, **query: str) -> list[dict[str, Any]]:
    text = "&".join(f"{name}={value}" for name, value in query.items())
    items: list[dict[str, Any]] = world.ok("operator", "GET", f"/turned-away?{text}")["items"]
    return items


def test_what_does_not_fit_waits_and_starts_when_there_is_room(world: Any):
    grant(world, "acme", 512)
    first = fill(world, "first", 512)
    world.ended(first["operation_id"])
    grant(world, "acme", 1_000)
    refused = world.call("acme.member", "POST", "/clusters", wish(world, "second", 64))
    assert refused.status_code == 507
    assert "/gw/v1/waiting" in refused.json()["next_step"]
    made = wait(world, "second", 64, duration_s=7_200)
    assert (made["state"], made["place"]["position"]) == ("waiting", 1)
    until(lambda: state(world, made)["why"] is not None)
    found = state(world, made)
    assert "free" in found["why"]
    assert (found["place"]["position"], found["place"]["expected_at"]) == (1, None)
    assert "no rate" in found["place"]["basis"]
    released = world.ok("acme.member", "POST", f"/clusters/{first['id']}:release")
    assert world.ended(released["operation_id"])["state"] == "done"
    until(lambda: state(world, made)["state"] == "started")
    found = state(world, made)
    assert found["place"] is None
    assert world.ended(found["operation_id"])["state"] == "done"
    cluster = world.ok("acme.member", "GET", f"/clusters/{found['cluster_id']}")
    assert (cluster["name"], cluster["config"]["gpu_count"]) == ("second", 64)
    kinds = [e["kind"] for e in world.ok("acme.read_only", "GET", "/events?limit=500")["items"]]
    assert [k for k in kinds if k.startswith("waiting.")] == ["waiting.created", "waiting.started"]
    others = world.ok("other.owner", "GET", "/events?limit=500")["items"]
    assert [e for e in others if e["kind"].startswith("waiting.")] == []


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"gpu_type": "b300"}, 400),
        ({"site_ids": ["nowhere"]}, 404),
        ({"gpu_count": 1_024}, 400),
        ({"gpu_count": 12}, 400),
        ({"near_cluster_id": "clu_none"}, 404),
    ],
)
def test_what_can_never_be_is_refused_up_front(quiet_world: Any, more: Any, status: int):
    grant(quiet_world, "acme", 100_000)
    body = {"cluster": {**wish(quiet_world, "a", 8), **more}}
    answer = quiet_world.call("acme.member", "POST", "/waiting", body)
    assert answer.status_code == status, answer.text
    assert answer.json()["detail"]
    assert quiet_world.ok("acme.member", "GET", "/waiting")["items"] == []


def test_a_wait_beyond_grant_price_or_count_is_refused(quiet_world: Any):
    world = quiet_world
    grant(world, "acme", 64, granted_waiting_count=2)
    answer = world.call("acme.member", "POST", "/waiting", {"cluster": wish(world, "a", 128)})
    assert answer.status_code == 403
    body = {"cluster": wish(world, "a", 8), "price_micro_usd_per_gpu_hour_max": 5}
    answer = world.call("acme.member", "POST", "/waiting", body)
    assert answer.status_code == 400
    assert "cost" in answer.json()["detail"]
    for name in ("a", "b"):
        wait(world, name, 8)
    answer = world.call("acme.member", "POST", "/waiting", {"cluster": wish(world, "c", 8)})
    assert answer.status_code == 403
    assert "2 waiting requests" in answer.json()["detail"]
    answer = world.call("acme.member", "POST", "/waiting", {"cluster": wish(world, "a", 8)})
    assert answer.status_code in {403, 409}
    causes = sorted(row["cause"] for row in turned_away(world))
    assert causes == ["price", "quota", "quota", "quota"]


def test_a_name_waits_once(quiet_world: Any):
    wait(quiet_world, "a", 8)
    body = {"cluster": wish(quiet_world, "a", 16)}
    assert quiet_world.call("acme.member", "POST", "/waiting", body).status_code == 409
    assert wait(quiet_world, "a", 8, "other")["state"] == "waiting"


def test_the_same_key_waits_once_also_after_a_cut(quiet_world: Any):
    world, headers = quiet_world, {"Idempotency-Key": "k"}
    body = {"cluster": wish(world, "a", 8)}
    first = world.call("acme.member", "POST", "/waiting", body, headers)
    again = world.call("acme.member", "POST", "/waiting", body, headers)
    assert (first.status_code, again.text) == (202, first.text)
    with world.service.control.around.store.database.write() as connection:
        connection.exec_driver_sql(
            "UPDATE idempotent_request SET status = NULL, started_s = started_s - 1000"
        )
    cut = world.call("acme.member", "POST", "/waiting", body, headers)
    assert cut.json()["id"] == first.json()["id"]
    assert len(world.ok("acme.member", "GET", "/waiting")["items"]) == 1


def test_a_withdrawn_request_never_starts_and_is_kept_as_demand(quiet_world: Any):
    world = quiet_world
    made = wait(world, "a", 8, duration_s=3_600)
    path = f"/waiting/{made['id']}:withdraw"
    assert world.ok("acme.member", "POST", path)["state"] == "withdrawn"
    assert world.ok("acme.member", "POST", path)["state"] == "withdrawn"
    assert pump_of(world).run_if_due() == 0
    assert world.ok("acme.member", "GET", "/clusters")["items"] == []
    (row,) = turned_away(world, origin="waiting")
    assert (row["outcome"], row["gpu_count"], row["duration_s"]) == ("withdrawn", 8, 3_600)
    ended = world.ok("acme.member", "GET", "/waiting?with_ended=true")["items"]
    assert [item["state"] for item in ended] == ["withdrawn"]
    assert world.ok("acme.member", "GET", "/waiting")["items"] == []


def test_a_started_request_cannot_be_withdrawn(quiet_world: Any):
    world = quiet_world
    made = wait(world, "a", 8)
    assert pump_of(world).run_if_due() == 1
    answer = world.call("acme.member", "POST", f"/waiting/{made['id']}:withdraw")
    assert answer.status_code == 409
    assert state(world, made)["state"] == "started"


def test_who_withdraws_while_it_is_being_started_wins_or_loses_wholly(quiet_world: Any):
    """The request is withdrawn after its plan was judged and before it is committed."""
    world, made = quiet_world, wait(quiet_world, "a", 8)
    admission = world.service.admission

    class Slow(Pump):
        @override
        def _admit(self, waiting: Any, view: Any, plan: Any) -> None:
            super()._admit(waiting, view, plan)
            row = admission.ended(waiting, "withdrawn")
            admission.room.end(waiting.waiting_id, "withdrawn", "now", admission.now_s(), row)

    assert Slow(admission, "test").run_if_due() == 0
    assert state(world, made)["state"] == "withdrawn"
    assert world.ok("acme.member", "GET", "/clusters")["items"] == []


def test_a_request_that_expires_is_kept_as_demand_once(quiet_world: Any):
    world = quiet_world
    fill(world, "big", 256)
    fill(world, "big", 256, "other")
    grant(world, "acme", 512)
    made = wait(world, "a", 64, expires_after_s=3_600)
    clock = at_clock(world)
    pump = pump_of(world)
    assert pump.run_if_due() == 0
    clock.at_s += 3_601
    assert pump.run_if_due() == 0
    assert pump_of(world).run_if_due() == 0
    assert state(world, made)["state"] == "expired"
    (row,) = turned_away(world, origin="waiting")
    assert (row["cause"], row["outcome"]) == ("capacity", "expired")
    assert row["waited_s"] >= 3_600
    assert row["reasons"]


def test_over_quota_waits_without_blocking_and_starts_when_granted(quiet_world: Any):
    world = quiet_world
    fill(world, "held", 256)
    over = wait(world, "over", 64)
    free = wait(world, "free", 64, "other")
    clock, pump = at_clock(world), pump_of(world)
    clock.at_s += 30 * DAY_S / 7
    assert pump.run_if_due() == 1
    assert state(world, free)["state"] == "started"
    found = state(world, over)
    assert (found["state"], found["place"]["position"]) == ("waiting", None)
    assert "its project may hold 0 more" in found["why"]
    grant(world, "acme", 320)
    assert pump.run_if_due() == 1
    assert state(world, over)["state"] == "started"


def test_nobody_passes_whom_patience_has_left_not_by_asking_directly_either(quiet_world: Any):
    world = quiet_world
    for who in ("acme", "other"):
        grant(world, who, 512)
    fill(world, "half", 256)
    large = wait(world, "large", 512, "other")
    small = wait(world, "small", 8)
    clock, pump = at_clock(world), pump_of(world)
    assert pump.run_if_due() == 1
    assert state(world, small)["state"] == "started", "it fits and passes"
    fill(world, "direct", 8)
    clock.at_s += 6 * HOUR_S + 1
    late = wait(world, "late", 8)
    assert pump.run_if_due() == 0
    assert "passed for too long" in state(world, late)["why"]
    assert large["id"] not in state(world, late)["why"], "it is another tenant's"
    for path in ("/clusters", "/plans"):
        answer = world.call("acme.member", "POST", path, wish(world, "sly", 8))
        assert answer.status_code == 507, answer.text
        assert "passed for too long" in answer.json()["detail"]
    assert state(world, large)["place"]["position"] == 1
    assert state(world, late)["place"]["position"] == 2
    world.ok("other.member", "POST", f"/waiting/{large['id']}:withdraw")
    assert pump.run_if_due() == 1
    assert state(world, late)["state"] == "started"


def test_the_expected_time_comes_from_what_was_released(world: Any):
    grant(world, "acme", 10_000)
    for number in range(3):
        made = fill(world, f"c{number}", 64)
        world.ended(made["operation_id"])
        gone = world.ok("acme.member", "POST", f"/clusters/{made['id']}:release")
        world.ended(gone["operation_id"])
    world.service.worker.stop(10.0)
    fill(world, "full", 512)
    first, second = wait(world, "a", 64), wait(world, "b", 128)
    assert pump_of(world).run_if_due() == 0
    place = state(world, first)["place"]
    assert "3 releases freed 192 GPUs" in place["basis"]
    # The record is seconds old, so the rate is taken over the shortest span there is, an hour.
    assert place["expected_wait_s"] == pytest.approx(64 / 192 * HOUR_S)
    behind = state(world, second)["place"]
    assert (behind["position"], behind["expected_at"] > place["expected_at"]) == (2, True)
    assert behind["expected_wait_s"] == pytest.approx(192 / 192 * HOUR_S)


def test_a_launch_that_failed_waits_again_at_its_old_place(quiet_world: Any):
    world = quiet_world
    made = wait(world, "a", 8)
    pump = pump_of(world)
    assert pump.run_if_due() == 1
    first = state(world, made)["operation_id"]
    store, now_s = world.service.control.around.store, world.service.now_s()
    operation = store.begin_unwind(store.operation(first), "a device died", now_s)
    store.finish(operation, "unwound", {}, now_s)
    assert pump.run_if_due() == 1
    found = state(world, made)
    assert (found["state"], found["launch_count"]) == ("started", 2)
    assert found["operation_id"] != first
    assert found["created_at"] == made["created_at"]
    store.begin_unwind(store.operation(found["operation_id"]), "cancelled", now_s)
    world.service.directory.ask_cancel(found["operation_id"], "acc_x", now_s)
    store.finish(store.operation(found["operation_id"]), "unwound", {}, now_s)
    assert pump.run_if_due() == 0
    assert state(world, made)["state"] == "started", "who cancels does not wait again"


def test_a_queue_outlives_its_server_and_two_servers_start_everything_once(
    tmp_path: Path, new_world_of: Any
):
    with ExitStack() as stack:
        world = stack.enter_context(new_world_of(tmp_path / "home", with_worker=False))
        made = [wait(world, f"c{n}", 16, who) for n in range(6) for who in ("acme", "other")]
        others = [stack.enter_context(open_service(Home(tmp_path / "home"))) for _ in range(3)]
        barrier, counts = threading.Barrier(len(others)), []

        class Unguarded(Pump):
            """As when a server was paused and its turn ran out: all serve at once."""

            @override
            def run_if_due(self) -> int:
                return self._serve(list(self._room.waiting()), self._admission.now_s())

        def serve(service: Any) -> None:
            pump = Unguarded(service.admission, service.worker.name)
            barrier.wait()
            counts.append(sum(pump.run_if_due() for _ in range(6)))

        threads = [threading.Thread(target=serve, args=(service,)) for service in others]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        pump_of(world).run_if_due()
        assert sum(counts) == len(made), counts
        assert {state(world, row)["state"] for row in made} == {"started"}
        operations = world.ok("operator", "GET", "/operations?limit=500")["items"]
        assert len(operations) == len(made)
        assert len({state(world, row)["cluster_id"] for row in made}) == len(made)
    assert audit_database(tmp_path / "home" / "store.sqlite") == ()


def test_one_server_at_a_time_has_the_turn(quiet_world: Any):
    room, now_s = quiet_world.service.admission.room, quiet_world.service.now_s()
    assert room.take_turn("a", now_s, 10.0)
    assert not room.take_turn("b", now_s + 9.0, 10.0)
    assert room.take_turn("a", now_s + 9.0, 10.0)
    assert room.take_turn("b", now_s + 20.0, 10.0)


def test_turned_away_demand_is_recorded_once_for_each_request(quiet_world: Any):
    world = quiet_world
    grant(world, "acme", 10_000)
    fill(world, "full", 512)
    headers = {"Idempotency-Key": "k"}
    for _ in range(3):
        body = wish(world, "a", 64, gpu_type="h100")
        assert world.call("acme.member", "POST", "/clusters", body, headers).status_code == 507
    assert world.call("acme.member", "POST", "/plans", wish(world, "a", 64)).status_code == 507
    body = wish(world, "a", 8, gpu_type="b300")
    assert world.call("acme.member", "POST", "/clusters", body).status_code == 400
    body = {"cluster": wish(world, "a", 512)}
    grant(world, "acme", 256)
    assert world.call("acme.member", "POST", "/waiting", body).status_code == 403
    found = [(row["cause"], row["origin"], row["gpu_type"]) for row in turned_away(world)]
    assert found == [
        ("quota", "waiting", "any"),
        ("impossible", "create", "unknown"),
        ("capacity", "plan", "any"),
        ("capacity", "create", "h100"),
    ]
    (row,) = turned_away(world, origin="create", cause="capacity", gpu_type="h100")
    price = world.service.control.around.fleet.node_types[0].price_micro_usd_per_gpu_hour
    assert row["list_price_micro_usd_per_hour"] == 64 * price
    assert row["reasons"]
    days = world.ok("operator", "GET", "/turned-away/days")["items"]
    assert sum(day["request_count"] for day in days) == 4
    (day,) = [d for d in days if (d["cause"], d["origin"]) == ("capacity", "create")]
    assert (day["gpu_count_from"], day["gpu_count"], day["distinct_count"]) == (64, 64, 1)
    assert world.call("acme.owner", "GET", "/turned-away").status_code == 403


def test_a_record_that_cannot_be_kept_does_not_fail_the_request(quiet_world: Any):
    world = quiet_world

    class Broken(SqlTurnedAwayBook):
        @override
        def record(self, row: TurnedAway) -> bool:
            raise DataError("the disk is gone")

    admission = world.service.admission
    admission.book = Broken(world.service.control.around.store.database)
    assert world.call("acme.member", "POST", "/clusters", wish(world, "a", 512)).status_code == 403
    assert world.ok("operator", "GET", "/admission")["unrecorded_count"] == 1


def test_supply_stands_against_grants_and_demand(quiet_world: Any):
    world = quiet_world
    grant(world, "acme", 512, granted_gpu_count_by_type={"h100": 384})
    grant(world, "other", 640)
    fill(world, "a", 256)
    wait(world, "b", 64)
    world.call("other.member", "POST", "/clusters", wish(world, "x", 512, "other"))
    node = world.service.control.around.fleet.nodes.ids[-1]
    world.ok("operator", "POST", f"/nodes/{node}:drain", {"reason": "test"})
    found = world.ok("operator", "GET", "/admission")
    whole, kind = found["gpu_types"]
    # The operator's own project of the first key is granted the fleet.
    assert (whole["gpu_type"], whole["granted_gpu_count"]) == ("all", 512 + 640 + 512)
    assert (kind["gpu_type"], kind["granted_gpu_count"]) == ("h100", 384 + 640 + 512)
    assert kind["oversubscription_ratio"] == pytest.approx((384 + 640 + 512) / 512)
    assert (kind["held_gpu_count"], kind["free_gpu_count"], kind["blocked_gpu_count"]) == (
        256,
        248,
        8,
    )
    assert (kind["waiting_count"], kind["waiting_gpu_count"]) == (1, 64)
    assert (whole["turned_away_count"], whole["turned_away_gpu_count"]) == (1, 512)


def test_limits_by_type_and_of_clusters_bind_and_their_change_is_in_the_trail(quiet_world: Any):
    world = quiet_world
    grant(world, "acme", 256, granted_gpu_count_by_type={"h100": 64}, granted_cluster_count=2)
    answer = world.call("acme.member", "POST", "/clusters", wish(world, "a", 128))
    assert answer.status_code == 403
    assert "64 GPUs of type 'h100'" in answer.json()["detail"]
    fill(world, "a", 8)
    fill(world, "b", 8)
    answer = world.call("acme.member", "POST", "/clusters", wish(world, "c", 8))
    assert answer.status_code == 403
    assert "2 clusters" in answer.json()["detail"]
    assert world.call("acme.owner", "PUT", "/projects/x/quota", {}).status_code in {400, 403, 404}
    kept = grant(world, "acme", 128)
    assert kept["granted_gpu_count_by_type"] == {"h100": 64}
    gone = grant(world, "acme", 128, granted_gpu_count_by_type=None, granted_cluster_count=None)
    assert (gone["granted_gpu_count_by_type"], gone["granted_cluster_count"]) == ({}, None)
    fill(world, "c", 8)
    path = f"/projects/{world.ids['acme']['project']}/quota"
    body = {"granted_gpu_count": 1, "granted_gpu_count_by_type": {"b300": 1}}
    assert world.call("operator", "PUT", path, body).status_code == 400
    events = world.ok("acme.read_only", "GET", "/events?limit=500")["items"]
    changes = [e["data"] for e in events if e["kind"] == "quota"]
    assert [c["after"]["gpu_count"] for c in changes] == [256, 128, 128]
    assert changes[1]["before"] == changes[0]["after"]
    assert changes[0]["account_id"].startswith("acc_")


def test_an_end_in_the_store_is_final(quiet_world: Any):
    world, made = quiet_world, wait(quiet_world, "a", 8)
    admission = world.service.admission
    waiting = admission.room.request(WaitingId(made["id"]))
    row = admission.ended(waiting, "refused")
    admission.room.end(waiting.waiting_id, "refused", "no", 1.0, row)
    with pytest.raises(ConflictError):
        admission.room.end(waiting.waiting_id, "expired", "no", 1.0, row)
