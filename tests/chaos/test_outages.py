"""Goal: what goes missing is told, nothing is lost, and all goes on by itself when it is back.

Method: real servers. The file of the store is moved away, a small disk is filled, a row is
overwritten, the clock is set an hour off, a process is stopped with SIGSTOP in the middle of an
operation until another one has finished it, and told to end under load.
"""

import shutil
import signal
import sqlite3
import subprocess
import threading
import time
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import httpx
import pytest

from chaos_judge import judge_device_log, judge_end
from chaos_site import Site, chaos_site
from gigawatt.api.application import build_application
from gigawatt.app import worker_loop
from gigawatt.app.clock import SystemClock
from gigawatt.app.home import Home
from gigawatt.app.lookout import Lookout
from gigawatt.app.rate import RateLimiter
from gigawatt.app.server import make_server
from gigawatt.app.service import make_first_key, open_service
from gigawatt.errors import GigawattError
from gigawatt.executor.executor import Surroundings
from gigawatt.fleet.demo import hgx_fleet
from gigawatt.fleet.yaml_dump import dump_fleet
from gigawatt.sdk import calls
from gigawatt.sdk import documents as doc
from gigawatt.sdk.client import Client
from gigawatt.store.audit import audit_database
from gigawatt.store.version import HEAD
from postgres_server import SETTINGS, private_server

WAIT_S_MAX = 40.0


def until(what, limit_s: float = WAIT_S_MAX):
    """The first thing that is true, or a failure after the limit."""
    end_s = time.monotonic() + limit_s
    while time.monotonic() < end_s:
        found = what()
        if found:
            return found
        threading.Event().wait(0.02)
    raise AssertionError(f"{what} did not come true in {limit_s:g} s")


class Desk:
    """A server in this process, its address, and its operator."""

    def __init__(self, service, url):
        self.service = service
        self.url = url
        self.client = Client(url, make_first_key(service, "olu"))
        (project,) = service.directory.projects(None, "", 2)
        self.project_id = project.project_id

    def wish(self, name, gpu_count=16):
        return doc.ClusterRequest(project_id=self.project_id, name=name, gpu_count=gpu_count)

    def launched(self, name, gpu_count=16):
        made = self.client.create_cluster(self.wish(name, gpu_count))
        until(lambda: self.client.get_operation(made.operation_id).finished_at)
        return self.client.get_cluster(made.id)

    def readiness(self):
        answer = httpx.get(f"{self.url}/readyz", timeout=30.0)
        return answer.status_code, answer.json().get("reasons", [])

    def status(self, path, body=None):
        """Status and type of the answer to one request, without any retry of a client."""
        headers = {"Authorization": self.client._http.headers["Authorization"]}
        url = f"{self.url}/gw/v1{path}"
        answer = httpx.request(
            "GET" if body is None else "POST", url, json=body, headers=headers, timeout=60.0
        )
        return answer.status_code, answer.json()


@contextmanager
def desk_at(folder: Path, url: str | None = None, clock=None):
    home = Home(folder, url)
    home.make()
    home.fleet_path.write_text(dump_fleet(hgx_fleet(256)), encoding="utf-8")
    with open_service(home) as service:
        if clock is not None:
            around = service.control.around
            service.control.around = replace(around, clock=clock)
        service.rate = RateLimiter(rate_per_s=1e6, burst_count=1e6)
        server = make_server(build_application, service, "127.0.0.1", 0)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        until(lambda: server.started)
        service.worker.start()
        tcp_port = server.servers[0].sockets[0].getsockname()[1]
        desk = Desk(service, f"http://127.0.0.1:{tcp_port}")
        try:
            yield desk
        finally:
            desk.client.close()
            service.is_stopping = True
            server.should_exit = True
            thread.join()
            service.worker.stop(10.0)


def test_a_store_that_goes_away_is_told_and_comes_back(tmp_path):
    with desk_at(tmp_path / "home") as desk:
        desk.launched("before")
        path, away = desk.service.control.around.store, tmp_path / "away"
        path = tmp_path / "home" / "store.sqlite"
        path.rename(away)
        code, reasons = until(lambda: (r := desk.readiness())[0] == 503 and r)
        assert any("heartbeat" in reason for reason in reasons), (code, reasons)
        status, problem = desk.status("/clusters")
        assert status == 503
        assert problem["type"].endswith("OutOfReachError")
        assert "store.sqlite is not there any more" in problem["detail"]
        assert problem["next_step"]
        assert not path.exists(), "no empty store was put in its place"
        assert httpx.get(f"{desk.url}/healthz").status_code == 200
        away.rename(path)
        until(lambda: desk.readiness()[0] == 200)
        assert desk.launched("after").state == "active"
        assert len(desk.client.list_clusters().items) == 2


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.timeout(180)
def test_a_database_that_stops_is_told_and_comes_back(tmp_path):
    with private_server(SETTINGS) as server:
        url = server.new()
        with desk_at(tmp_path / "home", url) as desk:
            desk.launched("before")
            server.stop()
            until(lambda: desk.readiness()[0] == 503)
            status, problem = desk.status("/clusters")
            assert (status, problem["type"].rpartition(":")[2]) == (503, "OutOfReachError")
            server.start()
            until(lambda: desk.readiness()[0] == 200)
            assert desk.launched("after").state == "active"
        assert audit_database(url) == ()


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 6 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    done = mount and subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(folder)],
        check=False,
        capture_output=True,
    )
    if not done or done.returncode != 0:
        pytest.skip("mounting a tmpfs is not allowed here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def fill_up(path: Path) -> None:
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 4_096)


def test_a_full_disk_is_told_and_the_server_goes_on_when_there_is_space(small_disk):
    with desk_at(small_disk) as desk:
        kept = desk.launched("before")
        ballast = small_disk / "ballast"
        fill_up(ballast)
        wish = desk.wish("full", 128).model_dump(mode="json", exclude_unset=True)
        status, problem = until(
            lambda: (r := desk.status("/clusters", wish))[0] != 202 and r, limit_s=10.0
        )
        assert (status, problem["type"].rpartition(":")[2]) == (507, "StorageFullError")
        assert desk.client.get_cluster(kept.id).state == "active"
        until(lambda: desk.readiness()[0] == 503)
        ballast.unlink()
        until(lambda: desk.readiness()[0] == 200)
        assert desk.launched("after", 128).state == "active"
    assert audit_database(small_disk / "store.sqlite") == ()


def test_a_damaged_row_is_named_and_hides_nobody_else(tmp_path):
    with desk_at(tmp_path / "home") as desk:
        bad, good = desk.launched("bad"), desk.launched("good")
        with closing(sqlite3.connect(tmp_path / "home" / "store.sqlite")) as raw, raw:
            raw.execute("UPDATE cluster SET target = '{rubbish' WHERE cluster_id = ?", [bad.id])
        status, problem = desk.status(f"/clusters/{bad.id}")
        assert (status, problem["type"].rpartition(":")[2]) == (500, "DataError")
        assert f"the row of cluster '{bad.id}' is damaged" in problem["detail"]
        assert desk.client.get_cluster(good.id).state == "active"
        listed = {item.id: item for item in desk.client.list_clusters().items}
        assert "is damaged" in listed[bad.id].state_reason
        assert desk.launched("more").state == "active"
        gone = desk.client.release_cluster(good.id)
        until(lambda: desk.client.get_operation(gone.operation_id).finished_at)
        held = desk.service.control.around.store.snapshot(0.0).allocations
        assert {cluster for _, cluster in held} >= {bad.id}, "what it holds stays held"
        assert desk.readiness()[0] == 200


def test_a_damaged_plan_stops_its_own_operation_only(tmp_path):
    with desk_at(tmp_path / "home") as desk:
        desk.service.worker.retire()
        until(lambda: not desk.service.worker.is_alive)
        made = desk.client.create_cluster(desk.wish("bad"))
        with closing(sqlite3.connect(tmp_path / "home" / "store.sqlite")) as raw, raw:
            raw.execute("UPDATE operation SET plan = 'rubbish'")
        worker = desk.service.worker
        worker._is_stopping.clear()
        worker.start()
        assert desk.launched("good").state == "active"
        status, problem = desk.status(f"/operations/{made.operation_id}")
        assert status == 500
        assert made.operation_id in problem["detail"]
        assert any("is damaged" in error for error in until(lambda: worker.recent_errors))
        assert worker.is_alive
        assert desk.client.list_operations().items[1].id == made.operation_id


def test_a_server_whose_tables_are_migrated_takes_no_more_work_and_says_so(tmp_path):
    """``gw migrate`` of a later release while a server runs: what it knows still reads."""
    with desk_at(tmp_path / "home") as desk:
        kept = desk.launched("before")
        with closing(sqlite3.connect(tmp_path / "home" / "store.sqlite")) as raw, raw:
            raw.execute("UPDATE alembic_version SET version_num = '9999'")
        until(lambda: desk.readiness()[0] == 503)
        assert desk.client.get_cluster(kept.id).state == "active"
        made = desk.client.release_cluster(kept.id)
        until(
            lambda: any("migrated to revision 9999" in e for e in desk.service.worker.recent_errors)
        )
        assert desk.client.get_operation(made.operation_id).state == "applying"
        with closing(sqlite3.connect(tmp_path / "home" / "store.sqlite")) as raw, raw:
            raw.execute("UPDATE alembic_version SET version_num = ?", [HEAD])
        until(lambda: desk.client.get_operation(made.operation_id).finished_at)
        until(lambda: desk.readiness()[0] == 200)


class SetClock(SystemClock):
    """The machine's clock, set off by some seconds."""

    off_s = 0.0

    def now_s(self):
        return super().now_s() + self.off_s


@pytest.mark.parametrize("jump_s", [3_600.0, -3_600.0], ids=["forward", "back"])
def test_a_clock_that_jumps_takes_no_work_from_the_living(tmp_path, jump_s):
    """Two servers; the clock of one jumps while the other one is at work."""
    clock = SetClock()
    with desk_at(tmp_path / "home") as desk:
        home = Home(tmp_path / "home")
        with open_service(home) as second:
            second.control.around = replace(second.control.around, clock=clock)
            second.worker.heartbeat._clock = clock
            second.worker.start()
            clock.off_s = jump_s
            made = [desk.client.create_cluster(desk.wish(f"c{n}", 24)) for n in range(6)]
            for one in made:
                until(lambda one=one: desk.client.get_operation(one.operation_id).finished_at)
            events = [e for e in desk.client.pages(calls.list_events) if e.kind == "taken_over"]
            assert len(events) == len(made), "every operation was taken once"
            assert not second.worker.heartbeat.lost
            assert not desk.service.worker.heartbeat.lost
            second.worker.stop(10.0)


def test_who_is_lost_follows_from_silence_alone():
    lookout = Lookout(2.0, 1.0)
    assert lookout.look({"a": 1, "b": 1}, 100.0) == set()
    assert lookout.look({"a": 2, "b": 1}, 101.0) == set()
    assert lookout.look({"a": 3, "b": 1}, 102.0) == {"b"}
    assert lookout.look({"a": 4, "b": 2}, 103.0) == set(), "it was late and is back"
    # The one who looks slept, or the database was away: nobody could have said anything.
    assert lookout.look({"a": 4, "b": 2}, 200.0) == set()
    assert lookout.look({"a": 4, "b": 3}, 201.0) == {"a"}
    assert lookout.look({"b": 4}, 202.0) == set(), "who is gone is not lost"


def test_the_worker_starts_again_after_a_bug_and_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(worker_loop, "BACKOFF_S_FIRST", 1.0)
    with desk_at(tmp_path / "home") as desk:
        worker = desk.service.worker
        whole = worker._take_on

        def broken(_holds):
            worker._take_on = whole
            raise ValueError("a bug")

        worker._take_on = broken
        worker.wake()
        _, reasons = until(lambda: (r := desk.readiness())[0] == 503 and r)
        assert reasons == ["the worker failed and starts again (restart 1)"]
        until(lambda: desk.readiness()[0] == 200)
        assert desk.launched("after").state == "active"
        assert worker.recent_errors[0] == "the worker: ValueError: a bug"


def slow_site(folder, postgres=None):
    return chaos_site(folder, 256, 7, postgres=postgres, reconcile_s=0.0, slowness=10.0)


def stall_and_wake(site: Site) -> None:
    """Stop whoever carries an operation on until another one has finished it; then wake it."""
    with Client(site.urls[0], site.keys[0]) as client:
        wish = doc.ClusterRequest(project_id=site.project_id, name="a", gpu_count=128)
        made = client.create_cluster(wish)
        query = (
            "SELECT lease_worker FROM operation WHERE lease_worker IS NOT NULL AND"
            " (SELECT count(*) FROM step_journal) > 0"
        )
        (row,) = until(lambda: site.ask(query))
        pid = int(str(row["lease_worker"]).split(":")[1])
        index = [p.pid for p in site.processes].index(pid)
        stalled = site.processes[index]
        stalled.send_signal(signal.SIGSTOP)
        other = Client(site.urls[(index + 1) % 3], site.keys[0])
        try:
            ended = until(lambda: (o := other.get_operation(made.operation_id)).finished_at and o)
            assert ended.state == "done"
            held = site.ask("SELECT count(*) AS n FROM step_journal")
            with closing(sqlite3.connect(site.home.devices_path)) as raw:
                before = raw.execute("SELECT max(sequence) FROM device_log").fetchone()
                stalled.send_signal(signal.SIGCONT)
                # It is awake again when it has beaten, and by then its operation has failed.
                url = f"{site.urls[index]}/readyz"
                until(lambda: httpx.get(url, timeout=30.0).status_code == 200)
                until(lambda: not site.under_way(f":{pid}:"))
                time.sleep(1.0)
                assert raw.execute("SELECT max(sequence) FROM device_log").fetchone() == before
            assert site.ask("SELECT count(*) AS n FROM step_journal") == held
            events = [e.kind for e in other.list_events(cluster_id=made.id).items]
            assert events.count("taken_over") == 2, events
            assert events[-1] == "done"
        finally:
            other.close()
            stalled.send_signal(signal.SIGCONT)
    site.stop_all()
    assert judge_device_log(site)[0] == []
    assert judge_end(site) == []


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_server_that_stalls_and_wakes_writes_to_no_device_and_no_row(tmp_path):
    with slow_site(tmp_path / "home") as site:
        stall_and_wake(site)


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.timeout(300)
def test_a_server_that_stalls_and_wakes_writes_nowhere_on_postgres(tmp_path):
    with private_server(SETTINGS) as server, slow_site(tmp_path / "home", server) as site:
        stall_and_wake(site)


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_server_told_to_stop_under_load_answers_everybody_and_hands_over(tmp_path):
    with slow_site(tmp_path / "home") as site:
        answers: list[int] = []
        broken: list[str] = []
        stop = threading.Event()

        def ask(number: int) -> None:
            sent = 0
            headers = {"Authorization": f"Bearer {site.keys[0]}"}
            while not stop.is_set():
                sent += 1
                wish = {"project_id": site.project_id, "name": f"c{number}-{sent}", "gpu_count": 8}
                try:
                    answers.append(
                        httpx.post(
                            f"{site.urls[0]}/gw/v1/clusters",
                            json=wish,
                            headers=headers,
                            timeout=60.0,
                        ).status_code
                    )
                except httpx.ConnectError:
                    return
                except httpx.TransportError as error:
                    broken.append(repr(error))
                    return

        threads = [threading.Thread(target=partial(ask, number)) for number in range(8)]
        for thread in threads:
            thread.start()
        until(lambda: len(answers) > 10)
        site.processes[0].terminate()
        for thread in threads:
            thread.join(60.0)
        stop.set()
        assert site.processes[0].wait(60.0) == 0
        assert broken == [], "a request that was accepted got no answer"
        with Client(site.urls[1], site.keys[0]) as client:
            until(lambda: all(o.finished_at for o in client.list_operations(limit=500).items), 60.0)
        site.stop_all()
        assert judge_end(site) == []


def test_an_answer_under_a_key_is_found_by_another_server_when_the_first_died(tmp_path):
    """The try of a server that is gone is followed at once, and it opens nothing twice."""
    with desk_at(tmp_path / "home") as desk:
        directory = desk.service.directory
        call = replace(calls.create_cluster(desk.wish("a")), idempotency_key="k")
        made = desk.client.send(call)
        with closing(sqlite3.connect(tmp_path / "home" / "store.sqlite")) as raw, raw:
            raw.execute("UPDATE idempotent_request SET status = NULL, holder = 'dead:1:ab/cd'")
        again = desk.client.send(call)
        assert (again.id, again.operation_id) == (made.id, made.operation_id)
        with closing(sqlite3.connect(tmp_path / "home" / "store.sqlite")) as raw, raw:
            raw.execute("INSERT INTO heartbeat VALUES ('living:1:ab', 1, 0.0)")
            raw.execute("UPDATE idempotent_request SET status = NULL, holder = 'living:1:ab/cd'")
        with pytest.raises(GigawattError, match="is being carried out"):
            desk.client.send(call)
        # Its beat stands still, so the others give it up, and then the request goes on.
        until(lambda: desk.service.worker.heartbeat.is_lost("living:1:ab") or None)
        assert desk.client.send(call).operation_id == made.operation_id
        assert directory.find_caller("nobody") is None
        assert isinstance(desk.service.control.around, Surroundings)
