"""What a service answers with, and the error that is an answer (DSP0266, section 8.6)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """Status, JSON or XML, and further headers; neither with 204 and 304."""

    status: int = 200
    body: Json | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    xml: str | None = None


class RefusedError(Exception):
    """A request that is answered with an error: status, message id of the Base registry, words."""

    def __init__(
        self, status: int, message_id: str, words: str, headers: Mapping[str, str] | None = None
    ) -> None:
        """Refuse with ``status``."""
        super().__init__(words)
        self._headers = dict(headers or {})
        self.status = status
        self.message_id = message_id

    def answer(self) -> Answer:
        """The error in Redfish's form."""
        info = said(self.message_id, str(self), "Critical" if self.status >= 500 else "Warning")
        error = {
            "code": info["MessageId"],
            "message": str(self),
            "@Message.ExtendedInfo": [info],
        }
        if self.status == 401:
            self._headers["WWW-Authenticate"] = 'Basic realm="bmc"'
        return Answer(self.status, {"error": error}, self._headers)


NO_CONTENT = Answer(204)


def said(message_id: str, words: str, severity: str) -> Json:
    """A message of the Base registry."""
    return {
        "@odata.type": "#Message.v1_1_2.Message",
        "MessageId": f"Base.1.18.{message_id}",
        "Message": words,
        "MessageSeverity": severity,
        "Resolution": "None.",
    }


def link(path: str) -> Json:
    """A reference to a resource."""
    return {"@odata.id": path}


def collection(path: str, kind: str, members: list[str], name: str) -> Json:
    """A collection of resources, given by their paths."""
    return {
        "@odata.id": path,
        "@odata.type": f"#{kind}.{kind}",
        "Name": name,
        "Members": [link(member) for member in members],
        "Members@odata.count": len(members),
    }
