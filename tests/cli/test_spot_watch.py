"""``gw spot watch``: the tenant's own command for a notice.

Goal: the command runs once for each notice, knows all of it, and its end is told; a watcher that
dies is started again and forgets nothing; a command that hangs is ended at the deadline with all
that it has started.
Method: a real server on loopback whose clusters get notices; real commands of the shell; watchers
that are stopped between a command and what follows from it, drawn by chance.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gigawatt.api.application import build_application
from gigawatt.app.home import Home
from gigawatt.app.service import make_first_key
from gigawatt.app.serving import Serving, serving
from gigawatt.cli.work.notice_hook import HookResult, environment_of, run_hook
from gigawatt.cli.work.spot_watch import Watcher, watch
from gigawatt.errors import DriverRetryableError, InputError
from gigawatt.fleet.demo import hgx_fleet
from gigawatt.fleet.yaml_dump import dump_fleet
from gigawatt.ids import ClusterId, NoticeId, OperationId
from gigawatt.interfaces.spot import Notice
from gigawatt.sdk import Client
from gigawatt.sdk import documents as doc

SOURCE = Path(__file__).parents[2] / "src"
PATIENCE_S = 60.0
_number = count()


@dataclass
class Place:
    """A server with a cluster that gets notices."""

    served: Serving
    client: Client
    key: str
    cluster: doc.Cluster

    def give(self, in_s: float = 1e6) -> str:
        """A notice for the cluster's node; the one before is withdrawn."""
        book, store = self.served.service.market.spot, self.served.service.control.around.store
        target = store.cluster(ClusterId(self.cluster.id)).target
        assert target is not None
        now_s, number = self.served.service.now_s(), next(_number)
        for open_one in book.open_notices():
            book.turn(open_one.notice_id, "withdrawn", now_s)
        notice = Notice(
            sequence=0,
            notice_id=NoticeId(f"ntc_w{number}"),
            cluster_id=target.cluster_id,
            project_id=target.tenant_id,
            node_ids=frozenset({target.members[0].node_id}),
            cause="end",
            cause_id="res_none",
            reason="a test",
            given_s=now_s,
            deadline_s=now_s + in_s,
            operation_id=OperationId(f"op_w{number}"),
            state="given",
            state_since_s=now_s,
        )
        return str(book.give(notice).notice_id)

    def answer_of(self, notice_id: str) -> str | None:
        return self.served.service.market.spot.get(NoticeId(notice_id)).answer


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    home = Home(tmp_path_factory.mktemp("watched"))
    home.make()
    home.fleet_path.write_text(dump_fleet(hgx_fleet(64)), encoding="utf-8")
    with serving(home, build_application) as served:
        key = make_first_key(served.service, "olu")
        with Client(served.url, key) as client:
            owner = client.create_organisation("acme")
            project = client.create_project(owner.id, "acme")
            client.set_quota(project.id, 64)
            made = client.create_cluster(
                doc.ClusterRequest(project_id=project.id, name="sweep", gpu_count=8)
            )
            assert made.operation_id is not None
            for operation in client.watch_operation(made.operation_id):
                assert operation.state in {"applying", "done"}
            yield Place(served, client, key, client.get_cluster(made.id))


def follow(place: Place, command: str) -> Watcher:
    """Serve one notice."""
    watcher = Watcher(
        place.client, place.cluster, lambda env, left_s: run_hook(command, env, left_s)
    )
    watcher.follow(is_once=True)
    return watcher


def test_the_command_knows_the_notice_and_its_end_is_told(place: Place, tmp_path: Path):
    told = tmp_path / "told"
    for command, answer, failed_count in (
        (f"env | grep ^GW_NOTICE_ > {told}", "saved", 0),
        ("exit 3", "failed", 1),
        ("kill -9 $$", "failed", 1),
        ("/no/such/command", "failed", 1),
    ):
        notice_id = place.give()
        watcher = follow(place, command)
        assert (place.answer_of(notice_id), watcher.failed_count) == (answer, failed_count)
    lines = dict(line.split("=", 1) for line in told.read_text().splitlines())
    assert lines["GW_NOTICE_CLUSTER"] == "sweep"
    assert lines["GW_NOTICE_HOSTS"] == "sweep-0000"
    assert lines["GW_NOTICE_NODES"] in hgx_fleet(64).nodes.ids
    assert 0 < int(lines["GW_NOTICE_SECONDS"]) <= 1e6
    assert set(lines) == set(environment_of(some_notice(), "c", ()))


def some_notice() -> doc.Notice:
    at = "2026-01-01T00:00:00Z"
    return doc.Notice.model_validate(
        {
            "id": "n",
            "cluster_id": "c",
            "project_id": "p",
            "nodes": [],
            "cause": "end",
            "reason": "r",
            "given_at": at,
            "deadline_at": at,
            "seconds_left": 1.5,
            "state": "given",
            "state_since": at,
        }
    )


def test_a_command_that_hangs_is_ended_at_the_deadline_with_its_children(tmp_path: Path):
    began_s = time.monotonic()
    child = tmp_path / "child"
    result = run_hook(f"sleep 600 & echo $! > {child}; wait", {}, 0.5)
    assert result == HookResult(is_saved=False, reason="it was not done by the deadline")
    assert time.monotonic() - began_s < PATIENCE_S
    assert is_gone(int(child.read_text()))


def is_gone(process_id: int) -> bool:
    """Whether a process ends soon."""
    until_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < until_s:
        try:
            state = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        threading.Event().wait(0.05)
    return False


def test_there_is_nothing_to_watch_without_a_server(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setenv("GIGAWATT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("GIGAWATT_SERVER", raising=False)
    with pytest.raises(InputError, match="none is named"):
        watch("sweep", None, "true", is_once=True)


class StoppedError(Exception):
    """The watcher was stopped here."""


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(stops=st.lists(st.sampled_from(["before", "after", "unreached"]), max_size=3))
def test_a_watcher_that_is_stopped_anywhere_forgets_nothing(place: Place, stops: list[str]):
    """Stopped before or after its command, or while the service was away when it said so."""
    notice_id, runs = place.give(), []

    def run_and_stop(stop: str | None):
        def run(_environment, _left_s: float) -> HookResult:
            if stop == "before":
                raise StoppedError
            runs.append(stop)
            if stop in {"after", "unreached"}:
                raise StoppedError if stop == "after" else DriverRetryableError("away")
            return HookResult(is_saved=True)

        return run

    for stop in stops:
        watcher = Watcher(place.client, place.cluster, run_and_stop(stop))
        with pytest.raises(StoppedError):
            watcher.follow(is_once=True, sleep=stopped)
        assert place.answer_of(notice_id) is None
    last = Watcher(place.client, place.cluster, run_and_stop(None))
    last.follow(is_once=True)
    assert place.answer_of(notice_id) == "saved"
    assert len(runs) == 1 + sum(stop != "before" for stop in stops)
    # Who watches after that finds nothing to do.
    assert Watcher(place.client, place.cluster, run_and_stop("before"))._next() is None


def stopped(_seconds: float) -> None:
    raise StoppedError


def test_a_notice_that_comes_later_is_heard(place: Place):
    place.served.service.market.spot.turn(NoticeId(place.give()), "withdrawn", 0.0)
    heard = threading.Event()

    def run(_environment, _left_s: float) -> HookResult:
        heard.set()
        return HookResult(is_saved=True)

    with Client(place.served.url, place.key) as client:
        watcher = Watcher(client, place.cluster, run)
        thread = threading.Thread(target=watcher.follow, kwargs={"is_once": True})
        thread.start()
        assert not heard.wait(0.5)
        notice_id = place.give()
        thread.join(PATIENCE_S)
    assert heard.is_set()
    assert not thread.is_alive()
    assert place.answer_of(notice_id) == "saved"


def test_a_watcher_that_gets_sigterm_ends_its_command_and_says_nothing(
    place: Place, tmp_path: Path
):
    notice_id, began = place.give(), tmp_path / "began"
    words = ("spot", "watch", place.cluster.id, "--exec", f"echo $$ > {began}; sleep 600")
    environment = {
        **os.environ,
        "GIGAWATT_SERVER": place.served.url,
        "GIGAWATT_API_KEY": place.key,
        "GIGAWATT_HOME": str(tmp_path / "home"),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "PYTHONPATH": str(SOURCE),
    }
    with subprocess.Popen(
        [sys.executable, "-m", "gigawatt.cli", *words], env=environment
    ) as watcher:
        until_s = time.monotonic() + PATIENCE_S
        while not (began.exists() and began.read_text().strip()):
            assert time.monotonic() < until_s
            threading.Event().wait(0.05)
        watcher.send_signal(signal.SIGTERM)
        assert watcher.wait(PATIENCE_S) == 128 + signal.SIGTERM
    assert is_gone(int(began.read_text()))
    assert place.answer_of(notice_id) is None
