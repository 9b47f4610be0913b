"""Calls of the audit of calls."""

from gigawatt.sdk import documents as doc
from gigawatt.sdk.calls.call import Call, path_of


def get_audit_head() -> Call[doc.AuditHead]:
    """The last row of the audit's chain, to be kept elsewhere."""
    return Call("GET", path_of("audit", "head"), doc.AuditHead)


def verify_audit(wanted: doc.VerifyAudit | None = None) -> Call[doc.AuditVerdict]:
    """Check the chain of the audit, all of it if nothing is said."""
    body = wanted or doc.VerifyAudit()
    return Call("POST", path_of("audit", verb="verify"), doc.AuditVerdict, body=body)
