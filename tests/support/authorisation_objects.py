"""What the calls of the authorisation tests are about, made for a world of two organisations."""

import re
from collections.abc import Callable
from itertools import count
from typing import Any

from gigawatt.identity.accounts import OrganisationId
from gigawatt.ids import NoticeId, OperationId, TenantId
from gigawatt.interfaces.spot import Notice
from gigawatt.market.closing import Payer, close
from gigawatt.market.contract import ContractItem, ItemKind
from gigawatt.market.payment import News, NewsKind

numbers = count()


def wish(project_id: str, name: str) -> dict[str, Any]:
    return {"project_id": project_id, "name": name, "gpu_count": 8}


def usage_event(project_id: str) -> dict[str, Any]:
    data = {"project_id": project_id, "quantity": 1, "unit": "u"}
    name = {"specversion": "1.0", "id": f"e{next(numbers)}", "source": "/s", "type": "t"}
    return {**name, "time": "2026-01-31T12:00:00Z", "data": data}


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
    control, number = world.service.control, next(numbers)
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
    body = {"project_id": project_id, "name": f"n{next(numbers)}", "site_id": "site-a"}
    found: str = world.ok("operator", "POST", "/firewall-rulesets", body)["id"]
    return found


def block(project_id: str) -> dict[str, Any]:
    """A day of one node, long before the end of the century and after every other one."""
    begins = f"2031-01-01T00:00:00+00:{next(numbers) % 60:02}"
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


def booked_reservation(world: Any, project_id: str) -> str:
    """A reservation that no plan's end takes away, however long the tests take."""
    reservation_id = new_reservation(world, project_id)
    world.ok("operator", "POST", f"/reservations/{reservation_id}:book")
    return reservation_id


def ended_session(world: Any, ids: dict[str, str]) -> str:
    cookie, _ = world.cookie_for(ids["account.service"])
    return f"ses_{cookie.partition('_')[0]}"


def new_waiting(world: Any, ids: dict[str, str]) -> str:
    body = {"cluster": wish(ids["project"], f"n{next(numbers)}")}
    made: str = world.ok("operator", "POST", "/waiting", body)["id"]
    return made


def invited(world: Any, ids: dict[str, str]) -> str:
    path = f"/organisations/{ids['organisation']}/invitations"
    body = {"email": f"n{next(numbers)}@example.com"}
    made: str = world.ok("operator", "POST", path, body)["id"]
    return made


def held_event(world: Any, ids: dict[str, str]) -> str:
    """An event of a provider that names a payment that is not here."""
    name = f"evt_{next(numbers)}"
    news = News(name, NewsKind.SETTLED, 0.0, 1, "USD", payment_id="pay_none")
    world.service.market.payments.book.take("stripe", news, 0.0)
    return name


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
"""What makes an object for a call that may destroy it, where one request does not."""


def fresh(world: Any, operation: str, ids: dict[str, str]) -> dict[str, str]:
    """Ids of objects that a call may destroy, made for this call alone."""
    if operation in MADE:
        name, make = MADE[operation]
        return {name: make(world, ids)}
    if operation not in FRESH:
        return {}
    name, path, body = FRESH[operation]
    path = re.sub(r"\{([\w.]+)\}", lambda match: ids[match[1]], path)
    made = world.ok("operator", "POST", path, {"name": f"n{next(numbers)}", **body})
    return {name: made["id"]}
