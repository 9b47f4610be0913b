"""One call of every operation of the API, about an object that is own, foreign or absent."""

import re
from typing import Any

from authorisation_objects import block, fresh, numbers, usage_event, wish
from authorisation_rows import ABSENT

OF_NOBODY = {
    **dict.fromkeys(
        (
            *("organisation_id", "project_id", "account_id", "key_id", "session_id"),
            *("invitation_id", "ssh_key_id", "plan_id", "cluster_id", "operation_id"),
            *("waiting_id", "file_system_id", "ruleset_id", "reservation_id", "notice_id"),
            *("invoice_id", "payment_id", "event_id", "proof_id", "reconciliation_id"),
            *("node_id", "file_name", "provider"),
        ),
        ABSENT,
    ),
    "month": "2020-02",
    "redfish_path": "v1/Systems/1",
}
"""Path parameters that name nothing that there is."""


def parameters(world: Any, operation: str, whose: str) -> dict[str, str]:
    """Path parameters that name an object of an organisation, or nothing at all."""
    if whose == "absent":
        return OF_NOBODY
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


def operations(world: Any, door: str = "/gw/v1") -> dict[str, tuple[str, str]]:
    """Method and path of every operation in the document that the server shows at a door."""
    if door not in world.described:
        schema = world.http.get(f"{world.url}{door}/openapi.json").json()
        world.described[door] = {
            described["operationId"]: (method.upper(), path.removeprefix(door))
            for path, methods in schema["paths"].items()
            for method, described in methods.items()
        }
    found: dict[str, tuple[str, str]] = world.described[door]
    return found


def lambda_operations(world: Any) -> dict[str, tuple[str, str]]:
    """The same of the Lambda-compatible door."""
    return operations(world, "/api/v1")


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
        body = {"cluster": wish(found["project_id"], f"n{next(numbers)}")}
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
        body = {"name": f"n{next(numbers)}"}
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
