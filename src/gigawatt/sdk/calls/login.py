"""Calls of people: invitations, sessions and logins."""

from gigawatt.sdk import documents as doc
from gigawatt.sdk.calls.call import Call, path_of, query_of


def list_invitations(
    organisation_id: str, *, cursor: str | None = None, limit: int | None = None
) -> Call[doc.Page[doc.Invitation]]:
    """Invitations of an organisation."""
    path = path_of("organisations", organisation_id, "invitations")
    return Call("GET", path, doc.Page[doc.Invitation], query_of(cursor=cursor, limit=limit))


def create_invitation(
    organisation_id: str, invitation: doc.CreateInvitation
) -> Call[doc.Invitation]:
    """Ask a person in; the link is in this answer only."""
    path = path_of("organisations", organisation_id, "invitations")
    return Call("POST", path, doc.Invitation, body=invitation)


def get_invitation(invitation_id: str) -> Call[doc.Invitation]:
    """One invitation."""
    return Call("GET", path_of("invitations", invitation_id), doc.Invitation)


def delete_invitation(invitation_id: str) -> Call[None]:
    """Take an invitation back."""
    return Call("DELETE", path_of("invitations", invitation_id), type(None))


def list_sessions(
    *, cursor: str | None = None, limit: int | None = None
) -> Call[doc.Page[doc.Session]]:
    """Sessions of the organisation for its managers, one's own for others."""
    query = query_of(cursor=cursor, limit=limit)
    return Call("GET", path_of("sessions"), doc.Page[doc.Session], query)


def end_session(session_id: str) -> Call[None]:
    """End a session at once."""
    return Call("DELETE", path_of("sessions", session_id), type(None))


def logout() -> Call[None]:
    """End the session that the request came with."""
    return Call("POST", path_of("logout"), type(None))


def start_device_login() -> Call[doc.DeviceLogin]:
    """Begin a login for a command line."""
    return Call("POST", path_of("login", "device"), doc.DeviceLogin)


def finish_device_login(login: doc.FinishDeviceLogin) -> Call[doc.DeviceLoginResult]:
    """Ask whether the code was confirmed; if so, the answer holds an API key, once."""
    path = path_of("login", "device", verb="finish")
    return Call("POST", path, doc.DeviceLoginResult, body=login)
