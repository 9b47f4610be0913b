"""Usage over HTTP.

Goal: a project sees what it used and what that costs, nobody sees another's; other services send
what they measured as CloudEvents, once however often; an operator can check it all.
Method: a real server on loopback with its worker; the typed client where a client would be used.
"""

from typing import Any

import pytest

from gigawatt.errors import ConflictError, ForbiddenError, InputError, UnknownIdError
from gigawatt.interfaces.usage import UsageQuery
from gigawatt.sdk import calls
from gigawatt.sdk import documents as doc
from gigawatt.sdk.client import Client

SINGLE, BATCH = "application/cloudevents+json", "application/cloudevents-batch+json"
HOUR_MS = 3_600_000


@pytest.fixture
def clients(world: Any) -> Any:
    """Typed clients of members of acme and other, and of the operator."""
    names = ("acme.member", "other.member", "operator")
    made = {name: Client(world.url, world.keys[name]) for name in names}
    yield made
    for client in made.values():
        client.close()


def ended(world: Any, operation_id: str | None) -> None:
    assert operation_id is not None
    assert world.ended(operation_id)["state"] == "done"


def launched(world: Any, client: Client, storage_bytes: int = 0) -> doc.Cluster:
    request = doc.ClusterRequest(
        project_id=world.ids["acme"]["project"],
        name="train",
        gpu_count=16,
        storage_bytes=storage_bytes,
    )
    made = client.create_cluster(request)
    ended(world, made.operation_id)
    return client.get_cluster(made.id)


def event(world: Any, event_id: str = "e1", **more: Any) -> dict[str, Any]:
    data = {"project_id": world.ids["acme"]["project"], "quantity": 12, "unit": "llm_token"}
    return {
        "specversion": "1.0",
        "id": event_id,
        "source": "/gateway/a",
        "type": "com.example.llm_tokens",
        "time": "2026-01-31T12:00:00Z",
        "data": data,
        **more,
    }


def test_what_a_cluster_used_is_seen_by_its_project_and_operators_alone(world: Any, clients: Any):
    client = clients["acme.member"]
    made = launched(world, client, storage_bytes=1 << 30)
    assert made.status is not None
    assert made.cost_micro_usd_per_hour == made.status.price_micro_usd_per_hour > 0
    summary = client.get_usage_summary(by="cluster")
    assert [(line.key, line.name) for line in summary.lines] == [(made.id, "train")]
    assert summary.total.gpu_ms == summary.lines[0].gpu_ms > 0
    assert [(s.holder_id, s.is_under_way) for s in summary.storage] == [(made.id, True)]
    assert list(client.pages(_usage)) == []
    ended(world, client.release_cluster(made.id).operation_id)
    records = client.list_usage().items
    assert len(records) == 2
    assert {r.cluster_id for r in records} == {made.id}
    gone = client.get_cluster(made.id)
    assert gone.cost_micro_usd_per_hour == 0
    rated = sum(
        r.gpu_count * (r.to_ms - r.from_ms) * r.price_micro_usd_per_gpu_hour for r in records
    )
    assert gone.cost_micro_usd == (2 * rated + HOUR_MS) // (2 * HOUR_MS)
    for by in ("project", "gpu_type", "day", "cluster"):
        found = client.get_usage_summary(by=by)
        assert found.total.amount_micro_usd == gone.cost_micro_usd
        assert not found.storage[0].is_under_way
    assert clients["operator"].get_usage_summary().total.gpu_ms == summary_gpu_ms(records)
    assert clients["other.member"].list_usage().items == []
    foreign = clients["other.member"].get_usage_summary(cluster_id=made.id)
    assert (foreign.lines, foreign.storage, foreign.total.gpu_ms) == ([], [], 0)


def _usage(cursor: str | None) -> Any:
    return calls.list_usage(cursor=cursor, limit=1)


def summary_gpu_ms(records: list[doc.UsageRecord]) -> int:
    return sum(r.gpu_count * (r.to_ms - r.from_ms) for r in records)


def test_records_come_in_pages_and_clipped_to_the_time_asked_for(world: Any, clients: Any):
    client = clients["acme.member"]
    made = launched(world, client)
    ended(world, client.release_cluster(made.id).operation_id)
    whole = client.list_usage().items
    pages = list(client.pages(_usage))
    assert pages == whole
    middle = (whole[0].from_ms + whole[0].to_ms) // 2
    early = client.list_usage(from_ms=0, to_ms=middle).items
    late = client.list_usage(from_ms=middle).items
    assert summary_gpu_ms(early) + summary_gpu_ms(late) == summary_gpu_ms(whole)
    with pytest.raises(InputError, match="no time at all"):
        client.list_usage(from_ms=5, to_ms=5)
    with pytest.raises(InputError, match="at most 400 days"):
        client.get_usage_summary(by="day", from_ms=0)


def test_a_quarantined_node_costs_its_tenant_nothing(world: Any, clients: Any):
    made = launched(world, clients["acme.member"])
    assert made.status is not None
    assert made.status.members is not None
    clients["operator"].quarantine_node(made.status.members[0], "XID 79")
    found = clients["acme.member"].get_cluster(made.id)
    assert found.cost_micro_usd_per_hour == made.status.price_micro_usd_per_hour // 2


def test_the_operator_checks_usage_against_the_trail(world: Any, clients: Any):
    made = launched(world, clients["acme.member"])
    ended(world, clients["acme.member"].release_cluster(made.id).operation_id)
    for cluster_id in (None, made.id):
        found = clients["operator"].check_usage(cluster_id=cluster_id)
        assert (found.cluster_count, found.is_sound, found.differences) == (1, True, [])
    database = world.service.control.around.store.database
    with database.write() as connection:
        connection.exec_driver_sql(
            "INSERT INTO usage_record (cluster_id, number, project_id, node_id, gpu_type, site_id,"
            " term, gpu_count, price_micro_usd_per_gpu_hour, from_ms, to_ms) SELECT cluster_id, 99,"
            " project_id, node_id, gpu_type, site_id, term, gpu_count,"
            " price_micro_usd_per_gpu_hour, from_ms, to_ms FROM usage_record WHERE number = 0"
        )
    found = clients["operator"].check_usage()
    assert not found.is_sound
    assert {d.cluster_id for d in found.differences} == {made.id}


def send(world: Any, body: Any, media: str = SINGLE, who: str = "operator") -> Any:
    return world.call(who, "POST", "/usage/events", body, {"Content-Type": media})


def kept(world: Any) -> list[str]:
    book = world.service.market.usage
    return [e.event_id for e in book.external_usages(UsageQuery(0, 1 << 53))]


def test_events_are_taken_one_by_one_or_together_and_each_counts_once(world: Any):
    first = send(world, event(world))
    assert (first.status_code, first.json()) == (200, {"event_count": 1, "new_count": 1})
    both = send(world, [event(world), event(world, "e2")], BATCH)
    assert both.json() == {"event_count": 2, "new_count": 1}
    again = event(world, traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    again["time"] = "2026-01-31T13:00:00+01:00"
    assert send(world, again).json()["new_count"] == 0
    assert send(world, event(world, "e3"), "application/json").status_code == 200
    assert kept(world) == ["e1", "e2", "e3"]


def test_the_client_sends_events_and_is_told_what_differs(world: Any, clients: Any):
    events = doc.UsageEvents.model_validate([event(world)])
    assert clients["operator"].send_usage_events(events).new_count == 1
    other = event(world)
    other["data"] = {**other["data"], "quantity": 13}
    with pytest.raises(ConflictError, match="'e1' of '/gateway/a' was kept with another quantity"):
        clients["operator"].send_usage_events(doc.UsageEvents.model_validate([other]))
    with pytest.raises(ForbiddenError):
        clients["acme.member"].send_usage_events(events)
    other["id"], other["data"]["project_id"] = "e9", "ten_nobody"
    with pytest.raises(UnknownIdError):
        clients["operator"].send_usage_events(doc.UsageEvents.model_validate([other]))


@pytest.mark.parametrize(
    "broken",
    [
        {"specversion": "0.3"},
        {"id": ""},
        {"time": "2026-01-31T12:00:00"},
        {"time": "yesterday"},
        {"data": {"project_id": "ten_x", "quantity": -1, "unit": "u"}},
        {"data": {"project_id": "ten_x", "quantity": 0.5, "unit": "u"}},
        {"data": {"project_id": "ten_x", "quantity": "12", "unit": "u"}},
        {"data": {"project_id": "ten_x", "quantity": 1 << 60, "unit": "u"}},
        {"data": {"project_id": "ten_x", "quantity": 1}},
        {"data": "text"},
        {"data_base64": "AAAA", "data": None},
    ],
)
def test_an_event_that_is_none_is_refused_and_nothing_of_its_request_is_kept(
    world: Any, broken: dict[str, Any]
):
    bad = event(world, "bad")
    given = broken.get("data")
    if isinstance(given, dict):
        broken = {"data": {**given, "project_id": world.ids["acme"]["project"]}}
    response = send(world, [event(world), {**bad, **broken}], BATCH)
    assert response.status_code == 400
    assert kept(world) == []


def test_what_is_too_much_is_refused(world: Any):
    many = [event(world, f"e{n}") for n in range(501)]
    assert send(world, many, BATCH).status_code == 400
    assert send(world, [], BATCH).status_code == 400
    large = event(world)
    large["data"]["note"] = "x" * 9_000
    assert send(world, large).status_code == 400
    assert send(world, event(world), "text/plain").status_code == 415
    assert kept(world) == []


def test_sandboxes_and_egress_go_from_event_to_invoice_line(world: Any, clients: Any):
    """Sent twice, shown in the summary of who used it, and billed once by the known units."""
    operator = clients["operator"]
    for product, price in (("sandbox.cpu_seconds", 36_000), ("network.egress_bytes", 20_000)):
        body = {"product": product, "price_micro_usd": price, "from_month": "2026-01"}
        world.ok("operator", "POST", "/product-prices", body)
    cpu, egress = event(world, "cpu"), event(world, "egress")
    cpu |= {"type": "sandbox.cpu_seconds", "data": {**cpu["data"], "unit": "CPU-second"}}
    cpu["data"]["quantity"] = 7_200
    egress |= {"type": "network.egress_bytes", "data": {**egress["data"], "unit": "byte"}}
    egress["data"]["quantity"] = 5 << 30
    for new_count in (2, 0):
        assert send(world, [cpu, egress], BATCH).json()["new_count"] == new_count
    wrong = {**egress, "id": "wrong", "data": {**egress["data"], "unit": "GiB"}}
    refused = send(world, wrong)
    assert (refused.status_code, "wanted 'byte'" in refused.json()["detail"]) == (400, True)
    span = {"from_ms": 1_767_225_600_000, "to_ms": 1_769_904_000_000}
    lines = clients["acme.member"].get_usage_summary(**span).external
    shown = [(line.product, line.quantity, line.unit, line.event_count) for line in lines]
    assert shown == [
        ("network.egress_bytes", 5 << 30, "byte", 1),
        ("sandbox.cpu_seconds", 7_200, "CPU-second", 1),
    ]
    assert clients["other.member"].get_usage_summary(**span).external == []
    (invoice,) = operator.plan_closing("2026-01").invoices
    # Two CPU-hours at 36,000 and five GiB at 20,000 micro-USD.
    assert invoice.net_micro_usd == 172_000
