"""Several servers, and servers that stop.

Goal: two servers on one file never carry out one operation twice; a server that stops finishes or
lets go, and another takes over at once. Method: two services with workers on one home, in threads;
the trail and the journal are read afterwards.
"""

import os
import signal
import subprocess
import sys
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import gigawatt
from gigawatt.app.home import Home
from gigawatt.app.service import open_service

CLUSTER_COUNT = 6


def wish(world: Any, name: str, gpu_count: int = 32) -> dict[str, Any]:
    return {"project_id": world.ids["acme"]["project"], "name": name, "gpu_count": gpu_count}


def test_two_servers_do_not_run_one_operation_twice(tmp_path: Path, new_world_of: Any):
    with ExitStack() as stack:
        world = stack.enter_context(new_world_of(tmp_path / "home", with_worker=False))
        home_path = Path(tmp_path / "home")

        second = stack.enter_context(open_service(Home(home_path)))
        made = [
            world.ok("acme.member", "POST", "/clusters", wish(world, f"c{n}"))
            for n in range(CLUSTER_COUNT)
        ]
        stack.callback(second.worker.stop, 10.0)
        second.worker.start()
        world.service.worker.start()
        for cluster in made:
            assert world.ended(cluster["operation_id"])["state"] == "done"
        events = world.ok("operator", "GET", "/events?limit=500")["items"]
        for cluster in made:
            mine = [e for e in events if e["operation_id"] == cluster["operation_id"]]
            kinds = [e["kind"] for e in mine]
            assert kinds.count("taken_over") == 1, kinds
        assert not world.service.worker.recent_errors
        assert not second.worker.recent_errors


def test_a_server_that_stops_lets_go_and_another_carries_on_at_once(
    tmp_path: Path, new_world_of: Any
):

    with new_world_of(tmp_path / "home", 4_096, with_worker=False) as world:
        project = world.ids["acme"]["project"]
        world.ok("operator", "PUT", f"/projects/{project}/quota", {"granted_gpu_count": 10_000})
        made = world.ok("acme.member", "POST", "/clusters", wish(world, "big", 4_000))
        world.service.worker.start()
        while not world.service.control.around.store.journal(made["operation_id"]):
            threading.Event().wait(0.005)
        world.service.worker.stop(0.0)
        found = world.ok("acme.member", "GET", f"/operations/{made['operation_id']}")
        assert found["state"] == "applying", "it was stopped in the middle"
        with open_service(Home(tmp_path / "home")) as second:
            second.worker.start()
            # Well below the 30 s after which a lease of a dead worker ends.
            assert world.ended(made["operation_id"], 20.0)["state"] == "done"
            second.worker.stop(10.0)
        events = world.ok("operator", "GET", f"/events?cluster_id={made['id']}")["items"]
        assert [e["kind"] for e in events].count("taken_over") == 2


def test_a_process_that_is_told_to_stop_lets_go_and_says_so(tmp_path: Path, new_world_of: Any):
    with new_world_of(tmp_path / "home", 4_096, with_worker=False) as world:
        project = world.ids["acme"]["project"]
        world.ok("operator", "PUT", f"/projects/{project}/quota", {"granted_gpu_count": 10_000})
        made = world.ok("acme.member", "POST", "/clusters", wish(world, "big", 4_000))
        store = world.service.control.around.store
        source = Path(gigawatt.__file__).parents[1]
        command = [sys.executable, "-m", "gigawatt.cli", "server", "--listen", "127.0.0.1:0"]
        process = subprocess.Popen(
            [*command, "--grace", "0"],
            env={
                **os.environ,
                "GIGAWATT_HOME": str(tmp_path / "home"),
                "PYTHONPATH": str(source),
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while not store.journal(made["operation_id"]):
            assert process.poll() is None
            threading.Event().wait(0.005)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20.0) == 0
        waiting = [
            hold.operation_id
            for hold in world.service.worker._replicas.holds()
            if hold.worker is None
        ]
        assert made["operation_id"] in waiting
        world.service.worker.start()
        assert world.ended(made["operation_id"])["state"] == "done"


def test_a_launch_under_way_turns_back_when_it_is_cancelled(tmp_path: Path, new_world_of: Any):
    with new_world_of(tmp_path / "home", 4_096, with_worker=False) as world:
        project = world.ids["acme"]["project"]
        world.ok("operator", "PUT", f"/projects/{project}/quota", {"granted_gpu_count": 10_000})
        made = world.ok("acme.member", "POST", "/clusters", wish(world, "big", 4_000))
        world.service.worker.start()
        while not world.service.control.around.store.journal(made["operation_id"]):
            threading.Event().wait(0.005)
        world.ok("acme.member", "POST", f"/operations/{made['operation_id']}:cancel")
        assert world.ended(made["operation_id"])["state"] == "unwound"
        fleet = world.ok("acme.member", "GET", "/fleet")
        assert fleet["free_gpu_count"] == fleet["gpu_count"]
        assert world.ok("acme.member", "GET", f"/clusters/{made['id']}")["state"] == "failed"
