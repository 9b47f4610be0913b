"""Metrics, traces and logs of a server.

Goal: what operators see is true, the same on every replica where it comes from the database,
bounded, and free of secrets and of tenants' words. Method: real servers on loopback; the exposition
is read by Prometheus' own parser and by promtool, spans by a receiver of OTLP in a process of its
own, and log lines and audit rows are searched for the secrets that were pushed through.
"""

import io
import json
import logging
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client.parser import text_string_to_metric_families

import gigawatt
from gigawatt.app.home import Home
from gigawatt.app.service import open_service
from gigawatt.app.watch.logs import set_up_logs
from gigawatt.app.watch.settings import WatchSettings
from gigawatt.app.watch.showing import showing
from gigawatt.app.watch.trace_ids import trace_id_of
from gigawatt.app.watch.traces import tracing
from gigawatt.ids import PlanId

TENANTS_WORD = "zebra-crossing-launch"
"""Stands for what a tenant writes: no metric may have it."""


def wish(world: Any, name: str = TENANTS_WORD, gpu_count: int = 16) -> dict[str, Any]:
    return {"project_id": world.ids["acme"]["project"], "name": name, "gpu_count": gpu_count}


def launched(world: Any, name: str = TENANTS_WORD) -> dict[str, Any]:
    made: dict[str, Any] = world.ok("acme.member", "POST", "/clusters", wish(world, name))
    assert world.ended(made["operation_id"])["state"] == "done"
    return made


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def scraped(service: Any) -> str:
    text: str = service.watching.exposition().decode()
    return text


def total(text: str, name: str, **labels: str) -> float:
    return sum(
        value
        for (found, pairs), value in samples(text).items()
        if found == name and labels.items() <= dict(pairs).items()
    )


def test_metrics_tell_what_happened(world: Any):
    launched(world)
    world.ok("operator", "POST", f"/nodes/{last_node(world)}:drain", {"reason": "fan"})
    assert world.call(None, "GET", "/clusters").status_code == 401
    world.service.control.prove_targets()
    text = scraped(world.service)
    assert total(text, "gigawatt_store_up") == 1
    assert total(text, "gigawatt_clusters", phase="active") == 1
    assert total(text, "gigawatt_nodes") == 64
    assert total(text, "gigawatt_nodes", state="drained") == 1
    assert total(text, "gigawatt_gpus") == 512
    assert total(text, "gigawatt_gpus", state="held") == 16
    assert total(text, "gigawatt_gpus", state="drained") == 8
    assert total(text, "gigawatt_keys", state="held") > 0
    assert total(text, "gigawatt_operations_open") == 0
    assert total(text, "gigawatt_operation_seconds_count", kind="launch", outcome="done") == 1
    assert total(text, "gigawatt_plan_seconds_count", kind="launch") >= 1
    assert total(text, "gigawatt_commit_seconds_count") == 1
    planes = {"fabric", "in_band", "out_of_band", "host"}
    for plane in planes:
        assert total(text, "gigawatt_step_seconds_count", plane=plane, outcome="done") > 0
    assert total(text, "gigawatt_stage_seconds_count", stage="close the planes") == 1
    assert (
        total(text, "gigawatt_http_requests_total", operation="create_cluster", status="202") == 1
    )
    assert total(text, "gigawatt_http_requests_total", operation="list_clusters", status="401") == 1
    assert (
        total(text, "gigawatt_database_transaction_seconds_count", mode="write", outcome="ok") > 3
    )
    assert total(text, "gigawatt_isolation_proofs_total", scope="targets") == 1
    assert total(text, "gigawatt_events_total", kind="done") == 1
    assert total(text, "gigawatt_audit_rows_total") == 2
    assert total(text, "gigawatt_worker_tasks") == 0
    assert total(text, "gigawatt_waiting_requests") == 0


def last_node(world: Any) -> str:
    node_id: str = world.service.control.around.fleet.nodes.ids[-1]
    return node_id


def test_no_label_holds_what_a_tenant_wrote_and_series_stay_few(world: Any):
    def series() -> set[Any]:
        return {
            (name, pairs)
            for name, pairs in samples(scraped(world.service))
            if "_created" not in name
        }

    made = launched(world)
    before = series()
    for _ in range(3):
        world.call("acme.member", "GET", f"/clusters/{TENANTS_WORD}")
        world.http.get(f"{world.url}/{TENANTS_WORD}")
    launched(world, TENANTS_WORD + "-2")
    text = scraped(world.service)
    for word in (TENANTS_WORD, made["id"], "ten_", "acme", "org_", "acc_"):
        assert word not in text, word
    assert len(series()) < len(before) + 40
    assert len(series()) < 2_500
    assert total(text, "gigawatt_http_requests_total", operation="none", status="404") == 3


def test_a_queue_can_show_its_length(quiet_world: Any):
    world = quiet_world
    world.service.watching.metrics.read_gauge("queue_length", "Requests that wait.", lambda: 7.0)
    assert total(scraped(world.service), "gigawatt_queue_length") == 7


def test_what_the_database_knows_is_the_same_on_every_replica(world: Any, tmp_path: Path):
    launched(world)
    with open_service(Home(tmp_path / "home"), settings=WatchSettings(replica="other")) as second:
        here, there = samples(scraped(world.service)), samples(scraped(second))

    def of_store(found: dict[Any, float]) -> dict[Any, float]:
        return {
            key: value
            for key, value in found.items()
            if "replica" not in dict(key[1])
            and "age_seconds" not in key[0]
            and "held_s" not in key[0]
        }

    assert of_store(here) == of_store(there)
    assert {dict(pairs)["replica"] for _, pairs in there if "replica" in dict(pairs)} == {"other"}
    assert len(of_store(here)) > 50


def test_promtool_finds_nothing_to_say(world: Any):
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian: prometheus)")
    launched(world)
    world.service.control.prove_targets()
    text = scraped(world.service)
    done = subprocess.run(
        [promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_store_that_does_not_answer_is_told_and_the_rest_is_shown(quiet_world: Any):
    world = quiet_world
    database = world.service.control.around.store.database
    with database.write() as connection:
        connection.exec_driver_sql("ALTER TABLE tombstone RENAME TO elsewhere")
    text = scraped(world.service)
    assert total(text, "gigawatt_store_up") == 0
    assert total(text, "gigawatt_build_info") == 1
    assert "gigawatt_clusters{" not in text


def test_metrics_have_a_door_of_their_own(quiet_world: Any, tmp_path: Path):
    key_file = tmp_path / "key"
    key_file.write_text("k" * 32 + "\n")
    settings = WatchSettings(metrics_listen="127.0.0.1:0", metrics_key_file=key_file, replica="r")
    home = Home(tmp_path / "home")
    with (
        open_service(home, settings=settings) as service,
        showing(service.watching, service.control) as place,
    ):
        assert place is not None
        url = f"http://{place[0]}:{place[1]}"
        assert httpx.get(f"{url}/metrics").status_code == 401
        wrong = {"Authorization": "Bearer " + "x" * 32}
        assert httpx.get(f"{url}/metrics", headers=wrong).status_code == 401
        right = {"Authorization": "Bearer " + "k" * 32}
        answer = httpx.get(f"{url}/metrics", headers=right)
        assert answer.status_code == 200
        assert "gigawatt_store_up 1.0" in answer.text
        assert httpx.post(f"{url}/metrics", headers=right).status_code == 405
        assert httpx.get(f"{url}/telemetry", headers=right).status_code == 404
    # The API itself shows none.
    assert quiet_world.http.get(f"{quiet_world.url}/metrics").status_code == 404


@pytest.fixture
def spans(world: Any) -> Iterator[Any]:
    """What the world's server tells as spans."""
    exporter = InMemorySpanExporter()
    with tracing(exporter, "r") as watch:
        watches = world.service.control.around.watch
        watches._watches = (*watches._watches, watch)
        object.__setattr__(world.service.watching, "traces", watch)

        def found() -> list[Any]:
            watch._emitter.processor.force_flush()
            return list(exporter.get_finished_spans())

        yield found


def test_a_trace_leads_from_the_request_to_the_device(world: Any, spans: Any):
    caller = "00-" + "ab" * 16 + "-" + "cd" * 8 + "-01"
    plan = world.ok("acme.member", "POST", "/plans", wish(world), headers={"traceparent": caller})
    made = world.ok("acme.member", "POST", f"/plans/{plan['id']}:apply")
    assert world.ended(made["operation_id"])["state"] == "done"
    mine = [span for span in spans() if span.context.trace_id == trace_id_of(PlanId(plan["id"]))]
    by_id = {span.context.span_id: span for span in mine}
    roots = [span for span in mine if span.parent is None]
    assert [span.name for span in roots] == ["request create_plan"]
    assert [f"{link.context.trace_id:032x}" for link in roots[0].links] == ["ab" * 16]

    def way(span: Any) -> list[str]:
        above = [] if span.parent is None else way(by_id[span.parent.span_id])
        return [*above, span.name]

    ways = {" > ".join(way(span)) for span in mine}
    root = "request create_plan"
    assert f"{root} > plan" in ways
    assert f"{root} > request apply_plan > check" in ways
    assert f"{root} > request apply_plan > commit" in ways
    worker = f"{root} > operation launch"
    assert f"{worker} > stage close the planes > ensure fabric" in ways
    assert f"{worker} > stage boot the hosts > ensure host" in ways
    assert all(span.end_time >= span.start_time for span in mine)
    device = next(span for span in mine if span.name == "ensure fabric")
    assert device.attributes["gigawatt.device"].startswith("fabric/")


def test_a_request_that_plans_nothing_makes_no_span(world: Any, spans: Any):
    world.ok("acme.member", "GET", "/clusters")
    assert spans() == []


def started(folder: Path, *more: tuple[str, str]) -> subprocess.Popen[str]:
    """A server process on a home, and its log as JSON on standard error."""
    source = Path(gigawatt.__file__).parents[1]
    return subprocess.Popen(
        [sys.executable, "-m", "gigawatt.cli", "server", "--listen", "127.0.0.1:0", "--grace", "0"],
        env={
            **os.environ,
            "GIGAWATT_HOME": str(folder),
            "PYTHONPATH": str(source),
            "GIGAWATT_LOG_FORMAT": "json",
            **dict(more),
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def until(process: subprocess.Popen[str], word: str) -> dict[str, Any]:
    """The first line of a log that has a word."""
    assert process.stderr is not None
    for line in process.stderr:
        found: dict[str, Any] = json.loads(line)
        if word in found["message"]:
            return found
    raise AssertionError(f"the log ended without {word!r}")


@pytest.fixture
def receiver() -> Iterator[subprocess.Popen[str]]:
    """A process that receives OTLP; it tells its TCP port, and what it got when its input ends."""
    with subprocess.Popen(
        [sys.executable, str(Path(__file__).parents[1] / "support" / "otlp_receiver.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process


def endpoint_of(receiver: subprocess.Popen[str]) -> tuple[str, str]:
    assert receiver.stdout is not None
    tcp_port = receiver.stdout.readline().strip()
    return "OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{tcp_port}"


def received(receiver: subprocess.Popen[str]) -> list[dict[str, Any]]:
    told, _ = receiver.communicate("")
    return [json.loads(line) for line in told.splitlines()]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_killed_worker_and_its_follower_are_in_one_trace(
    tmp_path: Path, new_world_of: Any, receiver: Any
):
    """Over real processes: one is killed with SIGKILL in the middle, the next carries on."""
    settings = (
        endpoint_of(receiver),
        ("OTEL_BSP_SCHEDULE_DELAY", "20"),
        ("GIGAWATT_METRICS_LISTEN", "127.0.0.1:0"),
    )
    with new_world_of(tmp_path / "home", 4_096, with_worker=False) as world:
        project = world.ids["acme"]["project"]
        world.ok("operator", "PUT", f"/projects/{project}/quota", {"granted_gpu_count": 10_000})
        made = world.ok("acme.member", "POST", "/clusters", wish(world, "big", 4_000))
        store = world.service.control.around.store
        operation = store.operation(made["operation_id"])
        with started(tmp_path / "home", *settings) as first:
            line = until(first, "launch taken over")
            while not store.journal(made["operation_id"]):
                assert first.poll() is None
            first.kill()
        with store.database.write() as connection:
            connection.exec_driver_sql("UPDATE operation SET lease_expires_s = 0")
        with started(tmp_path / "home", *settings) as second:
            metrics = until(second, "metrics on ")["message"].split()[-1]
            again = until(second, "launch taken over")
            ended = until(second, "launch done")
            text = httpx.get(metrics).text
            second.terminate()
            assert second.wait(30.0) == 0
    trace = f"{trace_id_of(operation.plan.plan_id):032x}"
    assert line["operation_id"] == made["operation_id"]
    assert line["trace_id"] == again["trace_id"] == ended["trace_id"] == trace
    assert {span["trace"] for span in received(receiver)} == {trace}
    assert total(text, "gigawatt_operation_seconds_count", kind="launch", outcome="done") == 1


def test_an_otlp_receiver_reads_every_span(tmp_path: Path, new_world_of: Any, receiver: Any):
    with new_world_of(tmp_path / "home", with_worker=False) as world:
        made = world.ok("acme.member", "POST", "/clusters", wish(world))
        operation = world.service.control.around.store.operation(made["operation_id"])
        with started(tmp_path / "home", endpoint_of(receiver)) as server:
            until(server, "launch done")
            server.terminate()
            assert server.wait(30.0) == 0
    found = received(receiver)
    assert {span["path"] for span in found} == {"/v1/traces"}
    assert {span["trace"] for span in found} == {f"{trace_id_of(operation.plan.plan_id):032x}"}
    names = {span["name"] for span in found}
    assert {"operation launch", "stage close the planes", "ensure host"} <= names
    assert all(span["took_ns"] >= 0 for span in found)
    assert len({span["span"] for span in found}) == len(found)


PEM = (
    "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAA\n"
    "-----END OPENSSH PRIVATE KEY-----"
)


@contextmanager
def logged(log_format: Any) -> Iterator[io.StringIO]:
    """Where the log goes meanwhile."""
    stream, root = io.StringIO(), logging.getLogger()
    before, level = list(root.handlers), root.level
    set_up_logs(log_format, stream)
    try:
        yield stream
    finally:
        root.handlers[:] = before
        root.setLevel(level)


JWT = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJlLXNlY3JldA"


def push_through_requests(world: Any, key: str) -> str:
    """Secrets in every place of a request; the text of a key that was made meanwhile."""
    ids = world.ids["acme"]
    path = f"/accounts/{ids['account.member']}/api-keys"
    made: str = world.ok("operator", "POST", path, {"name": "k"})["key"]
    basic = {"Authorization": "Basic dXNlcjpodW50ZXIy", "Cookie": "sid=hunter2cookie"}
    world.call(None, "GET", "/clusters", headers=basic)
    world.call("gw_0123456789abcdef_" + "z" * 43, "GET", f"/clusters/{key}?password=hunter2q")
    world.call("acme.member", "POST", "/clusters", {"password": "hunter2b", "name": PEM})
    world.call("acme.member", "GET", f"/plans/{key}", headers={"X-Request-Id": "r" * 300 + key})
    body = {"name": "k", "public_key": PEM}
    world.call("acme.owner", "POST", f"/projects/{ids['project']}/ssh-keys", body)
    world.call("acme.owner", "PATCH", f"/accounts/{made}", {"role": "owner"})
    return made


def push_through_loggers(key: str) -> None:
    """Secrets in messages, arguments, what is said beside them, and in errors."""
    log = logging.getLogger("somebody.else")
    log.error("Authorization: Bearer %s", key)
    log.error("connect postgresql://gw:hunter2url@db/gw, PGPASSWORD=hunter2env")
    log.warning("token %s", JWT, extra={"headers": {"authorization": f"Bearer {JWT}"}})
    log.warning("sent", extra={"body": {"password": "hunter2dict", "client_secret": ["hunter2l"]}})
    log.error("found %s", PEM)
    log.error("asked with sk_live_%s, signed with whsec_%s", "hunter2stripe" * 2, "hunter2sign" * 2)
    error = ValueError(f"password='hunter2exc' key {key}\n{PEM}")
    log.error("it failed", exc_info=error)


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_no_secret_leaves_by_the_log_or_the_audit(quiet_world: Any, log_format: Any):
    world = quiet_world
    key = world.keys["acme.member"]
    with logged(log_format) as stream:
        made = push_through_requests(world, key)
        push_through_loggers(key)
    text = stream.getvalue()
    mine = [
        world.ids["acme"]["organisation"],
        world.ok("operator", "GET", "/me")["organisation_id"],
    ]
    pages = [world.ok("operator", "GET", f"/organisations/{owner}/audit") for owner in mine]
    audit = json.dumps(pages)
    secrets = [text_of.split("_", 2)[2] for text_of in (*world.keys.values(), made)]
    secrets += ["z" * 43, "hunter2", "dXNlcjpo", "b3BlbnNzaC1", JWT.split(".")[2]]
    for secret in secrets:
        assert secret not in text, secret
        assert secret not in audit, secret
    lines = text.splitlines()
    assert len(lines) > 8
    if log_format == "json":
        found = [json.loads(line) for line in lines]
        request = next(line for line in found if line.get("operation") == "create_cluster")
        assert request["account_id"] == world.ids["acme"]["account.member"]
        assert re.fullmatch(r"req_[0-9a-f]{16}", request["request_id"])
        assert request["message"] == "POST /gw/v1/clusters 400"


def test_the_log_anchors_the_audit(quiet_world: Any):
    world = quiet_world
    with logged("json") as stream:
        world.ok("operator", "POST", f"/nodes/{last_node(world)}:drain", {"reason": "fan"})
    rows = [json.loads(line) for line in stream.getvalue().splitlines()]
    row = next(line for line in rows if "audit_hash" in line)
    anchor = {"sequence": row["audit_sequence"], "entry_hash": row["audit_hash"]}
    assert world.ok("operator", "POST", "/audit:verify", {"anchor": anchor})["is_sound"]
    anchor["entry_hash"] = "0" * 64
    found = world.ok("operator", "POST", "/audit:verify", {"anchor": anchor})
    assert found["broken_sequence"] == row["audit_sequence"]


def test_the_audit_says_from_where_and_what_changed(quiet_world: Any):
    world = quiet_world
    ids = world.ids["acme"]
    world.ok("operator", "PUT", f"/projects/{ids['project']}/quota", {"granted_gpu_count": 99})
    world.ok("operator", "PATCH", f"/accounts/{ids['account.member']}", {"role": "read_only"})
    made = world.ok("operator", "POST", f"/accounts/{ids['account.owner']}/api-keys", {"name": "n"})
    world.ok("operator", "POST", f"/api-keys/{made['id']}:revoke")
    ssh = {"name": "s", "public_key": "ssh-ed25519 AAAA"}
    kept = world.ok("operator", "POST", f"/projects/{ids['project']}/ssh-keys", ssh)
    world.ok("operator", "DELETE", f"/ssh-keys/{kept['id']}")
    world.ok("operator", "POST", f"/nodes/{last_node(world)}:drain", {"reason": "fan"})
    made = world.ok("operator", "POST", "/clusters", wish(world))
    world.call("operator", "PUT", f"/projects/{ids['project']}/quota", {"granted_gpu_count": -1})
    mine = world.ok("operator", "GET", "/me")["organisation_id"]
    rows = world.ok("operator", "GET", f"/organisations/{mine}/audit")["items"]
    assert {row["client_address"] for row in rows} == {"127.0.0.1"}
    by_operation = {row["operation"]: row for row in rows if row["status"] < 400}
    quota = by_operation["set_quota"]
    assert [quota[when]["granted_gpu_count"] for when in ("before", "after")] == [256, 99]
    role = by_operation["change_account"]
    assert (role["before"]["role"], role["after"]["role"]) == ("member", "read_only")
    assert by_operation["create_api_key"]["before"] is None
    assert "key" not in by_operation["create_api_key"]["after"]
    revoked = by_operation["revoke_api_key"]
    assert (revoked["before"]["state"], revoked["after"]["state"]) == ("active", "revoked")
    assert by_operation["delete_ssh_key"]["before"]["public_key"] == "ssh-ed25519 AAAA"
    assert by_operation["delete_ssh_key"]["after"] is None
    drained = by_operation["drain_node"]
    assert (drained["before"]["state"], drained["after"]["state"]) == ("available", "drained")
    cluster = by_operation["create_cluster"]
    assert cluster["after"]["operation_id"] == made["operation_id"]
    assert cluster["after"]["version"] == made["version"]
    refused = next(row for row in rows if row["status"] >= 400)
    assert (refused["before"], refused["after"]) == (None, None)
    assert world.ok("operator", "POST", "/audit:verify", {})["checked_count"] == len(rows)
    head = world.ok("operator", "GET", "/audit/head")
    assert head["sequence"] == len(rows) + 1, "verifying is in the audit, too"
