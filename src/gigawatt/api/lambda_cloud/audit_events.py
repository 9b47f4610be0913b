"""Audit events: the audit of calls, in Lambda's words."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Query

from gigawatt.api.lambda_cloud import documents as doc
from gigawatt.api.lambda_cloud.access import Allowed
from gigawatt.api.lambda_cloud.route import new_router
from gigawatt.api.paging import NEWEST, cursor_of, number_place
from gigawatt.interfaces.call_audit import AuditEntry

router = new_router()

PAGE_COUNT = 100
"""Events of one page, and calls of one reading. Ours."""
READ_COUNT_MAX = 20
"""Readings of one request at most; a page may be short, or empty, and still have a next. Ours."""
SERVICE = "cloud"
"""Source: Lambda Cloud API 1.10.0, example of ``service_name``."""
CATALOG_VERSION = "2026-11-22"
"""Day on which the words for nouns and actions below last changed. Ours."""

_FIRST_MOMENT = datetime.min.replace(tzinfo=UTC)
_LAST_MOMENT = datetime.max.replace(tzinfo=UTC)

Time = Annotated[datetime | None, Query()]
PageToken = Annotated[str | None, Query(max_length=512, pattern=r"^[A-Za-z0-9_=-]*$")]
Kind = Annotated[str | None, Query(max_length=128, pattern=r"^[^\x00]*$")]


@router.get(
    "/audit-events",
    operation_id="list_lambda_audit_events",
    summary="Calls that changed something or were refused, newest first",
)
def list_lambda_audit_events(
    access: Allowed,
    start: Time = None,
    end: Time = None,
    page_token: PageToken = None,
    resource_type: Kind = None,
) -> doc.AuditPage:
    """Calls of the organisation's accounts, newest first, whichever door they came by."""
    owner = access.organisation(access.caller.account.organisation_id)
    first, last = _in_utc(start or _FIRST_MOMENT), _in_utc(end or _LAST_MOMENT)

    def read(before: int) -> Sequence[AuditEntry]:
        return access.service.directory.audit(owner, before, PAGE_COUNT)

    def is_wanted(entry: AuditEntry) -> bool:
        kind = f"{SERVICE}.{_noun_and_action(entry)[0]}"
        return _moment(entry) <= last and resource_type in {None, kind}

    found, place = _page(read, number_place(page_token, NEWEST), first, is_wanted)
    return doc.AuditPage(
        data=[_event(entry) for entry in found],
        page_token=None if place is None else cursor_of(place),
    )


def _in_utc(moment: datetime) -> datetime:
    """A moment; one that names no zone is in UTC."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _moment(entry: AuditEntry) -> datetime:
    """When a call was made, as it is shown."""
    return datetime.fromtimestamp(entry.at_s, UTC)


def _page(
    read: Callable[[int], Sequence[AuditEntry]],
    place: int,
    first: datetime,
    is_wanted: Callable[[AuditEntry], bool],
) -> tuple[list[AuditEntry], int | None]:
    """Calls that are wanted, before a place, and where to go on; None at the end."""
    found: list[AuditEntry] = []
    for _ in range(READ_COUNT_MAX):
        entries = read(place)
        for entry in entries:
            if _moment(entry) < first:
                return found, None
            if len(found) == PAGE_COUNT:
                return found, place
            place = entry.sequence
            if is_wanted(entry):
                found.append(entry)
        if len(entries) < PAGE_COUNT:
            return found, None
    return found, place


def _noun_and_action(entry: AuditEntry) -> tuple[str, str]:
    """What a call was about, and what it did, e.g. ("instance", "launch")."""
    action, _, noun = entry.operation.replace("_lambda_", "_").partition("_")
    return noun.removesuffix("s"), action


def _event(entry: AuditEntry) -> doc.AuditEvent:
    noun, action = _noun_and_action(entry)
    # /api/v1/NOUNS/ID or /gw/v1/NOUNS/ID:verb
    parts = entry.path.replace("-", "_").split("/")
    is_named = len(parts) > 4 and parts[3] == f"{noun}s"
    named = [entry.path.split("/")[4].partition(":")[0]] if is_named else []
    return doc.AuditEvent(
        service_name=SERVICE,
        resource_name=noun,
        action=action,
        catalog_version=CATALOG_VERSION,
        event_id=f"{entry.sequence:032x}",
        event_time=_moment(entry),
        actor_lrn=_name("identity", entry.account_id),
        resource_lrns=[f"lrn:{SERVICE}:{noun}:{one}" for one in named if one],
        resource_owner_lrn=_name("account", entry.organisation_id),
        request_api_key_lrn=_name("api_key", entry.key_id),
        additional_details={
            "operation": entry.operation,
            "path": entry.path,
            "status": entry.status,
            "request_id": entry.request_id,
        },
    )


def _name(noun: str, its_id: str | None) -> str | None:
    return None if its_id is None else f"lrn:{SERVICE}:{noun}:{its_id}"
