"""Documents of Redfish as far as tenants may use it; what is in them is the standard's."""

from typing import Any

from pydantic import RootModel

from gigawatt.sdk.documents.base import Answer


class RedfishBody(RootModel[dict[str, Any]]):
    """What is sent to a resource or an action."""


class RedfishChange(Answer):
    """What a tenant did to a node by its BMC, as the audit keeps it."""

    node_id: str
    path: str
    body: dict[str, Any]
