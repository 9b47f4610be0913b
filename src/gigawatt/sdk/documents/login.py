"""Documents of people: invitations, sessions and logins."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from gigawatt.sdk.documents.base import Answer, Id, Name, Request
from gigawatt.sdk.documents.identity import ApiKey, RoleName

Code = Annotated[str, StringConstraints(min_length=1, max_length=2_048, pattern=r"^[!-~]+$")]


class Invitation(Answer):
    """A person asked into an organisation; ``link`` is in the first answer only."""

    id: str
    organisation_id: str
    project_id: str | None
    email: str
    role: RoleName
    state: Literal["open", "accepted", "expired"]
    invited_by: str
    account_id: str | None
    created_at: datetime
    expires_at: datetime
    accepted_at: datetime | None
    link: str | None = None


class CreateInvitation(Request):
    """A new invitation; for one project only if named."""

    email: Annotated[str, StringConstraints(min_length=3, max_length=254)]
    role: RoleName = "member"
    project_id: Id | None = None
    lifetime_s: Annotated[int, Field(ge=60, le=2_592_000)] | None = None


class Session(Answer):
    """A browser in which somebody is logged in; over at ``ends_at`` if nobody uses it.

    ``client_address`` and ``user_agent`` are of the request that began it: where it came from, and
    what the browser called itself, which may be anything.
    """

    id: str
    account_id: str
    created_at: datetime
    last_used_at: datetime
    ends_at: datetime
    client_address: str = ""
    user_agent: str = ""


class DeviceLogin(Answer):
    """A login for a command line: ``user_code`` is confirmed at ``url`` in any browser.

    ``whole_url`` has the code in it already. ``device_code`` is a secret of the command line.
    """

    device_code: str
    user_code: str
    url: str
    whole_url: str | None
    expires_at: datetime
    interval_s: float


class FinishDeviceLogin(Request):
    """Ask whether a code was confirmed; the key will have this name and lifetime."""

    device_code: Code
    name: Name = "device login"
    lifetime_s: Annotated[int, Field(ge=60, le=2_592_000)] | None = None


class DeviceLoginResult(Answer):
    """Whether a code was confirmed; ``slow_down``: ask less often. ``key`` comes with ``done``."""

    state: Literal["pending", "slow_down", "done"]
    key: ApiKey | None = None
