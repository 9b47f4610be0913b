"""The audit of calls as a chain: its head, and whether it is as it was written."""

from gigawatt.api.access import Allowed
from gigawatt.api.routing import new_router, operation
from gigawatt.identity.chain import Anchor
from gigawatt.sdk import documents as doc

router = new_router("audit")


@operation(router, "GET", "/audit/head")
def get_audit_head(access: Allowed) -> doc.AuditHead:
    """The last row of the chain; whoever keeps it elsewhere finds a tail that was cut off."""
    access.permit()
    head = access.service.audit.head()
    return doc.AuditHead(
        first_sequence=head.first_sequence,
        sequence=head.last.sequence,
        entry_hash=head.last.entry_hash,
    )


@operation(router, "POST", "/audit:verify")
def verify_audit(body: doc.VerifyAudit, access: Allowed) -> doc.AuditVerdict:
    """Compute the chain again, and name the first row that is not as it was written."""
    access.permit()
    kept = body.anchor
    anchor = None if kept is None else Anchor(kept.sequence, kept.entry_hash)
    found = access.service.audit.verify(after=body.after, count_max=body.count_max, anchor=anchor)
    return doc.AuditVerdict(
        is_sound=found.is_sound,
        is_complete=found.checked_count < body.count_max,
        checked_count=found.checked_count,
        last_sequence=None if found.last is None else found.last.sequence,
        broken_sequence=found.broken_sequence,
        reason=found.reason,
    )
