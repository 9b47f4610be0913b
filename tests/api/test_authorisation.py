"""Who may do what, over the whole API.

Goal: every operation of our OpenAPI document is refused to everybody who may not call it: without
a key 401, on an object of one's own without the right 403, on a foreign or absent object 404.
Method: the table below says in letters who may; it is written apart from the product's own. Every
operation is called by every role on an own, a foreign and an absent object, over real HTTP. An
operation without a row fails. Operations are committed and never carried out, so nothing moves.
"""

import re
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest

from gigawatt.api.lambda_cloud.errors import CODES
from gigawatt.api.problems import STATUS
from gigawatt.errors import GigawattError
from gigawatt.identity.accounts import OrganisationId
from gigawatt.identity.permissions import PERMISSIONS
from gigawatt.ids import NoticeId, OperationId, TenantId
from gigawatt.interfaces.spot import Notice
from gigawatt.market.closing import Payer, close
from gigawatt.market.contract import ContractItem, ItemKind
from gigawatt.market.payment import News, NewsKind

ROLES = {"O": "owner", "P": "operator", "M": "member", "B": "billing", "R": "read_only"}
ALL = "OPMBR"

ROWS = {
    "who_am_i": ALL,
    "get_fleet": ALL,
    "get_fleet_cells": "P",
    "get_fleet_power": "P",
    "get_fleet_load": "P",
    "get_stranded": "P",
    "get_fleet_map": "P",
    "get_fleet_drawing": "P",
    "get_fleet_picture": "P",
    "list_fleet_notes": "P",
    "get_site": "P",
    "lint_fabric": "P",
    "list_rates": ALL,
    "set_rates": "P",
    "ask_price": ALL,
    "list_nodes": "P",
    "get_node": "P",
    "list_node_receipts": "P",
    "drain_node": "P",
    "quarantine_node": "P",
    "return_node": "P",
    "list_organisations": ALL,
    "create_organisation": "P",
    "change_organisation": "OP",
    "delete_organisation": "P",
    "list_projects": ALL,
    "create_project": "OP",
    "get_project": ALL,
    "change_project": "OP",
    "delete_project": "OP",
    "get_quota": ALL,
    "set_quota": "P",
    "list_accounts": "OP",
    "create_account": "OP",
    "get_account": "OP",
    "change_account": "OP",
    "delete_account": "OP",
    "list_api_keys": ALL,
    "create_api_key": "OP",
    "get_api_key": "OP",
    "rotate_api_key": "OP",
    "revoke_api_key": "OP",
    "list_invitations": "OP",
    "create_invitation": "OP",
    "get_invitation": "OP",
    "delete_invitation": "OP",
    "list_sessions": ALL,
    "end_session": "OP",
    "logout": ALL,
    "list_audit": "OP",
    "get_audit_head": "P",
    "verify_audit": "P",
    "list_ssh_keys": "OPMR",
    "create_ssh_key": "OPM",
    "get_ssh_key": "OPMR",
    "delete_ssh_key": "OPM",
    "create_plan": "OPM",
    "get_plan": ALL,
    "apply_plan": "OPM",
    "plan_cluster_change": "OPM",
    "list_clusters": ALL,
    "create_cluster": "OPM",
    "get_cluster": ALL,
    "grow_cluster": "OPM",
    "shrink_cluster": "OPM",
    "replace_cluster_nodes": "OPM",
    "release_cluster": "OPM",
    "configure_cluster": "OPM",
    "get_cluster_network": "OPMR",
    "get_cluster_topology": "OPMR",
    "read_redfish": "OPM",
    "call_redfish": "OPM",
    "change_redfish": "OPM",
    "list_images": ALL,
    "list_file_systems": ALL,
    "create_file_system": "OPM",
    "get_file_system": ALL,
    "resize_file_system": "OPM",
    "delete_file_system": "OPM",
    "get_s3_door": ALL,
    "rotate_s3_key": "OPM",
    "shut_s3_door": "OPM",
    "get_storage_quota": ALL,
    "set_storage_quota": "P",
    "list_firewall_rulesets": "OPMR",
    "create_firewall_ruleset": "OPM",
    "get_firewall_ruleset": "OPMR",
    "change_firewall_ruleset": "OPM",
    "delete_firewall_ruleset": "OPM",
    "list_evidence": "OPMR",
    "list_files": "OPMR",
    "get_file": "OPMR",
    "list_operations": ALL,
    "get_operation": ALL,
    "cancel_operation": "OPM",
    "create_proof": "P",
    "get_proof": "P",
    "create_reconciliation": "P",
    "list_reconciliations": "P",
    "get_reconciler": "P",
    "get_reconciliation": "P",
    "list_events": "OPMR",
    "compute_chain": ALL,
    "compute_fleet_chain": "P",
    "compute_gpu_hour": ALL,
    "compute_life": ALL,
    "compute_index": ALL,
    "compute_underwriting": ALL,
    "create_waiting_request": "OPM",
    "list_waiting_requests": ALL,
    "get_waiting_request": ALL,
    "withdraw_waiting_request": "OPM",
    "plan_reservation": "OPM",
    "create_reservation": "OP",
    "book_reservation": "OP",
    "cancel_reservation": "OP",
    "list_reservations": ALL,
    "get_reservation": ALL,
    "get_capacity": ALL,
    "list_spot_prices": ALL,
    "list_spot_rounds": ALL,
    "list_notices": ALL,
    "get_market_order": ALL,
    "answer_notice": "OPM",
    "note_checkpoint": "OPM",
    "get_admission": "P",
    "list_turned_away": "P",
    "list_turned_away_days": "P",
    "list_closings": "P",
    "plan_closing": "P",
    "close_month": "P",
    "list_invoices": "OPB",
    "get_invoice": "OPB",
    "get_invoice_file": "OPB",
    "create_credit_note": "P",
    "plan_credit_note": "P",
    "get_statement": "OPB",
    "record_payment": "P",
    "get_payment_options": "OPB",
    "pay_invoice": "OPB",
    "list_payments": "OPB",
    "get_payment": "OPB",
    "refresh_payment": "OPB",
    "cancel_payment": "OPB",
    "create_refund": "P",
    "list_overdue": "P",
    "list_payouts": "P",
    "refresh_payouts": "P",
    "list_payment_events": "P",
    "resolve_payment_event": "P",
    "list_contract_items": "OPB",
    "create_contract_item": "P",
    "list_product_prices": "P",
    "create_product_price": "P",
    "check_ledger": "P",
    "export_ledger": "P",
    "set_cost_tag": "OPM",
    "get_budget": ALL,
    "set_budget": "OP",
    "delete_budget": "OP",
    "get_organisation_budget": "OPB",
    "set_organisation_budget": "OP",
    "delete_organisation_budget": "OP",
    "list_usage": ALL,
    "get_usage_summary": ALL,
    "send_usage_events": "P",
    "check_usage": "P",
    "get_utilisation": "P",
}
LAMBDA_ROWS = {
    "list_lambda_instances": ALL,
    "get_lambda_instance": ALL,
    "rename_lambda_instance": "OPM",
    "launch_lambda_instance": "OPM",
    "restart_lambda_instances": "OPM",
    "terminate_lambda_instances": "OPM",
    "list_lambda_instance_types": ALL,
    "list_lambda_regions": ALL,
    "list_lambda_images": ALL,
    "list_lambda_ssh_keys": "OPMR",
    "add_lambda_ssh_key": "OPM",
    "delete_lambda_ssh_key": "OPM",
    "list_lambda_audit_events": "OP",
    "list_lambda_file_systems": ALL,
    "create_lambda_file_system": "OPM",
    "delete_lambda_file_system": "OPM",
    "list_lambda_firewall_rules": "OPMR",
    "set_lambda_firewall_rules": "OPM",
    "list_lambda_firewall_rulesets": "OPMR",
    "create_lambda_firewall_ruleset": "OPM",
    "get_lambda_firewall_ruleset": "OPMR",
    "change_lambda_firewall_ruleset": "OPM",
    "delete_lambda_firewall_ruleset": "OPM",
    "get_lambda_global_firewall_ruleset": "OPMR",
    "change_lambda_global_firewall_ruleset": "OPM",
}
"""Operations of the Lambda-compatible door, which knows one project a key."""
STREAMS = {"stream_events": "OPMR", "stream_operation": ALL}
"""Answered without an end; ``test_stream.py`` reads them."""

PUBLIC = {"start_device_login", "finish_device_login", "take_payment_event"}
"""How somebody becomes a caller; ``tests/login`` goes through with them."""

ABSENT = "nothing_of_this_name"
REFUSED = {401, 403, 404}
_number = count()


def wish(project_id: str, name: str) -> dict[str, Any]:
    return {"project_id": project_id, "name": name, "gpu_count": 8}


def usage_event(project_id: str) -> dict[str, Any]:
    data = {"project_id": project_id, "quantity": 1, "unit": "u"}
    name = {"specversion": "1.0", "id": f"e{next(_number)}", "source": "/s", "type": "t"}
    return {**name, "time": "2026-01-31T12:00:00Z", "data": data}


@pytest.fixture(scope="module")
def stage(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Any]:
    """A world with a plan, a cluster, an operation and an SSH key in both organisations."""
    from_conftest = request.getfixturevalue("new_world_of")
    with from_conftest(tmp_path_factory.mktemp("home"), with_worker=False) as world:
        for name, ids in world.ids.items():
            project = ids["project"]
            plan = world.ok("operator", "POST", "/plans", wish(project, "planned"))
            made = world.ok("operator", "POST", "/clusters", wish(project, f"c-{name}"))
            key = {"name": "k", "public_key": "ssh-ed25519 AAAA"}
            ssh = world.ok("operator", "POST", f"/projects/{project}/ssh-keys", key)
            ids |= {"plan": plan["id"], "cluster": made["id"], "ssh": ssh["id"]}
            ids["operation"] = made["operation_id"]
            waits = {"cluster": wish(project, f"w-{name}")}
            ids["waiting"] = world.ok("operator", "POST", "/waiting", waits)["id"]
            files = {"project_id": project, "name": "f", "quota_bytes": 1 << 30}
            ids["file_system"] = world.ok("operator", "POST", "/file-systems", files)["id"]
            ids["ruleset"] = new_ruleset(world, project)
            ids["reservation"] = new_reservation(world, project)
            ids["notice"] = new_notice(world, project, made["id"])
        keep_invoices(world)
        world.ids["acme"]["proof"] = world.ok("operator", "POST", "/proofs", {})["id"]
        made = world.ok("operator", "POST", "/reconciliations")
        world.ids["acme"]["reconciliation"] = made["id"]
        yield world


FRESH: dict[str, tuple[str, str, dict[str, Any]]] = {
    "change_account": ("account_id", "/organisations/{organisation}/accounts", {"role": "member"}),
    "delete_account": ("account_id", "/organisations/{organisation}/accounts", {"role": "member"}),
    "change_project": ("project_id", "/organisations/{organisation}/projects", {}),
    "delete_project": ("project_id", "/organisations/{organisation}/projects", {}),
    "rotate_api_key": ("key_id", "/accounts/{account.service}/api-keys", {}),
    "revoke_api_key": ("key_id", "/accounts/{account.service}/api-keys", {}),
    "delete_ssh_key": (
        "ssh_key_id",
        "/projects/{project}/ssh-keys",
        {"public_key": "ssh-ed25519 AAAA"},
    ),
}
"""Where to make an object for a call that may destroy it."""


def keep_invoices(world: Any) -> None:
    """An invoice for each organisation, of a month that is long over, and a payment."""
    book = world.service.market.billing.book
    payers = []
    for name, ids in world.ids.items():
        owner = OrganisationId(ids["organisation"])
        item = ContractItem(
            f"ctr_{name}", owner, ItemKind.MINIMUM, "least", 10**9, 0, "2020-01", "2020-01"
        )
        book.add_item(item, 0.0)
        payers.append(Payer(owner, name, {}, [item]))
    book.close("2020-01", lambda _: close("2020-01", payers, {}, {}), 0.0)
    for invoice in book.invoices(None, None, "", 9):
        ids = world.ids[invoice.organisation_name]
        ids["invoice"] = invoice.invoice_id
        path = f"/organisations/{invoice.organisation_id}/payments"
        paid = {"reference": f"bank-{invoice.organisation_name}", "amount_micro_usd": 10**6}
        ids["payment"] = world.ok("operator", "POST", path, paid)["id"]


def new_notice(world: Any, project_id: str, cluster_id: str) -> str:
    """A notice that a cluster has to give a node back."""
    control, number = world.service.control, next(_number)
    target = control.around.store.cluster(cluster_id).target
    now_s = world.service.now_s()
    notice = Notice(
        sequence=0,
        notice_id=NoticeId(f"ntc_{number}"),
        cluster_id=target.cluster_id,
        project_id=TenantId(project_id),
        node_ids=frozenset({target.members[0].node_id}),
        cause="end",
        cause_id="res_none",
        reason="a test",
        given_s=now_s,
        deadline_s=now_s + 1e6,
        operation_id=OperationId(f"op_n{number}"),
        state="given",
        state_since_s=now_s,
    )
    return str(world.service.market.spot.give(notice).notice_id)


def new_ruleset(world: Any, project_id: str) -> str:
    body = {"project_id": project_id, "name": f"n{next(_number)}", "site_id": "site-a"}
    found: str = world.ok("operator", "POST", "/firewall-rulesets", body)["id"]
    return found


def block(project_id: str) -> dict[str, Any]:
    """A day of one node, long before the end of the century and after every other one."""
    begins = f"2031-01-01T00:00:00+00:{next(_number) % 60:02}"
    return {
        "project_id": project_id,
        "name": "block",
        "gpu_count": 8,
        "gpu_type": "h100",
        "hours": 1,
        "from_at": begins,
    }


def new_reservation(world: Any, project_id: str) -> str:
    """A reservation that is planned; its project may book it."""
    path = f"/projects/{project_id}/quota"
    world.ok("operator", "PUT", path, {"granted_gpu_count": 100_000})
    found: str = world.ok("operator", "POST", "/reservations/plans", block(project_id))["id"]
    return found


def ended_session(world: Any, ids: dict[str, str]) -> str:
    cookie, _ = world.cookie_for(ids["account.service"])
    return f"ses_{cookie.partition('_')[0]}"


def new_waiting(world: Any, ids: dict[str, str]) -> str:
    body = {"cluster": wish(ids["project"], f"n{next(_number)}")}
    made: str = world.ok("operator", "POST", "/waiting", body)["id"]
    return made


def fresh(world: Any, operation: str, ids: dict[str, str]) -> dict[str, str]:
    """Ids of objects that a call may destroy, made for this call alone."""
    if operation in MADE:
        name, make = MADE[operation]
        return {name: make(world, ids)}
    if operation not in FRESH:
        return {}
    name, path, body = FRESH[operation]
    path = re.sub(r"\{([\w.]+)\}", lambda match: ids[match[1]], path)
    made = world.ok("operator", "POST", path, {"name": f"n{next(_number)}", **body})
    return {name: made["id"]}


def invited(world: Any, ids: dict[str, str]) -> str:
    path = f"/organisations/{ids['organisation']}/invitations"
    body = {"email": f"n{next(_number)}@example.com"}
    made: str = world.ok("operator", "POST", path, body)["id"]
    return made


def held_event(world: Any, ids: dict[str, str]) -> str:
    """An event of a provider that names a payment that is not here."""
    name = f"evt_{next(_number)}"
    news = News(name, NewsKind.SETTLED, 0.0, 1, "USD", payment_id="pay_none")
    world.service.market.payments.book.take("stripe", news, 0.0)
    return name


MADE: dict[str, tuple[str, Callable[[Any, dict[str, str]], str]]] = {
    "delete_invitation": ("invitation_id", invited),
    "end_session": ("session_id", ended_session),
    "delete_firewall_ruleset": (
        "ruleset_id",
        lambda world, ids: new_ruleset(world, ids["project"]),
    ),
    "withdraw_waiting_request": ("waiting_id", new_waiting),
    "resolve_payment_event": ("event_id", held_event),
    **dict.fromkeys(
        ("book_reservation", "cancel_reservation"),
        ("reservation_id", lambda world, ids: new_reservation(world, ids["project"])),
    ),
}


def parameters(world: Any, operation: str, whose: str) -> dict[str, str]:
    """Path parameters that name an object of an organisation, or nothing at all."""
    names = (
        *("organisation", "project", "account", "key", "ssh_key", "plan", "cluster", "operation"),
        *("file_system", "ruleset"),
        *("session", "invitation"),
        *("file_system", "ruleset", "waiting"),
        *("file_system", "ruleset", "proof", "reconciliation", "invoice"),
        *("file_system", "ruleset", "waiting", "reservation", "payment"),
        *("file_system", "ruleset", "waiting", "reservation", "notice"),
        *("file_system", "ruleset", "proof", "reconciliation"),
    )
    if whose == "absent":
        there = {
            "month": "2020-02",
            "node_id": ABSENT,
            "file_name": ABSENT,
            "redfish_path": "v1/Systems/1",
            "provider": ABSENT,
            "event_id": ABSENT,
        }
        return {**there, **{f"{n}_id": ABSENT for n in names}}
    ids = world.ids[whose]
    found = {
        "organisation_id": ids["organisation"],
        "project_id": ids["project"],
        # Nobody's own account: what accounts may do to themselves has tests of its own.
        "account_id": ids.get("account.service", ""),
        "key_id": ids.get("key.service", ""),
        "ssh_key_id": ids["ssh"],
        "plan_id": ids["plan"],
        "cluster_id": ids["cluster"],
        "operation_id": ids["operation"],
        "invitation_id": ids.get("invitation", ""),
        "session_id": ABSENT,
        "waiting_id": ids["waiting"],
        "file_system_id": ids["file_system"],
        "ruleset_id": ids["ruleset"],
        "reservation_id": ids["reservation"],
        "notice_id": ids["notice"],
        "node_id": world.service.control.around.fleet.nodes.ids[-1],
        "file_name": "hostfile",
        "month": "2020-02",
        "invoice_id": ids["invoice"],
        "payment_id": ids["payment"],
        "provider": "stripe",
        "event_id": ABSENT,
        "redfish_path": "v1/Systems/1",
        "proof_id": ids.get("proof", ABSENT),
        "reconciliation_id": ids.get("reconciliation", ABSENT),
    }
    if operation in REDFISH:
        target = world.service.control.around.store.cluster(ids["cluster"]).target
        found["node_id"] = target.members[0].node_id
        found["redfish_path"] += "/Actions/ComputerSystem.Reset" * (operation == "call_redfish")
    return {**found, **fresh(world, operation, ids)}


REDFISH = ("read_redfish", "call_redfish", "change_redfish")
BODIES: dict[str, dict[str, Any]] = {
    "answer_notice": {"answer": "failed"},
    "drain_node": {"reason": "test"},
    "quarantine_node": {"reason": "test"},
    "return_node": {"reason": "test"},
    "verify_audit": {},
    "set_rates": {"rates": [{"gpu_type": "h100", "price_micro_usd_per_gpu_hour": 2_490_000}]},
    "call_redfish": {"ResetType": "On"},
    "change_redfish": {
        "Boot": {"BootSourceOverrideEnabled": "Once", "BootSourceOverrideTarget": "Pxe"}
    },
    "create_organisation": {"name": "again"},
    "create_project": {"name": "again"},
    "rotate_api_key": {"grace_s": 0},
    "create_invitation": {"email": "again@example.com"},
    "set_quota": {"granted_gpu_count": 256},
    "create_account": {"name": "again", "role": "member"},
    "change_account": {"role": "read_only"},
    "create_api_key": {"name": "k"},
    "create_ssh_key": {"name": "again", "public_key": "ssh-ed25519 AAAA"},
    "grow_cluster": {"gpu_count": 8},
    "shrink_cluster": {"gpu_count": 8},
    "replace_cluster_nodes": {"node_ids": ["n"]},
    "plan_cluster_change": {"kind": "release"},
    "create_proof": {"scope": "targets"},
    "compute_chain": {"fleet": "small"},
    "compute_fleet_chain": {},
    "compute_gpu_hour": {},
    "compute_life": {},
    "compute_index": {"prices_csv": "day,provider"},
    "compute_underwriting": {"deal_yaml": "name: nothing"},
    "configure_cluster": {"egress_cidrs": []},
    "resize_file_system": {"quota_bytes": 1 << 31},
    "set_storage_quota": {"granted_bytes": 1 << 50},
    "change_firewall_ruleset": {"rules": []},
    "create_credit_note": {"reason": "test", "net_micro_usd": 1},
    "plan_credit_note": {"reason": "test", "net_micro_usd": 1},
    "record_payment": {"reference": "bank-1", "amount_micro_usd": 1},
    "pay_invoice": {},
    "create_refund": {"reason": "test", "amount_micro_usd": 1},
    "resolve_payment_event": {"note": "test"},
    "create_contract_item": {
        "kind": "credit",
        "name": "welcome",
        "amount_micro_usd": 1,
        "from_month": "2099-01",
        "to_month": "2099-01",
    },
    "create_product_price": {"product": "storage", "price_micro_usd": 1, "from_month": "2099-01"},
    "set_cost_tag": {"tag": "blue"},
    "set_budget": {"amount_micro_usd": 10**15},
    "set_organisation_budget": {"amount_micro_usd": 10**15},
}


def operations(world: Any) -> dict[str, tuple[str, str]]:
    """Method and path of every operation in the document that the server shows."""
    if world.described:
        return dict(world.described)
    schema = world.http.get(f"{world.url}/gw/v1/openapi.json").json()
    world.described = {
        described["operationId"]: (method.upper(), path.removeprefix("/gw/v1"))
        for path, methods in schema["paths"].items()
        for method, described in methods.items()
    }
    return dict(world.described)


def lambda_operations(world: Any) -> dict[str, tuple[str, str]]:
    """Method and path of every operation in the document of the Lambda-compatible door."""
    schema = world.http.get(f"{world.url}/api/v1/openapi.json").json()
    return {
        described["operationId"]: (method.upper(), path)
        for path, methods in schema["paths"].items()
        for method, described in methods.items()
    }


@pytest.fixture(scope="module")
def narrow(populated: Any) -> dict[str, str]:
    """A key for the project alone, for each role of acme: this door must know which project."""
    found = {}
    for role in ROLES.values():
        path = f"/accounts/{populated.ids['acme'][f'account.{role}']}/api-keys"
        body = {"name": "narrow", "project_id": populated.ids["acme"]["project"]}
        found[role] = populated.ok("operator", "POST", path, body)["key"]
    return found


def send_there(world: Any, who: str | None, operation: str, whose: str) -> int:
    """One request at the Lambda-compatible door, about a thing of ``whose``."""
    method, path = lambda_operations(world)[operation]
    things = dict.fromkeys(("instance_id", "ssh_key_id", "ruleset_id", "file_system_id"), ABSENT)
    if whose != "absent":
        things = lambda_things(world, whose)
    path = path.format(**things)
    instance = things["instance_id"]
    launch = {"region_name": "site-a", "instance_type_name": "gpu_1x_h100_sxm5"}
    bodies: dict[str, Any] = {
        "rename_lambda_instance": {"name": "n"},
        "launch_lambda_instance": {**launch, "ssh_key_names": [f"{whose}-launch"]},
        "restart_lambda_instances": {"instance_ids": [instance]},
        "terminate_lambda_instances": {"instance_ids": [instance]},
        "add_lambda_ssh_key": {"name": f"n{next(_number)}"},
        "create_lambda_file_system": {"name": f"n{next(_number)}", "region": "site-a"},
        "set_lambda_firewall_rules": {"data": []},
        "create_lambda_firewall_ruleset": {
            "name": f"n{next(_number)}",
            "region": "site-a",
            "rules": [],
        },
        "change_lambda_firewall_ruleset": {"rules": []},
        "change_lambda_global_firewall_ruleset": {"rules": []},
    }
    status: int = world.ask(who, method, path, bodies.get(operation)).status_code
    return status


def lambda_things(world: Any, whose: str) -> dict[str, str]:
    """Ids of one thing of each kind of an organisation, made for one call where it may go."""
    project = world.ids[whose]["project"]
    owner = f"{whose}.narrow"
    if owner not in world.keys:
        path = f"/accounts/{world.ids[whose]['account.owner']}/api-keys"
        body = {"name": "narrow", "project_id": project}
        world.keys[owner] = world.ok("operator", "POST", path, body)["key"]
        body = {"name": f"{whose}-launch", "public_key": "ssh-ed25519 AAAA"}
        world.data(owner, "POST", "/ssh-keys", body)
        body = {"name": "kept", "region": "site-a"}
        world.data(owner, "POST", "/filesystems", body)
    key = {"name": f"k{next(_number)}", "public_key": "ssh-ed25519 AAAA"}
    rules = {"name": f"r{next(_number)}", "region": "site-a", "rules": []}
    instances = world.data(owner, "GET", "/instances")
    launched = [one["id"] for one in instances if one["status"] == "booting" and "tags" in one]
    if not launched:
        launch = {"region_name": "site-a", "instance_type_name": "gpu_1x_h100_sxm5"}
        body = {**launch, "ssh_key_names": [f"{whose}-launch"]}
        made = world.data(owner, "POST", "/instance-operations/launch", body)
        launched = made["instance_ids"]
    return {
        "instance_id": launched[0],
        "ssh_key_id": world.data(owner, "POST", "/ssh-keys", key)["id"],
        "ruleset_id": world.data(owner, "POST", "/firewall-rulesets", rules)["id"],
        "file_system_id": world.data(owner, "GET", "/file-systems")[0]["id"],
    }


@pytest.mark.parametrize("operation", LAMBDA_ROWS)
def test_who_may_and_who_may_not_at_the_lambda_door(
    populated: Any, narrow: dict[str, str], operation: str
):
    """Who may not, may not whatever it is about; who may, finds what is foreign absent."""
    world, may = populated, LAMBDA_ROWS[operation]
    names_one = "{" in lambda_operations(world)[operation][1] or operation.startswith(
        ("restart_", "terminate_", "launch_")
    )
    for whose in ("acme", "other", "absent"):
        assert send_there(world, None, operation, whose) == 401, whose
        for letter, role in ROLES.items():
            key = narrow[role]
            if operation == "list_lambda_audit_events":
                key = f"acme.{role}"
                assert send_there(world, narrow[role], operation, whose) == 403
            status = send_there(world, key, operation, whose)
            if letter not in may:
                assert status == 403, (role, whose, status)
            elif whose == "acme" or not names_one:
                # 409: there is no restart, and a file system that is being made is not deleted;
                # one that another test has deleted already goes without complaint.
                fine = {"restart_lambda_instances": {409}, "delete_lambda_file_system": {200, 409}}
                assert status in fine.get(operation, {200}), (role, whose, status)
            else:
                assert status == 404, (role, whose, status)


def prepared(world: Any, operation: str, whose: str) -> tuple[str, str, Any]:
    """Method, path and body of a call."""
    method, path = operations(world)[operation]
    found = parameters(world, operation, whose)
    body = BODIES.get(operation)
    if operation in {"create_plan", "create_cluster"}:
        body = wish(found["project_id"], "again")
    if operation == "ask_price":
        body = {"project_id": found["project_id"], "gpu_count": 8}
    if operation == "create_waiting_request":
        body = {"cluster": wish(found["project_id"], f"n{next(_number)}")}
    if operation == "create_file_system":
        body = {"project_id": found["project_id"], "name": "again", "quota_bytes": 1}
    if operation == "create_firewall_ruleset":
        body = {"project_id": found["project_id"], "name": "again", "site_id": "site-a"}
    if operation in {"plan_reservation", "create_reservation"}:
        body = block(found["project_id"])
    if operation == "send_usage_events":
        body = usage_event(found["project_id"])
    if operation == "get_capacity":
        path += "?gpus=8&gpu_type=h100"
    if operation in {"change_project", "change_organisation"}:
        body = {"name": f"n{next(_number)}"}
    return method, re.sub(r"\{(\w+)\}", lambda match: found[match[1]], path), body


def send(world: Any, who: str | None, operation: str, whose: str) -> int:
    status: int = world.call(who, *prepared(world, operation, whose)).status_code
    return status


def names_an_object(world: Any, operation: str) -> bool:
    path = operations(world)[operation][1]
    of_the_site = ("{node_id}", "{proof_id}", "{reconciliation_id}", "{month}", "{event_id}")
    is_of_the_site = "{cluster_id}" not in path and any(name in path for name in of_the_site)
    names_one = "{" in path and not is_of_the_site
    return names_one or operation in {
        "ask_price",
        "create_plan",
        "create_cluster",
        "create_waiting_request",
        "create_file_system",
        "create_firewall_ruleset",
    }


@pytest.fixture(scope="module")
def populated(stage: Any) -> Any:
    """The stage with a service account in both organisations, which no test calls as."""
    for ids in stage.ids.values():
        path = f"/organisations/{ids['organisation']}/accounts"
        body = {"name": "service", "kind": "service_account", "role": "member"}
        ids["account.service"] = stage.ok("operator", "POST", path, body)["id"]
        path = f"/accounts/{ids['account.service']}/api-keys"
        ids["key.service"] = stage.ok("operator", "POST", path, {"name": "k"})["id"]
        ids["invitation"] = invited(stage, ids)
    return stage


def test_every_operation_has_a_row_and_a_permission(populated: Any):
    described = set(operations(populated))
    assert described == set(ROWS) | set(STREAMS) | PUBLIC
    described_there = set(lambda_operations(populated))
    assert described_there == set(LAMBDA_ROWS)
    assert described | described_there == set(PERMISSIONS)


@pytest.mark.parametrize("operation", ROWS)
def test_who_may_and_who_may_not(populated: Any, operation: str):
    world, may = populated, ROWS[operation]
    for whose in ("acme", "other", "absent"):
        assert send(world, None, operation, whose) == 401, (operation, whose)
    for letter, role in ROLES.items():
        # An operator reaches every organisation, so no object is foreign to one.
        status = send(world, f"acme.{role}", operation, "acme")
        if letter in may:
            assert status not in REFUSED, (operation, role, status)
            assert status < 500 or status == 507, (operation, role, status)
        else:
            assert status == 403, (operation, role, status)
        if letter == "P" or not names_an_object(world, operation):
            continue
        for whose in ("other", "absent"):
            status = send(world, f"acme.{role}", operation, whose)
            assert status == 404, (operation, role, whose, status)


@pytest.mark.parametrize("operation", ROWS)
def test_a_session_may_what_its_account_may(populated: Any, operation: str):
    """Every operation once more, by cookie; and refused without the proof of our own page."""
    world, may, ids = populated, ROWS[operation], populated.ids["acme"]
    for letter, role in ROLES.items():
        account = ids[f"account.{role}"]
        answer = world.by_cookie(account, *prepared(world, operation, "acme"))
        is_allowed = answer.status_code not in REFUSED
        assert is_allowed == (letter in may), (operation, role, answer.text)
        if letter != "P" and names_an_object(world, operation):
            answer = world.by_cookie(account, *prepared(world, operation, "other"))
            assert answer.status_code == 404, (operation, role, answer.text)
    method, path, body = prepared(world, operation, "acme")
    if method != "GET":
        for wrong in ({"Origin": "https://evil.example"}, {"X-CSRF-Token": "x"}):
            answer = world.by_cookie(ids["account.owner"], method, path, body, **wrong)
            assert answer.status_code == 403, (operation, wrong)


@pytest.mark.parametrize("operation", [name for name, may in ROWS.items() if may != ALL])
def test_operators_find_absent_objects_absent(populated: Any, operation: str):
    path = operations(populated)[operation][1].replace("{month}", "")
    if "{" in path:
        assert send(populated, "operator", operation, "absent") == 404


def test_a_foreign_object_reads_as_an_absent_one(populated: Any):
    """The two answers differ in nothing but the id that was asked for."""
    world = populated
    places = {
        "cluster": "/clusters/{}",
        "plan": "/plans/{}",
        "ssh": "/ssh-keys/{}",
        "operation": "/operations/{}",
        "waiting": "/waiting/{}",
        "file_system": "/file-systems/{}",
        "ruleset": "/firewall-rulesets/{}",
        "project": "/projects/{}",
        "organisation": "/organisations/{}/audit",
        "account.owner": "/accounts/{}",
        "key.owner": "/api-keys/{}",
    }
    for noun, path in places.items():
        found = []
        for name in (world.ids["other"][noun], ABSENT):
            answer = world.call("acme.owner", "GET", path.format(name))
            problem = answer.json()
            assert problem.pop("request_id") == answer.headers["X-Request-Id"]
            found.append(str(problem).replace(name, "ID"))
        assert found[0] == found[1]
    keys = f"/accounts/{world.ids['acme']['account.owner']}/api-keys"
    for name in (world.ids["other"]["project"], ABSENT):
        body = {"name": "k", "project_id": name}
        assert world.call("acme.owner", "POST", keys, body).status_code == 404


def test_every_error_class_has_a_status():
    def tree(kind: type[GigawattError]) -> set[type[GigawattError]]:
        return {kind}.union(*(tree(sub) for sub in kind.__subclasses__()))

    ours = {kind for kind in tree(GigawattError) if kind.__module__ == "gigawatt.errors"}
    assert ours == set(STATUS)
    assert ours == set(CODES)


def test_an_account_manages_its_own_keys_and_no_others(populated: Any):
    world, ids = populated, populated.ids["acme"]
    mine = f"/accounts/{ids['account.billing']}/api-keys"
    key = world.ok("acme.billing", "POST", mine, {"name": "mine"})
    assert world.call("acme.billing", "POST", f"/api-keys/{key['id']}:revoke").status_code == 200
    other = f"/api-keys/{ids['key.service']}:revoke"
    assert world.call("acme.billing", "POST", other).status_code == 403
    shown = world.ok("acme.billing", "GET", "/api-keys")["items"]
    assert {item["account_id"] for item in shown} == {ids["account.billing"]}


def test_nobody_but_an_operator_makes_an_operator(populated: Any):
    world, ids = populated, populated.ids["acme"]
    path = f"/organisations/{ids['organisation']}/accounts"
    body = {"name": "climber", "role": "operator"}
    assert world.call("acme.owner", "POST", path, body).status_code == 403
    body = {"role": "operator"}
    account = f"/accounts/{ids['account.service']}"
    assert world.call("acme.owner", "PATCH", account, body).status_code == 403
    operators = f"/accounts/{ids['account.operator']}"
    assert world.call("acme.owner", "DELETE", operators).status_code == 403
    assert (
        world.call("acme.owner", "POST", operators + "/api-keys", {"name": "k"}).status_code == 403
    )
    assert (
        world.call("acme.owner", "POST", f"/api-keys/{ids['key.operator']}:revoke").status_code
        == 403
    )


def test_a_key_for_one_project_reaches_no_other(populated: Any):
    world, ids = populated, populated.ids["acme"]
    org = ids["organisation"]
    second = world.ok("operator", "POST", f"/organisations/{org}/projects", {"name": "second"})
    key = {"name": "narrow", "project_id": second["id"]}
    path = f"/accounts/{ids['account.owner']}/api-keys"
    narrow = world.ok("operator", "POST", path, key)["key"]
    assert world.call(narrow, "GET", f"/projects/{second['id']}").status_code == 200
    assert world.call(narrow, "GET", f"/projects/{ids['project']}").status_code == 404
    assert world.call(narrow, "GET", f"/clusters/{ids['cluster']}").status_code == 404
    assert world.ok(narrow, "GET", "/clusters")["items"] == []
    assert world.ok(narrow, "GET", "/operations")["items"] == []
    assert [p["id"] for p in world.ok(narrow, "GET", "/projects")["items"]] == [second["id"]]
    for method, place in (("POST", "accounts"), ("GET", "audit"), ("POST", "projects")):
        body = {"name": "x"} if method == "POST" else None
        assert world.call(narrow, method, f"/organisations/{org}/{place}", body).status_code == 403
    assert world.call(narrow, "POST", path, {"name": "wider"}).status_code == 403


def test_an_operators_key_for_one_project_does_not_run_the_site(populated: Any):
    world, ids = populated, populated.ids["acme"]
    path = f"/accounts/{ids['account.operator']}/api-keys"
    body = {"name": "narrow", "project_id": ids["project"]}
    narrow = world.ok("operator", "POST", path, body)["key"]
    assert world.call(narrow, "GET", "/nodes").status_code == 403
    assert world.call(narrow, "GET", "/fleet").status_code == 200
    assert (
        world.call(narrow, "GET", f"/clusters/{world.ids['other']['cluster']}").status_code == 404
    )


def test_lists_show_only_what_is_ones_own(populated: Any):
    world = populated
    for who, ids in (("acme.owner", world.ids["acme"]), ("other.owner", world.ids["other"])):
        paths = ("/clusters", "/operations", "/file-systems", "/firewall-rulesets", "/waiting")
        for path in paths:
            found = world.ok(who, "GET", path)["items"]
            assert found
            assert {item["project_id"] for item in found} == {ids["project"]}
        events = world.ok(who, "GET", "/events")["items"]
        own = {
            item["id"]
            for path in ("/clusters?with_ended=true", "/file-systems?with_ended=true")
            for item in world.ok(who, "GET", path)["items"]
        }
        assert {event["cluster_id"] for event in events} <= {*own, None}
        for event in events:
            # A line of no cluster is about a waiting request of one's own, or one's own quota.
            if event["cluster_id"] is None and "waiting_id" in event["data"]:
                waiting_id = event["data"]["waiting_id"]
                assert world.call(who, "GET", f"/waiting/{waiting_id}").status_code == 200
            elif event["cluster_id"] is None:
                assert event["data"]["project_id"] == ids["project"]
        orgs = world.ok(who, "GET", "/organisations")["items"]
        assert [item["id"] for item in orgs] == [ids["organisation"]]


def test_a_foreign_cluster_or_ssh_key_cannot_be_named_in_a_wish(populated: Any):
    world = populated
    body = wish(world.ids["acme"]["project"], "nosy")
    for more in (
        {"near_cluster_id": world.ids["other"]["cluster"]},
        {"ssh_key_ids": [world.ids["other"]["ssh"]]},
        {"file_system_mounts": [{"file_system_id": world.ids["other"]["file_system"]}]},
        {"file_system_mounts": [{"file_system_id": world.ids["acme"]["cluster"]}]},
        {"near_cluster_id": world.ids["acme"]["file_system"]},
        {"firewall_ruleset_ids": [world.ids["other"]["ruleset"]]},
    ):
        assert world.call("acme.owner", "POST", "/plans", {**body, **more}).status_code == 404


def test_nobody_sets_what_is_not_theirs_to_set(populated: Any):
    world = populated
    body = wish(world.ids["acme"]["project"], "sly")
    for more in ({"state": "active"}, {"price_micro_usd_per_hour": 1}, {"tenant_id": "ten_x"}):
        assert world.call("acme.owner", "POST", "/clusters", {**body, **more}).status_code == 400
